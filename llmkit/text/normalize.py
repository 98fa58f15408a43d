"""A normal form for comparing texts: `normalize_text("Ａ  Good\\tfilm") == "a good film"`.

It is used for comparison only; the text that a model reads is never changed by it.
"""

from __future__ import annotations

import unicodedata

__all__ = ["normalize_text"]


def normalize_text(text: str) -> str:
    """Apply NFKC (full-width forms, ligatures) and case folding, and replace each run of white space by one space."""
    if text.isascii():
        folded = text.lower()
    else:  # case folding can undo the normal form, hence the second NFKC (the Unicode Standard's NFKC_Casefold)
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())
