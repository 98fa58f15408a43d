"""Where sentences begin and end, by rules for English and Chinese: no model, the same on every machine.

    sentence_around("Mr. Li paid 3.50 yuan. He left.", 12, 16)      # (0, 22)

A full stop is the end of a sentence unless it stands in a number or behind an abbreviation or an initial, or
the text goes on in lower case. Rules err on either side; what they give is for reading and ranking, not for
counting sentences.
"""

from __future__ import annotations

import re
from bisect import bisect_right

__all__ = ["lead_sentences", "sentence_around", "split_sentences"]

LEAD, CHINESE_LEAD = 3, 1  # sentences that stand for a text; Chinese ones say more each

# Marks that end a sentence, closing quotes and brackets behind them, and notes such as "[12]"; or a line end.
END = re.compile(r"""(?:[.!?]+|[。！？；…]+)["'”’»)\]）」』》】]*(?:\[[^\]\[\n]{1,30}\])*|\n""")
CHINESE_MARKS = "。！？；"
NEXT = re.compile(r"""\s*["'“‘«(\[（「『《【]*(\S?)(\w*)""")  # the next letter and the rest of its word
LAST_WORD = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]*$")  # "Mr", "J", "U.S", "e.g"


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


TITLES = _words(  # something always follows them
    "mr mrs ms mx dr prof st messrs mmes rev hon fr gen col maj capt cmdr lt sgt cpl gov sen rep pres mt ft v vs",
    "cf viz ca approx",
)
NUMBERED = _words("no nos fig figs vol vols p pp ch sec art eq")  # before a digit only
MAY_END = _words(  # here the next word decides, as behind an initial
    "inc ltd co corp bros dept univ assn etc al jr sr ave blvd rd est ed eds",
    "jan feb mar apr jun jul aug sep sept oct nov dec",
)
STARTERS = _words(
    "a an the it its he his she her they their we our you i this that these those there here in on at by for",
    "from to with when while after before since as if although though but and however one some many most both",
    "each all no not what who why how where during under over until because",
)


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Offsets of the sentence that holds the span text[start:end], or of all that it touches, without white
    space around them. Offsets count characters; 0 <= start <= end <= len(text)."""
    assert 0 <= start <= end <= len(text), "the span is not in the text"
    spans = split_sentences(text)
    starts = [first for first, _ in spans]
    first = bisect_right(starts, start) - 1
    last = bisect_right(starts, max(start, end - 1)) - 1
    left = spans[first][0] if first >= 0 else start
    right = spans[last][1] if last >= 0 else end
    return min(left, start), max(right, end)


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Offsets of all sentences in their order, without the white space around them and never empty."""
    ends = [found.end() for found in END.finditer(text) if _ends_sentence(text, found)]
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
    """The first sentences of a text: three, or the first alone where the text is Chinese by most of its letters."""
    letters = [letter for letter in text if letter.isalpha()]
    chinese = sum("\u3400" <= letter <= "\u9fff" for letter in letters) * 2 > len(letters)
    spans = split_sentences(text)[: CHINESE_LEAD if chinese else LEAD]
    return text[spans[0][0] : spans[-1][1]] if spans else ""


def _ends_sentence(text: str, found: re.Match[str]) -> bool:
    mark = found.group()[0]
    if mark == "\n" or mark in CHINESE_MARKS:
        return True
    following = NEXT.match(text, found.end())
    letter, rest = following.groups() if following else ("", "")
    if not letter:
        return True
    if letter.islower() or (mark == "…" and letter in ",，"):
        return False
    if not text[found.end()].isspace() and letter.isascii():
        return False  # 3.14, example.com, "Yahoo!'s"
    return not (found.group() == "." and _is_abbreviation(text, found.start(), letter + rest))


def _is_abbreviation(text: str, stop: int, next_word: str) -> bool:
    """Whether the full stop at `stop` belongs to an abbreviation that the sentence goes on behind."""
    before = LAST_WORD.search(text, max(0, stop - 20), stop)
    word = before.group() if before else ""
    plain = word.lower()
    if plain in NUMBERED and next_word[:1].isdigit():
        return True
    initial = "." in word or (len(word) == 1 and word.isupper())
    return plain in TITLES or ((initial or plain in MAY_END) and next_word.lower() not in STARTERS)
