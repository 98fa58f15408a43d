"""Entities as character spans of a text, turned into tags of its words; faults where a span is no run of words.

tag_words("Pelé lives in Rio", [{"start": 14, "end": 17, "label": "LOC"}])
->   TaggedWords(tokens=["Pelé", "lives", "in", "Rio"], tags=["O", "O", "O", "B-LOC"], offsets=[(0, 4), ...])
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llmkit.data.checks.row_errors import Fault
from llmkit.data.reading.file_errors import excerpt
from llmkit.text import tags
from llmkit.text.words import Offsets, split_words

__all__ = ["TaggedWords", "find_span_errors", "tag_words"]


@dataclass(frozen=True)
class TaggedWords:
    """The words of a text with their tags (IOB2) and places; equally long."""

    tokens: list[str]
    tags: list[str]
    offsets: Offsets


def tag_words(text: str, entities: Sequence[Mapping[str, Any]]) -> TaggedWords:
    """The text's words (`text.words`) under the tags of entities that have no faults."""
    offsets = split_words(text)
    spans = [tags.Span(*_words_of(offsets, one["start"], one["end"]), one["label"]) for one in entities]
    tokens = [text[start:end] for start, end in offsets]
    return TaggedWords(tokens, tags.spans_to_tags(spans, len(tokens)), offsets)


def find_span_errors(text: str, entities: Any) -> Iterator[Fault]:
    """L04 no entities or no label; N05 a span overlaps another or leaves the text; N06 it is no run of whole words."""
    if not isinstance(entities, list):
        yield "L04", f'"entities" is {_what(entities)}, not a list', "write [] where there are none"
        return
    offsets = split_words(text)
    good = []
    for entity in entities:
        fault = _form_fault(text, entity) or _word_fault(text, offsets, entity)
        if fault:
            yield fault
        else:
            good.append(entity)
    good.sort(key=lambda entity: (entity["start"], entity["end"]))
    for first, second in pairwise(good):
        if second["start"] < first["end"]:
            yield "N05", f"{_shown(first)} overlaps {_shown(second)}", "keep one of them"


def _form_fault(text: str, entity: Any) -> Fault | None:
    """Not a span of this text, or without a label."""
    values = entity if isinstance(entity, Mapping) else {}
    start, end, label = (values.get(key) for key in ("start", "end", "label"))
    fix = 'write {"start": 0, "end": 5, "label": "PER"}'
    if type(start) is not int or type(end) is not int:
        return "N05", f"entity {_what(entity)} has no whole numbers as start and end", fix
    if not isinstance(label, str) or not label.strip():
        return "L04", f"entity {start}-{end} has no label", fix
    if start >= end:
        return "N05", f"{_shown(values)} is empty", "write end as the place after its last character"
    if start < 0 or end > len(text):
        return "N05", f"{_shown(values)} leaves the text of {len(text):,} characters", "correct start and end"
    return None


def _word_fault(text: str, offsets: Offsets, entity: Mapping[str, Any]) -> Fault | None:
    """N06: white space at an end, or an end inside a word."""
    start, end = entity["start"], entity["end"]
    span = text[start:end]
    left, right = start + len(span) - len(span.lstrip()), end - len(span) + len(span.rstrip())
    if (left, right) != (start, end):
        where = "begins" if left != start else "ends"
        fix = f"write {left}-{right}" if left < right else "remove it"
        return "N06", f"{_shown(entity)} {where} in white space", fix
    for edge, where in ((start, "begins"), (end, "ends")):
        word = offsets[max(0, bisect_left(offsets, (edge, 0)) - 1)] if offsets else (0, 0)
        if word[0] < edge < word[1]:
            message = f'{_shown(entity)} {where} inside the word "{excerpt(text[slice(*word)], 0)}"'
            return "N06", message, f"move it to an edge of the word ({word[0]}-{word[1]})"
    first, last = _words_of(offsets, start, end)
    return None if first < last else ("N06", f"{_shown(entity)} holds no word", "remove it")


def _words_of(offsets: Offsets, start: int, end: int) -> tuple[int, int]:
    """(first word, word after the last) between two characters."""
    return bisect_left(offsets, (start, 0)), bisect_right(offsets, end, key=lambda word: word[1])


def _shown(entity: Mapping[str, Any]) -> str:
    return f"entity {entity['start']}-{entity['end']} ({entity['label']})"


def _what(value: object) -> str:
    return "null" if value is None else excerpt(str(value), 0)
