"""Words of a text by a rule that needs no model, and a text from words: for tags that are given as character spans.

    words("Pelé joined 山东队.")      ->   [(0, 4), (5, 11), (12, 13), (13, 14), (14, 15), (15, 16)]
    joined(["Pelé", "joined", "山"])   ->   ("Pelé joined山", [(0, 4), (5, 11), (11, 12)])

A word is a run of letters, digits and underscores; each Chinese, Japanese or Korean character is one of its own, and so
is each other sign. Combining marks belong to the character before them. White space and characters that can't be
seen (zero-width, controls) belong to no word, but for joiners and soft hyphens between two letters. Scripts without
blanks outside East Asia (Thai, Khmer ...) are not divided: there a run is as long as the script's letters go on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import chain

__all__ = ["Offsets", "join_words", "split_words"]

Offsets = list[tuple[int, int]]  # (start, end) of each word, in characters; end is that after the last

# Han, kana, bopomofo, Hangul and their signs; without U+3000, the ideographic blank
_SINGLE = (
    "\u2e80-\u2fff\u3001-\u9fff\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(
    "[\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff9f\U00020000-\U0003ffff]"
)
_JOINERS = "\u00ad\u200c\u200d\u2060"
_INVISIBLE = r"\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"


def split_words(text: str) -> Offsets:
    """(start, end) of each word, in order."""
    return [found.span() for found in _pattern().finditer(text)]


def join_words(words: Sequence[str]) -> tuple[str, Offsets]:
    """A text of these words and where each stands in it.

    A blank stands between two words, but not beside a Chinese or Japanese character. Where every word is a single
    character and one of them is such (character-level tags), there are no blanks at all.
    """
    single = all(len(word) == 1 for word in words) and any(map(_UNSPACED.match, words))
    pieces: list[str] = []
    offsets: Offsets = []
    position = 0
    for number, word in enumerate(words):
        if number and not single and not _meet(words[number - 1], word):
            pieces.append(" ")
            position += 1
        pieces.append(word)
        offsets.append((position, position + len(word)))
        position += len(word)
    return "".join(pieces), offsets


def _meet(before: str, after: str) -> bool:
    """Whether no blank is written between them."""
    return bool(_UNSPACED.match(before[-1:]) or _UNSPACED.match(after[:1]))


@cache
def _pattern() -> re.Pattern[str]:
    letter, marks = rf"[^\W{_SINGLE}]", f"[{_marks()}]"
    run = f"{letter}(?:{letter}|{marks}|[{_JOINERS}]+(?={letter}))*"
    return re.compile(rf"[{_SINGLE}]{marks}*|{run}|[^\s\w{_INVISIBLE}]{marks}*")


def _marks() -> str:
    """All combining marks (Unicode categories Mn, Mc, Me), for a character class."""
    points = chain(range(0x300, 0x1F000), range(0xE0100, 0xE01F0))
    return "".join(chr(point) for point in points if unicodedata.category(chr(point)).startswith("M"))
