"""Recognize texts with entities as character spans, in the forms that annotation tools export, and read them as one.

    {"text": "Anna slept", "label": [[0, 4, "PER"]]}                                       doccano, spaCy
    {"text": "Anna slept", "spans": [{"start": 0, "end": 4, "label": "PER"}]}              Prodigy
    {"text": "Anna slept", "label": [{"start": 0, "end": 4, "labels": ["PER"]}]}           Label Studio, JSON-MIN
    {"data": {"text": "Anna slept"}, "annotations": [{"result": [{"value": {...}}]}]}      Label Studio, JSON
    {"text": "Anna slept", "label": {"PER": {"Anna": [[0, 3]]}}}                           CLUENER
        ->   {"text": "Anna slept", "entities": [{"start": 0, "end": 4, "label": "PER"}]}

Only the form changes here. Whether the spans fit the text is checked later (`checks.entity_spans`).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from llmkit.data.reading.file_errors import FileErrors, excerpt
from llmkit.data.reading.row_forms import Row, RowForm

__all__ = ["EXAMPLE", "find_entity_form"]

EXAMPLE = 'write {"start": 0, "end": 5, "label": "PER"}'

# Names of columns and keys, the most usual first.
TEXT_COLUMNS = ("text", "sentence", "content", "data")
ENTITY_COLUMNS = ("entities", "spans", "label", "labels", "ner", "annotations")
START_KEYS = ("start", "start_offset", "begin", "startOffset", "start_char")
END_KEYS = ("end", "end_offset", "stop", "endOffset", "end_char")
LABEL_KEYS = ("label", "labels", "type", "tag", "entity_type", "entity_group", "category", "class")

_TAGGED = ("tokens", "tags", "offsets")  # columns that the check adds to texts with spans


def find_entity_form(
    sample: Sequence[Row], named: Mapping[str, str], *, spans: bool | None = None
) -> RowForm | None:
    """Return the form of the rows: texts with spans, or tokens with tags; None for rows of neither form.

    Args:
        sample: The first rows of a file.
        named: The columns that the recipe names: the task's name -> the name in the file.
        spans: Whether the rows are texts with spans, as far as the recipe says; None: recognize it from the rows.
    """
    if spans is False:
        return None
    if spans is None and _has_tokens(sample, named):
        return RowForm({name: named.get(name, name) for name in ("tokens", "tags")})
    if any(_is_label_studio(row) for row in sample) and not named.keys() & {"text", "entities"}:
        note = "Label Studio's JSON, read as texts with entities"
        return RowForm({"text": "text", "entities": "entities"}, _read_label_studio, note)
    text = named.get("text") or _find_column(sample, TEXT_COLUMNS, lambda value: isinstance(value, str))
    entities = named.get("entities") or _find_column(sample, ENTITY_COLUMNS, _has_entities)
    entities = entities or _find_column(sample, ENTITY_COLUMNS[:2], lambda value: value == [])
    if spans is None and not (named.keys() & {"text", "entities"} or (text and entities)):
        return None
    columns = {"text": text or "text", "entities": entities or "entities"}

    def convert(row: Row, line: int, errors: FileErrors) -> Row:
        row = {name: value for name, value in row.items() if name not in _TAGGED or name in columns.values()}
        name = columns["entities"]
        if name in row:
            row[name] = _read_entities(row[name], line, errors)
        elif "annotator" in row or "annotation_id" in row:
            row[name] = []  # Label Studio writes no column where nothing is marked
        return row

    note = ""
    if spans is None:
        note = f'texts with entities as character spans (columns "{columns["text"]}" and "{columns["entities"]}")'
    return RowForm(columns, convert, note)


def _has_tokens(sample: Sequence[Row], named: Mapping[str, str]) -> bool:
    """Return whether a row has a list of tokens. Prodigy's tokens, which are objects, stand beside its spans."""
    values = [row.get(named.get("tokens", "tokens")) for row in sample]
    for name in ("tags", "entities"):
        if name in named and any(named[name] in row for row in sample):
            return name == "tags"
    return any(value is not None and not _is_list_of_objects(value) for value in values)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _find_column(sample: Sequence[Row], names: Sequence[str], fits: Any) -> str | None:
    return next((name for name in names if any(fits(row.get(name)) for row in sample)), None)


def _has_entities(value: Any) -> bool:
    """Return whether a value holds at least one span with a start and an end."""
    items = _list_items(value)
    return items is not None and any(_get_span(item) is not None for item in items)


def _list_items(value: Any) -> list[Any] | None:
    """Return the entities in a value as they are written; None when it holds no list of them."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):  # a column of a CSV file
        return _list_items(_parse(value))
    if isinstance(value, list):
        return value
    if isinstance(value, Mapping):
        if "entities" in value:
            return _list_items(value["entities"])
        if all(isinstance(value.get(key), list) for key in ("start", "end")):  # a struct of lists
            keys = [key for key in value if isinstance(value[key], list)]
            return [dict(zip(keys, items)) for items in zip(*(value[key] for key in keys))]
        if value and all(isinstance(texts, Mapping) for texts in value.values()):
            return [
                {"start": span[0], "end": span[1], "label": label, "text": text}
                for label, texts in value.items()
                for text, spans in texts.items()
                for span in (spans if isinstance(spans, list) else [])
                if isinstance(span, list) and len(span) == 2
            ]
    return None


def _parse(text: str) -> Any:
    """Parse a list that is written as JSON or as Python, as pandas writes a column of lists."""
    try:
        return json.loads(text)
    except ValueError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None


def _get_span(item: Any) -> tuple[int, int, Any, Any] | None:
    """Return (start, end, label, its own text) of an entity; None when it has no start and end."""
    if isinstance(item, Mapping):
        if isinstance(item.get("value"), Mapping):  # Label Studio
            item = item["value"]
        start, end, label = (
            next((item[key] for key in keys if item.get(key) is not None), None)
            for keys in (START_KEYS, END_KEYS, LABEL_KEYS)
        )
        text = item.get("text")
    elif isinstance(item, (list, tuple)) and len(item) >= 3:
        start, end, label = item[:3] if not isinstance(item[0], str) else (item[1], item[2], item[0])
        text = None
    else:
        return None
    start, end = _read_integer(start), _read_integer(end)
    return None if start is None or end is None else (start, end, label, text)


def _read_integer(value: Any) -> int | None:
    """Return an integer, also of 12.0 and "12"; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e18
    return int(value) if is_number and value == int(value) else None


def _read_entities(value: Any, line: int, errors: FileErrors) -> Any:
    """Return the entities as objects with start, end, label and, where it is written, text.

    L04: an entity with several labels. N05: no start or end. An empty field of a CSV file holds no entities; another
    value that holds no list is returned as it is.
    """
    if isinstance(value, str) and not value.strip():
        return []
    items = _list_items(value)
    if items is None:
        return value
    entities = []
    for item in items:
        span = _get_span(item)
        if span is None:
            message = f"entity {excerpt(str(item), 0)} needs integers as start and end"
            errors.add("N05", message, EXAMPLE, line=line)
            continue
        start, end, label, text = span
        if isinstance(label, list) and len(label) > 1:
            message = f"entity {start}-{end} has {len(label)} labels ({', '.join(map(str, label))})"
            errors.add("L04", message, "keep one of them, because each word has one tag", line=line)
        if isinstance(label, list):
            label = label[0] if label else None
        if label is not None and not isinstance(label, str):
            label = str(label)
        entity = {"start": start, "end": end, "label": label}
        entities.append(entity | ({"text": text} if isinstance(text, str) else {}))
    return entities


def _is_label_studio(row: Row) -> bool:
    return isinstance(row.get("data"), Mapping) and isinstance(row.get("annotations"), list)


def _read_label_studio(row: Row, line: int, errors: FileErrors) -> Row | None:
    """Read a task of Label Studio's JSON export; None when it has no annotation, or only skipped ones."""
    data, annotations = row.get("data"), row.get("annotations")
    data = data if isinstance(data, Mapping) else {}
    done = [
        annotation
        for annotation in (annotations if isinstance(annotations, list) else [])
        if isinstance(annotation, Mapping) and not annotation.get("was_cancelled")
    ]
    if not done:
        return None
    if len(done) > 1:
        results = [_list_label_studio(annotation) for annotation in done]
        if any(result != results[0] for result in results):
            message = f"the task has {len(done)} annotations that differ"
            errors.add("N05", message, "keep one annotation of each task in the export", line=line)
    strings = [value for value in data.values() if isinstance(value, str)]
    text = data.get("text", strings[0] if len(strings) == 1 else None)
    entities = _read_entities(_list_label_studio(done[0]), line, errors)
    return {"text": text, "entities": entities}


def _list_label_studio(annotation: Mapping[str, Any]) -> list[Any]:
    """Return the marked regions of an annotation; relations and choices are no regions."""
    result = annotation.get("result")
    regions = [item for item in (result if isinstance(result, list) else []) if isinstance(item, Mapping)]
    return [
        region["value"]
        for region in regions
        if isinstance(region.get("value"), Mapping) and "start" in region["value"]
    ]
