"""One normal form for comparing texts: `canonical("Ａ  Good\\tfilm") == "a good film"`.

Only for comparing: what a model reads is never changed by it.
"""

from __future__ import annotations

import unicodedata

__all__ = ["normalize_text"]


def normalize_text(text: str) -> str:
    """NFKC (full-width forms, ligatures), case folded, each run of white space one blank."""
    folded = text.lower() if text.isascii() else _fold(text)
    return " ".join(folded.split())


def _fold(text: str) -> str:
    """Folding can undo the normal form, hence the second pass (as the Unicode Standard's NFKC_Casefold)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
