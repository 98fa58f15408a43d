"""Split text into words by a rule that needs no model, and join words to a text; for tags given as character spans.

    split_words("Pelé joined 山东队.")      ->   [(0, 4), (5, 11), (12, 13), (13, 14), (14, 15), (15, 16)]
    join_words(["Pelé", "joined", "山"])   ->   ("Pelé joined山", [(0, 4), (5, 11), (11, 12)])

A word is a run of letters, digits and underscores. Each Chinese, Japanese or Korean character is a word of its own, and
so is each other sign. Combining marks belong to the character before them. White space and invisible characters
(zero-width, control) belong to no word, except for joiners and soft hyphens between two letters. Scripts without spaces
outside East Asia (Thai, Khmer, ...) are not segmented: a whole run of their letters is one word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import chain

__all__ = ["Offsets", "join_words", "split_words"]

Offsets = list[tuple[int, int]]  # (start, end) of each word in characters; end is exclusive

# Han, kana, bopomofo, Hangul and their signs; without U+3000, the ideographic space
_SINGLE = (
    "\u2e80-\u2fff\u3001-\u9fff\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(
    "[\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff9f\U00020000-\U0003ffff]"
)
_JOINERS = "\u00ad\u200c\u200d\u2060"
_INVISIBLE = r"\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"


def split_words(text: str) -> Offsets:
    """Return (start, end) of each word, in order."""
    return [match.span() for match in _word_pattern().finditer(text)]


def join_words(words: Sequence[str]) -> tuple[str, Offsets]:
    """Join words to a text, and return it with the offsets of each word.

    Words are separated by a space, except next to a Chinese or Japanese character. If all words are single characters
    and one of them is Chinese or Japanese (character-level tags), there are no spaces at all.
    """
    no_spaces = all(len(word) == 1 for word in words) and any(map(_UNSPACED.match, words))
    pieces: list[str] = []
    offsets: Offsets = []
    position, last = 0, ""
    for number, word in enumerate(words):
        if number and not no_spaces and not _UNSPACED.match(last) and not _UNSPACED.match(word[:1]):
            pieces.append(" ")
            position += 1
        pieces.append(word)
        offsets.append((position, position + len(word)))
        position, last = position + len(word), word[-1:]
    return "".join(pieces), offsets


@cache
def _word_pattern() -> re.Pattern[str]:
    points = chain(range(0x300, 0x1F000), range(0xE0100, 0xE01F0))
    marks = "".join(chr(point) for point in points if unicodedata.category(chr(point)).startswith("M"))
    letter, mark = rf"[^\W{_SINGLE}]", f"[{marks}]"
    run = f"{letter}(?:{letter}|{mark}|[{_JOINERS}]+(?={letter}))*"
    return re.compile(rf"[{_SINGLE}]{mark}*|{run}|[^\s\w{_INVISIBLE}]{mark}*")
