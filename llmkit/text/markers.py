"""Mark two entities in a text: `<e1>John</e1> founded <e2>Acme</e2>`.

The markers are tokens of their own for a relation classifier.

Source: Baldini Soares et al. (2019), Matching the Blanks: Distributional Similarity for Relation Learning.
"""

from __future__ import annotations

import re

from llmkit.text.words import split_words

__all__ = ["MARKERS", "find_error", "mark_entities", "remove_markers"]

MARKERS = ("<e1>", "</e1>", "<e2>", "</e2>")
_PAIRS = {name: re.compile(f"<{name}>(.*?)</{name}>", re.DOTALL) for name in ("e1", "e2")}


def find_error(text: str) -> str | None:
    """Say what is wrong with the markers of a text, to be read after "the text"; None if nothing is.

    Each entity must be marked once, opened before it is closed, and not be blank.
    """
    for name, pair in _PAIRS.items():
        opened, closed, entity = text.count(f"<{name}>"), text.count(f"</{name}>"), pair.search(text)
        if not opened and not closed:
            return f"has no <{name}>...</{name}>"
        if opened != 1 or closed != 1 or not entity:
            opens, closes = ("once" if count == 1 else f"{count} times" for count in (opened, closed))
            order = "" if (opened, closed) != (1, 1) else ", but closes it before it opens it"
            return f"opens <{name}> {opens} and closes it {closes}{order}"
        if not remove_markers(entity.group(1)).strip():
            return f"has nothing between <{name}> and </{name}>"
    return None


def mark_entities(text: str, head: str, tail: str) -> str | None:
    """Put markers around head (e1) and tail (e2).

    Occurrences as whole words are preferred ("he" in "he saw the man"), and of these the two nearest to each other
    without overlap. If all overlap (one entity inside the other), the inner entity is marked inside the outer one.

    Returns:
        The marked text; None if the text does not contain both.
    """
    heads, tails = (_find_occurrences(text, entity) for entity in (head, tail))
    if not heads or not tails:
        return None
    pairs = [
        (max(t - h - len(head), h - t - len(tail)), h, t) for h in heads for t in tails
    ]  # gap, head, tail
    apart = [pair for pair in pairs if pair[0] >= 0]
    inside = [
        (gap, h, t)
        for gap, h, t in pairs
        if t <= h <= h + len(head) <= t + len(tail) or h <= t <= t + len(tail) <= h + len(head)
    ]
    _, first, second = min(apart) if apart else (inside or pairs)[0]
    return _insert_markers(text, (first, first + len(head)), (second, second + len(tail)))


def remove_markers(text: str) -> str:
    """Return the text without markers."""
    return re.sub("|".join(MARKERS), "", text)


def _find_occurrences(text: str, entity: str) -> list[int]:
    """Return where the entity begins: as a whole word if it occurs so anywhere, otherwise also inside words."""
    occurrences = []
    start = text.find(entity) if entity else -1
    while start >= 0:
        occurrences.append(start)
        start = text.find(entity, start + 1)
    if len(occurrences) < 2:
        return occurrences
    words = split_words(text)
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    return [start for start in occurrences if start in starts and start + len(entity) in ends] or occurrences


def _insert_markers(text: str, e1: tuple[int, int], e2: tuple[int, int]) -> str:
    """Insert the markers of two spans.

    At one position closing markers come before opening ones; of two entities that open there the longer comes first,
    or e1 if they are equal.
    """
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
