"""Split text into sentences by rules for English and Chinese: no model, the same result on every machine.

    sentence_around("Mr. Li paid 3.50 yuan. He left.", 12, 16)      # (0, 22)

A full stop ends a sentence unless it is part of a number, follows an abbreviation or an initial, or the text continues
in lower case. Rules err on either side; the result is good enough for reading and ranking, not for counting sentences.
"""

from __future__ import annotations

import re
from bisect import bisect_right

__all__ = ["lead_sentences", "sentence_around", "split_sentences"]

LEAD, CHINESE_LEAD = 3, 1  # sentences that represent a text; Chinese ones say more each

# Marks that end a sentence, with closing quotes, brackets and notes such as "[12]" after them; or a line end.
END = re.compile(r"""(?:[.!?]+|[。！？；…]+)["'”’»)\]）」』》】]*(?:\[[^\]\[\n]{1,30}\])*|\n""")
CHINESE_MARKS = "。！？；"
NEXT = re.compile(r"""\s*["'“‘«(\[（「『《【]*(\S?)(\w*)""")  # the next letter and the rest of its word
LAST_WORD = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]*$")  # "Mr", "J", "U.S", "e.g"


def _word_set(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


TITLES = _word_set(  # something always follows them
    "mr mrs ms mx dr prof st messrs mmes rev hon fr gen col maj capt cmdr lt sgt cpl gov sen rep pres mt ft v vs",
    "cf viz ca approx",
)
NUMBERED = _word_set("no nos fig figs vol vols p pp ch sec art eq")  # abbreviations before a digit only
MAY_END = _word_set(  # the next word decides, as after an initial
    "inc ltd co corp bros dept univ assn etc al jr sr ave blvd rd est ed eds",
    "jan feb mar apr jun jul aug sep sept oct nov dec",
)
STARTERS = _word_set(
    "a an the it its he his she her they their we our you i this that these those there here in on at by for",
    "from to with when while after before since as if although though but and however one some many most both",
    "each all no not what who why how where during under over until because",
)


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the offsets of the sentence that contains the span text[start:end], or of all sentences it touches.

    Offsets count characters and exclude surrounding white space; 0 <= start <= end <= len(text) is required.
    """
    assert 0 <= start <= end <= len(text), "the span is not in the text"
    spans = split_sentences(text)
    starts = [first for first, _ in spans]
    first = bisect_right(starts, start) - 1
    last = bisect_right(starts, max(start, end - 1)) - 1
    left = spans[first][0] if first >= 0 else start
    right = spans[last][1] if last >= 0 else end
    return min(left, start), max(right, end)


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return the offsets of all sentences in order, without surrounding white space and never empty."""
    ends = [match.end() for match in END.finditer(text) if _ends_sentence(text, match)]
    spans, start = [], 0
    for end in [*ends, len(text)]:
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        if left < right:
            spans.append((left, right))
        start = end
    return spans


def lead_sentences(text: str) -> str:
    """Return the first three sentences of a text, or the first one if most of its letters are Chinese."""
    letters = [letter for letter in text if letter.isalpha()]
    chinese = sum("\u3400" <= letter <= "\u9fff" for letter in letters) * 2 > len(letters)
    spans = split_sentences(text)[: CHINESE_LEAD if chinese else LEAD]
    return text[spans[0][0] : spans[-1][1]] if spans else ""


def _ends_sentence(text: str, end: re.Match[str]) -> bool:
    mark = end.group()[0]
    if mark == "\n" or mark in CHINESE_MARKS:
        return True
    following = NEXT.match(text, end.end())
    letter, rest = following.groups() if following else ("", "")
    if not letter:
        return True
    if letter.islower() or (mark == "…" and letter in ",，"):
        return False
    if not text[end.end()].isspace() and letter.isascii():
        return False  # 3.14, example.com, "Yahoo!'s"
    return not (end.group() == "." and _is_abbreviation(text, end.start(), letter + rest))


def _is_abbreviation(text: str, stop: int, next_word: str) -> bool:
    """Whether the full stop at `stop` belongs to an abbreviation after which the sentence continues."""
    before = LAST_WORD.search(text, max(0, stop - 20), stop)
    word = before.group() if before else ""
    plain = word.lower()
    if plain in NUMBERED and next_word[:1].isdigit():
        return True
    initial = "." in word or (len(word) == 1 and word.isupper())
    return plain in TITLES or ((initial or plain in MAY_END) and next_word.lower() not in STARTERS)
