"""Two entities of a text, marked: `<e1>John</e1> founded <e2>Acme</e2>`.

The markers are tokens of their own for a relation classifier (Baldini Soares et al. 2019, "Matching the Blanks").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["MARKERS", "fault", "mark"]

MARKERS = ("<e1>", "</e1>", "<e2>", "</e2>")
_PAIRS = {name: re.compile(f"<{name}>(.*?)</{name}>", re.DOTALL) for name in ("e1", "e2")}


def fault(text: str) -> str | None:
    """What is wrong with the markers of a text: each entity once, opened before it is closed, not blank."""
    for name, pair in _PAIRS.items():
        opened, closed, found = text.count(f"<{name}>"), text.count(f"</{name}>"), pair.search(text)
        if not opened and not closed:
            return f"has no <{name}>...</{name}>"
        if opened != 1 or closed != 1 or not found:
            return f"opens <{name}> {_times(opened)} and closes it {_times(closed)}"
        if not re.sub(r"</?e[12]>", "", found.group(1)).strip():
            return f"has nothing between <{name}> and </{name}>"
    return None


def mark(text: str, head: str, tail: str) -> str | None:
    """The text with markers around head (e1) and tail (e2); None where they do not both stand in it.

    Of several places the two that are nearest to each other without overlap; where they only overlap (one inside the
    other), the inner one is marked inside the outer one.
    """
    heads, tails = list(_places(text, head)), list(_places(text, tail))
    if not heads or not tails:
        return None
    apart = [(h, t) for h in heads for t in tails if h + len(head) <= t or t + len(tail) <= h]
    first, second = min(apart or [(heads[0], tails[0])], key=lambda pair: (abs(pair[0] - pair[1]), pair))
    return _inserted(text, (first, first + len(head)), (second, second + len(tail)))


def _places(text: str, part: str) -> Iterator[int]:
    start = text.find(part) if part else -1
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def _inserted(text: str, e1: tuple[int, int], e2: tuple[int, int]) -> str:
    """Closing markers before opening ones at one place; of two that open there the longer entity first."""
    marks = []
    for (start, end), opening, closing in ((e1, "<e1>", "</e1>"), (e2, "<e2>", "</e2>")):
        marks.append((start, 1, start - end, opening))
        marks.append((end, 0, end - start, closing))
    marks.sort()
    pieces, position = [], 0
    for place, _, _, marker in marks:
        pieces += [text[position:place], marker]
        position = place
    return "".join([*pieces, text[position:]])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
