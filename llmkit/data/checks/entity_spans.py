"""Convert entities given as character spans to tags of words, and check that each span is a run of whole words.

The unit of the offsets is checked first (`checks.span_units`): tools in JavaScript and Java count UTF-16 units.

tag_words("Pelé lives in Rio", [{"start": 14, "end": 17, "label": "LOC"}])
->   TaggedWords(tokens=["Pelé", "lives", "in", "Rio"], tags=["O", "O", "O", "B-LOC"], offsets=[(0, 4), ...])
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llmkit.data.checks.row_errors import RowError
from llmkit.data.checks.span_units import is_same_text
from llmkit.data.reading.entity_rows import EXAMPLE
from llmkit.data.reading.file_errors import excerpt
from llmkit.text import tags
from llmkit.text.words import Offsets, split_words

__all__ = ["TaggedWords", "find_span_errors", "tag_words"]


@dataclass(frozen=True)
class TaggedWords:
    """The words of a text, their IOB2 tags and their character offsets; the three lists are equally long."""

    tokens: list[str]
    tags: list[str]
    offsets: Offsets


def tag_words(text: str, entities: Sequence[Mapping[str, Any]]) -> TaggedWords:
    """Split a text into words (`text.words`) and tag them with entities that have no errors."""
    offsets = split_words(text)
    spans = [tags.Span(*_find_words(offsets, e["start"], e["end"]), e["label"]) for e in entities]
    tokens = [text[start:end] for start, end in offsets]
    return TaggedWords(tokens, tags.spans_to_tags(spans, len(tokens)), offsets)


def find_span_errors(text: str, entities: Any) -> Iterator[RowError]:
    """Yield the errors of a row's entities.

    L04: no list of entities, or no label. N05: a span overlaps another or leaves the text. N06: a span is not a run of
    whole words. N08: the entity's own text is not what the span has.
    """
    if not isinstance(entities, list):
        yield RowError("L04", f'"entities" is {_quote(entities)}, not a list', "write [] if there are none")
        return
    offsets = split_words(text)
    valid = []
    for entity in entities:
        error = (
            _check_values(text, entity)
            or _check_own_text(text, entity)
            or _check_words(text, offsets, entity)
        )
        if error:
            yield error
        else:
            valid.append(entity)
    valid.sort(key=lambda entity: (entity["start"], entity["end"]))
    for first, second in pairwise(valid):
        if second["start"] < first["end"]:
            yield RowError("N05", f"{_format(first)} overlaps {_format(second)}", "keep one of them")


def _check_values(text: str, entity: Any) -> RowError | None:
    """Check that an entity has a label and a span inside the text: L04, N05."""
    values = entity if isinstance(entity, Mapping) else {}
    start, end, label = (values.get(key) for key in ("start", "end", "label"))
    if type(start) is not int or type(end) is not int:
        return RowError("N05", f"entity {_quote(entity)} needs integers as start and end", EXAMPLE)
    if not isinstance(label, str) or not label.strip():
        return RowError("L04", f"entity {start}-{end} has no label", EXAMPLE)
    if start >= end:
        return RowError(
            "N05", f"{_format(values)} is empty", "write end as the position after its last character"
        )
    if start < 0 or end > len(text):
        message = f"{_format(values)} is outside the text of {len(text):,} characters"
        return RowError("N05", message, "correct start and end")
    return None


def _check_own_text(text: str, entity: Mapping[str, Any]) -> RowError | None:
    """Check that an entity's own text, where it is written, is what the span has: N08."""
    start, end, own = entity["start"], entity["end"], entity.get("text")
    if not isinstance(own, str) or is_same_text(text[start:end], own):
        return None
    found = [match.start() for match in re.finditer(re.escape(own), text)] if own else []
    nearest = min(found, key=lambda place: abs(place - start), default=None)
    span, own_text = excerpt(text[start:end], 0), excerpt(own, 0)
    message = f'{_format(entity)} is "{span}" in the text, but "{own_text}" by its own text'
    fix = "correct start and end" if nearest is None else f"write {nearest}-{nearest + len(own)}"
    return RowError("N08", message, fix)


def _check_words(text: str, offsets: Offsets, entity: Mapping[str, Any]) -> RowError | None:
    """Check that a span does not start or end with white space or inside a word: N06."""
    start, end = entity["start"], entity["end"]
    span = text[start:end]
    left, right = start + len(span) - len(span.lstrip()), end - len(span) + len(span.rstrip())
    if (left, right) != (start, end):
        where = "starts" if left != start else "ends"
        fix = f"write {left}-{right}" if left < right else "remove it"
        return RowError("N06", f"{_format(entity)} {where} with white space", fix)
    for edge, where in ((start, "starts"), (end, "ends")):
        word = offsets[max(0, bisect_left(offsets, (edge, 0)) - 1)] if offsets else (0, 0)
        if word[0] < edge < word[1]:
            message = f'{_format(entity)} {where} inside the word "{excerpt(text[slice(*word)], 0)}"'
            return RowError("N06", message, f"move it to an edge of the word ({word[0]}-{word[1]})")
    first, last = _find_words(offsets, start, end)
    return None if first < last else RowError("N06", f"{_format(entity)} contains no word", "remove it")


def _find_words(offsets: Offsets, start: int, end: int) -> tuple[int, int]:
    """Return the first word between two characters, and the word after the last."""
    return bisect_left(offsets, (start, 0)), bisect_right(offsets, end, key=lambda word: word[1])


def _format(entity: Mapping[str, Any]) -> str:
    return f"entity {entity['start']}-{entity['end']} ({entity['label']})"


def _quote(value: object) -> str:
    return "null" if value is None else excerpt(str(value), 0)
