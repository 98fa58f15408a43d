"""Detect the script of a text, the closest approximation of its language without a model.

detect_script("这部电影很好看。")  ->  "Han"
detect_script("Bonjour !")  ->  "Latin"
detect_script("42")  ->  "no letters"
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache

__all__ = ["detect_script"]

READ = 2000  # characters of a text that are looked at
JAPANESE = 0.05  # share of kana from which a text in Han characters is Japanese
WIDTHS = ("FULLWIDTH", "HALFWIDTH", "MATHEMATICAL")  # stand before the script in a character's name
NAMES = {"CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}


def detect_script(text: str) -> str:
    """Return the script of most letters, as Unicode names it.

    Examples: `Latin`, `Han`, `Japanese` (Han with kana), `Hangul`, `Cyrillic`, `Arabic`; `no letters` without any.
    """
    counts = Counter(name for character in text[:READ] if (name := _script_of(character)))
    if not counts:
        return "no letters"
    if counts["Japanese"] and counts["Japanese"] >= JAPANESE * (counts["Japanese"] + counts["Han"]):
        counts["Japanese"] += counts.pop("Han", 0)
    return max(sorted(counts), key=lambda name: counts[name])


@cache
def _script_of(character: str) -> str:
    """Return the first word of a letter's name; "" if the character is not a letter."""
    if not character.isalpha():
        return ""
    words = unicodedata.name(character, "").split()
    first = next((word for word in words if word not in WIDTHS), "")
    return NAMES.get(first, first.capitalize())
