"""Check texts with two marked entities (relation extraction), and mark entities that are named in columns."""

from __future__ import annotations

import json
from hashlib import sha256

from llmkit.base.errors import ErrorDetail
from llmkit.data.checks.columns import with_columns
from llmkit.data.checks.row_errors import RowError, collect_errors
from llmkit.data.corpus import Corpus, Split
from llmkit.text.markers import find_error, mark_entities, remove_markers

__all__ = ["MARK_ENTITIES", "UNMARKED", "check_marked_entities"]

MARK_ENTITIES = "mark the two entities as <e1>...</e1> and <e2>...</e2>"
UNMARKED = "unmarked"  # the column of texts without their markers


def check_marked_entities(corpus: Corpus) -> tuple[Corpus, list[ErrorDetail]]:
    """Check that every text has two marked entities: L14.

    Texts without markers get them from the columns `head` and `tail`, if these exist.

    Returns:
        The corpus with marked texts and the column `unmarked`, and the errors. Values of `text` that are no strings
        are left for `check_texts`.
    """
    errors: list[ErrorDetail] = []
    splits = {}
    for name, split in corpus.splits.items():
        texts = list(split.column("text"))
        has_columns = {"head", "tail"} <= set(split.rows.column_names)
        if has_columns and not any("<e1>" in str(text) for text in texts):
            splits[name], split_errors = _mark_from_columns(split, texts)
        else:
            splits[name], split_errors = _check_markers(split, texts)
        errors += split_errors
    fingerprint = sha256(f"{corpus.fingerprint}\nmarked".encode()).hexdigest()
    return Corpus(splits, fingerprint, corpus.notes), errors


def _check_markers(split: Split, texts: list[object]) -> tuple[Split, list[ErrorDetail]]:
    fix = f"{MARK_ENTITIES}, or name them in columns head and tail"
    errors = collect_errors(
        (split.place(row), RowError("L14", f"the text {error}", fix))
        for row, text in enumerate(texts)
        if isinstance(text, str) and (error := find_error(text))
    )
    if errors:
        return split, errors
    unmarked = [remove_markers(text) if isinstance(text, str) else text for text in texts]
    return with_columns(split, {UNMARKED: unmarked}), []


def _mark_from_columns(split: Split, texts: list[object]) -> tuple[Split, list[ErrorDetail]]:
    marked: list[object] = []
    messages: list[tuple[int, str]] = []
    for row, (text, head, tail) in enumerate(
        zip(texts, split.column("head"), split.column("tail"), strict=True)
    ):
        message = _find_missing_entity(text, head, tail) if isinstance(text, str) else None
        if message:
            messages.append((row, message))
        marked.append(mark_entities(text, head, tail) if isinstance(text, str) and not message else text)
    fix = "write the entities as they stand in the text"
    errors = collect_errors((split.place(row), RowError("L14", message, fix)) for row, message in messages)
    return (split if errors else with_columns(split, {"text": marked, UNMARKED: texts})), errors


def _find_missing_entity(text: str, head: object, tail: object) -> str | None:
    """Return why an entity cannot be marked, or None."""
    for name, entity in (("head", head), ("tail", tail)):
        if not isinstance(entity, str) or not entity.strip():
            value = json.dumps(entity, ensure_ascii=False, default=str)[:40]
            return f'the column "{name}" is {value}, which is no entity'
        if entity not in text:
            return f'the entity "{entity}" is not in the text'
    return None
