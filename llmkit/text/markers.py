"""Two entities of a text, marked: `<e1>John</e1> founded <e2>Acme</e2>`.

The markers are tokens of their own for a relation classifier (Baldini Soares et al. 2019, "Matching the Blanks").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmkit.text.words import split_words

__all__ = ["MARKERS", "find_error", "mark_entities", "remove_markers"]

MARKERS = ("<e1>", "</e1>", "<e2>", "</e2>")
_PAIRS = {name: re.compile(f"<{name}>(.*?)</{name}>", re.DOTALL) for name in ("e1", "e2")}


def find_error(text: str) -> str | None:
    """What is wrong with the markers of a text: each entity once, opened before it is closed, not blank."""
    for name, pair in _PAIRS.items():
        opened, closed, found = text.count(f"<{name}>"), text.count(f"</{name}>"), pair.search(text)
        if not opened and not closed:
            return f"has no <{name}>...</{name}>"
        if opened != 1 or closed != 1 or not found:
            before = "" if (opened, closed) != (1, 1) else ", but closes it before it opens it"
            return f"opens <{name}> {_times(opened)} and closes it {_times(closed)}{before}"
        if not remove_markers(found.group(1)).strip():
            return f"has nothing between <{name}> and </{name}>"
    return None


def mark_entities(text: str, head: str, tail: str) -> str | None:
    """The text with markers around head (e1) and tail (e2); None where they do not both stand in it.

    Of several places those of whole words ("he" in "he saw the man"), and of these the two that are nearest to each
    other without overlap; where they only overlap (one inside the other), the inner one is marked inside the outer one.
    """
    heads, tails = (_places(text, entity) for entity in (head, tail))
    if not heads or not tails:
        return None
    gaps = [(max(t - h - len(head), h - t - len(tail)), h, t) for h in heads for t in tails]
    apart = [pair for pair in gaps if pair[0] >= 0]
    _, first, second = min(apart or gaps[:1])
    return _inserted(text, (first, first + len(head)), (second, second + len(tail)))


def remove_markers(text: str) -> str:
    """The text without markers."""
    return re.sub("|".join(MARKERS), "", text)


def _places(text: str, part: str) -> list[int]:
    """Where the part stands: as whole words if it does anywhere, else also inside of words."""
    found = list(_found(text, part))
    if len(found) < 2:
        return found
    edges = split_words(text)
    starts, ends = {start for start, _ in edges}, {end for _, end in edges}
    return [start for start in found if start in starts and start + len(part) in ends] or found


def _found(text: str, part: str) -> Iterator[int]:
    start = text.find(part) if part else -1
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def _inserted(text: str, e1: tuple[int, int], e2: tuple[int, int]) -> str:
    """Closing markers before opening ones at one place; of two that open there the longer entity first, or e1."""
    marks = []
    for number, (start, end) in enumerate((e1, e2), 1):
        marks.append((start, 1, start - end, number, f"<e{number}>"))
        marks.append((end, 0, end - start, -number, f"</e{number}>"))
    marks.sort()
    pieces, position = [], 0
    for place, *_, marker in marks:
        pieces += [text[position:place], marker]
        position = place
    return "".join([*pieces, text[position:]])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
