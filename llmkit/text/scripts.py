"""The script that most letters of a text are of: as near to its language as one comes without a model.

script("这部电影很好看。")  ->  "Han"      script("Bonjour !")  ->  "Latin"      script("42")  ->  "no letters"
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache

__all__ = ["detect_script"]

READ = 2000  # characters of a text: enough to tell
JAPANESE = 0.05  # share of kana from which a text of Han characters is Japanese
WIDTHS = ("FULLWIDTH", "HALFWIDTH", "MATHEMATICAL")  # stand before the script in a character's name
NAMES = {"CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}


def detect_script(text: str) -> str:
    """`Latin`, `Han`, `Japanese` (with kana), `Hangul`, `Cyrillic`, `Arabic` ... as Unicode names the letters."""
    found = Counter(name for character in text[:READ] if (name := _of(character)))
    if not found:
        return "no letters"
    if found["Japanese"] and found["Japanese"] >= JAPANESE * (found["Japanese"] + found["Han"]):
        found["Japanese"] += found.pop("Han", 0)
    return max(sorted(found), key=lambda name: found[name])


@cache
def _of(character: str) -> str:
    """The first word of a letter's name; "" for what is no letter."""
    if not character.isalpha():
        return ""
    words = unicodedata.name(character, "").split()
    first = next((word for word in words if word not in WIDTHS), "")
    return NAMES.get(first, first.capitalize())
