"""Find the unit that the offsets of entities count, and convert them to characters.

Python counts characters (Unicode code points), JavaScript and Java count UTF-16 units, and other tools count UTF-8
bytes; the three differ behind an emoji or an accented letter. An entity fits a unit when the span that it gives is the
entity's own text; an entity without a text of its own fits when its span is a run of whole words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmkit.text.words import split_words

__all__ = ["SpanUnit", "UnitCheck", "check_unit", "is_same_text"]

Entities = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class SpanUnit:
    """A unit other than characters, or another way to count the end.

    Attributes:
        name: Its name in messages.
        encoding: The encoding whose units are counted; "" for characters.
        size: Bytes of one unit.
        last: What is added to the end; 1 where the end is the entity's last character.
    """

    name: str
    encoding: str
    size: int = 1
    last: int = 0

    def to_characters(self, text: str, start: int, end: int) -> tuple[int, int] | None:
        """Convert a span to characters; None when it leaves the text or cuts a character."""
        end += self.last
        if not self.encoding or text.isascii():
            return (start, end) if 0 <= start < end <= len(text) else None
        encoded = text.encode(self.encoding, "surrogatepass")
        if not 0 <= start < end <= len(encoded) // self.size:
            return None
        try:
            before, span = (
                encoded[self.size * a : self.size * b].decode(self.encoding)
                for a, b in ((0, start), (start, end))
            )
        except UnicodeDecodeError:
            return None
        return len(before), len(before) + len(span)


CHARACTERS = SpanUnit("characters", "")
UTF16 = SpanUnit("UTF-16 units (as JavaScript and Java do)", "utf-16-le", 2)
BYTES = SpanUnit("UTF-8 bytes", "utf-8")
INCLUSIVE = SpanUnit("characters up to the last one of the entity", "", last=1)


@dataclass(frozen=True)
class UnitCheck:
    """What the offsets of a file count.

    Attributes:
        unit: The unit that all entities fit, or most of them; None for characters.
        total: The number of entities.
        fitting: How many entities fit the unit.
        in_characters: How many entities fit as characters.
        misfit: The row of the first entity that does not fit the unit.
        ambiguous: The entities that fit as characters and, with another span, as UTF-16 units, if all entities do.
    """

    unit: SpanUnit | None
    total: int
    fitting: int
    in_characters: int
    misfit: int = 0
    ambiguous: int = 0

    def convert(self, text: str, entities: Entities) -> list[dict[str, Any]]:
        """Return the entities of a row with offsets in characters. Requires that all entities fit the unit."""
        unit = self.unit or CHARACTERS
        spans = (unit.to_characters(text, entity["start"], entity["end"]) for entity in entities)
        return [{**entity, "start": span[0], "end": span[1]} for entity, span in zip(entities, spans) if span]


def check_unit(rows: Sequence[tuple[str, Any]]) -> UnitCheck:
    """Find what the offsets of a file count.

    Args:
        rows: The text and the entities of each row. Entities without integers as offsets are ignored.
    """
    checked = [
        (row, text, entity)
        for row, (text, entities) in enumerate(rows)
        for entity in (entities if isinstance(entities, list) else [])
        if isinstance(entity, Mapping) and type(entity.get("start")) is int and type(entity.get("end")) is int
    ]
    fitting = [_fits(CHARACTERS, text, entity) for _, text, entity in checked]
    in_characters = sum(fitting)
    if in_characters == len(checked):
        return UnitCheck(
            None, len(checked), in_characters, in_characters, ambiguous=_count_ambiguous(checked)
        )
    units = [UTF16, BYTES]
    if all(isinstance(entity.get("text"), str) for _, _, entity in checked):
        units.append(INCLUSIVE)
    best = UnitCheck(None, len(checked), in_characters, in_characters)
    for unit in units:
        in_unit = [_fits(unit, text, entity) for _, text, entity in checked]
        if sum(in_unit) > best.fitting:
            misfit = next((row for (row, _, _), fits in zip(checked, in_unit) if not fits), 0)
            best = UnitCheck(unit, len(checked), sum(in_unit), in_characters, misfit)
    return best


def is_same_text(span: str, own: str) -> bool:
    """Return whether a span has an entity's own text; white space may differ, as tools trim or join lines."""
    return span == own or " ".join(span.split()) == " ".join(own.split())


def _fits(unit: SpanUnit, text: str, entity: Mapping[str, Any]) -> bool:
    """Return whether a span in this unit has the entity's own text, or is a run of whole words."""
    span = unit.to_characters(text, entity["start"], entity["end"])
    if span is None:
        return False
    own = entity.get("text")
    if isinstance(own, str):  # with other white space, an end that is off by one would fit another unit
        found = text[slice(*span)]
        return found == own or (unit is CHARACTERS and is_same_text(found, own))
    offsets = split_words(text)
    return span[0] in {start for start, _ in offsets} and span[1] in {end for _, end in offsets}


def _count_ambiguous(checked: Sequence[tuple[int, str, Mapping[str, Any]]]) -> int:
    """Count the entities without a text of their own that UTF-16 units move, when all entities fit them too."""
    moved = 0
    for _, text, entity in checked:
        if text.isascii() or max(text) < "\U00010000":
            continue
        if not _fits(UTF16, text, entity):
            return 0
        span = entity["start"], entity["end"]
        moved += UTF16.to_characters(text, *span) != span
    return moved
