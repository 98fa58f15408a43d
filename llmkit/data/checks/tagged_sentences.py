"""Check tagged sentences (named entities) and convert every tag scheme to IOB2.

Rows are sentences, {"tokens": [...], "tags": [...]}, or texts with entities as character spans,
{"text": ..., "entities": [{"start": ..., "end": ..., "label": ...}]}. After the check both have the columns `tokens`,
`tags` (in IOB2), `text` and `offsets` ([start, end] of each token in the text, in characters).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, shorten_list, suggest
from llmkit.data.checks.columns import object_array, with_columns
from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
from llmkit.data.checks.entity_spans import find_span_errors, tag_words
from llmkit.data.checks.row_errors import Checked, RowError, collect_errors
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.file_errors import excerpt
from llmkit.data.reading.readers import CONLL, data_suffix
from llmkit.data.splits import create_missing_splits
from llmkit.recipe.schema import Data
from llmkit.text import tags as schemes
from llmkit.text.words import Offsets, join_words

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CheckedSentences", "check_tagged_sentences"]


@dataclass(frozen=True)
class CheckedSentences:
    """The result of the check; with errors, there are no labels and no references.

    Attributes:
        corpus: The rows, with the columns that the module docstring names.
        labels: "O", "B-LOC", "I-LOC", ...: see `text.tags.make_labels`.
        references: Split -> the label ids of each row, shape (rows,) of int64 arrays.
        errors: What is wrong.
        notes: Notes for the report.
        near_duplicates: Split -> rows that nearly repeat a row of an earlier split.
    """

    corpus: Corpus
    labels: tuple[str, ...] = ()
    references: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    errors: Sequence[ErrorDetail] = ()
    notes: Sequence[str] = ()
    near_duplicates: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


def check_tagged_sentences(
    corpus: Corpus,
    data: Data,
    *,
    scheme: Literal["auto"] | schemes.Scheme = "auto",
    model_labels: Sequence[str] | None = None,
    repair: bool = False,
    spans: bool = False,
    seed: int | None = None,
) -> CheckedSentences:
    """Check that every token has one valid tag: L02-L04, L08, L13, N01-N03, N05, N06.

    Args:
        corpus: The rows.
        data: The recipe's data section.
        scheme: The tag scheme; "auto" detects it from the training rows.
        model_labels: The labels of a trained model ("O", "B-...", "I-..."); by default they are built from the types
            in the training rows.
        repair: Read invalid tag sequences as conlleval does, and count them in the notes, instead of N02.
        spans: Rows are texts with character spans.
        seed: The seed of the split; None for rows that a trained model is evaluated on, which are neither searched for
            leakage nor split.
    """
    corpus, errors, notes = _tokenize_spans(corpus, data) if spans else _check_token_lists(corpus, data)
    if errors:
        return CheckedSentences(corpus, errors=errors, notes=notes)
    corpus, errors, scheme_notes = _convert_to_iob2(corpus, "spans" if spans else scheme, repair)
    notes += scheme_notes
    if errors:
        return CheckedSentences(corpus, errors=errors, notes=notes)
    labels = tuple(model_labels or schemes.make_labels(schemes.collect_types(_iter_training_tags(corpus))))
    source = "of the model" if model_labels else "in training"
    corpus, errors, type_notes = _check_types(corpus, labels, data, source)
    notes += type_notes
    if seed is not None:
        corpus, duplicates, duplicate_notes = check_duplicates(corpus, "text", None, data)
        errors += duplicates
        notes += duplicate_notes
    if errors:
        return CheckedSentences(corpus, errors=errors, notes=notes)
    if seed is not None:
        corpus = create_missing_splits(corpus, label_column=None, text_column="text", data=data, seed=seed)
    near, near_notes = find_near_duplicates(corpus, "text")
    numbers = {label: number for number, label in enumerate(labels)}
    references = {
        name: object_array(
            np.array([numbers[tag] for tag in tags], np.int64) for tags in split.column("tags")
        )
        for name, split in corpus.splits.items()
    }
    return CheckedSentences(corpus, labels, references, notes=[*notes, *near_notes], near_duplicates=near)


def _check_token_lists(corpus: Corpus, data: Data) -> Checked:
    """Check that each row is a list of tokens and a list of as many tags; add `text` and `offsets`."""
    errors: list[ErrorDetail] = []
    notes: list[str] = []
    dropped: dict[str, NDArray[np.bool_]] = {}
    for name, split in corpus.splits.items():
        tokens, tags = list(split.column("tokens")), _name_tags(split.column("tags"), data.labels)
        empty = np.array([row == [] for row in tokens], bool)
        dropped[name] = empty if data.empty_text == "drop" and not empty.all() else np.zeros_like(empty)
        rows = np.flatnonzero(~dropped[name]).tolist()
        errors += collect_errors(
            (split.place(row), error) for row in rows if (error := _check_row(tokens[row], tags[row]))
        )
        if dropped[name].any():
            notes.append(f"{name}: {format_row_count(int(dropped[name].sum()))} dropped (no tokens)")
    if errors:
        return Checked(corpus, errors, notes)
    corpus = corpus.drop_rows(dropped)
    splits = {}
    for name, split in corpus.splits.items():
        texts = [join_words(tokens) for tokens in split.column("tokens")]
        columns = {
            "tags": _name_tags(split.column("tags"), data.labels),
            "text": [text for text, _ in texts],
            "offsets": _offset_array([offsets for _, offsets in texts]),
        }
        splits[name] = with_columns(split, columns)
    return Checked(replace(corpus, splits=splits), [], notes)


def _check_row(tokens: Any, tags: Any) -> RowError | None:
    """Return the first error of a row."""
    if not isinstance(tokens, list):
        message = f'"tokens" is {_quote(tokens)}, not a list'
        return RowError("L02", message, 'write ["a", "list", "of", "words"]')
    if not tokens:
        return RowError("L03", '"tokens" is empty', "remove the row, or set data.empty_text=drop")
    for number, token in enumerate(tokens, 1):
        if not isinstance(token, str):
            return RowError("L02", f"token {number} is {_quote(token)}, not a string", "write a word there")
        if not token:
            return RowError("L03", f"token {number} of {len(tokens)} is empty", "remove it and its tag")
    if tags is None or (isinstance(tags, list) and None in tags):
        fix = "write a tag for each token; O is the tag of tokens outside entities"
        return RowError("L04", '"tags" is null, or contains null', fix)
    if not isinstance(tags, list):
        message = f'"tags" is {_quote(tags)}, not a list'
        return RowError("N03", message, "write a list with a tag for each token")
    if len(tags) != len(tokens):
        message = f"{_count(len(tokens), 'token')}, but {_count(len(tags), 'tag')}"
        return RowError("N01", message, "write one tag for each token")
    for tag in tags:
        if not isinstance(tag, str):
            fix = "write tags like B-PER, or name them in the order of their numbers with data.labels"
            return RowError("N03", f"a tag is {_quote(tag)}, not a string", fix)
    return None


def _name_tags(tags: Sequence[Any], names: Sequence[str] | None) -> list[Any]:
    """Replace tags given as numbers by their names in data.labels."""
    if not names:
        return list(tags)
    by_number: dict[Any, str] = dict(enumerate(names))
    return [[by_number.get(tag, tag) for tag in row] if isinstance(row, list) else row for row in tags]


def _tokenize_spans(corpus: Corpus, data: Data) -> Checked:
    """Split each text into words, tagged by the entities of its row."""
    corpus, errors, notes = check_texts(corpus, "text", data)
    if errors:
        return Checked(corpus, errors, notes)
    splits = {}
    for name, split in corpus.splits.items():
        rows = list(zip(split.column("text"), split.column("entities")))
        errors += collect_errors(
            (split.place(i), error) for i, row in enumerate(rows) for error in find_span_errors(*row)
        )
        if errors:
            continue
        tagged = [tag_words(*row) for row in rows]
        columns = {
            "tokens": [words.tokens for words in tagged],
            "tags": [words.tags for words in tagged],
            "offsets": _offset_array([words.offsets for words in tagged]),
        }
        splits[name] = with_columns(split, columns)
    return Checked(corpus if errors else replace(corpus, splits=splits), errors, notes)


def _convert_to_iob2(
    corpus: Corpus, scheme: Literal["auto", "spans"] | schemes.Scheme, repair: bool
) -> Checked:
    """Convert tags of any scheme to IOB2.

    N03: tags that the scheme does not have. N02: tags in positions that the scheme does not allow. L08: no entity.
    """
    detected = schemes.detect_scheme(_iter_training_tags(corpus)) if scheme == "auto" else scheme
    source: schemes.Scheme = "IOB2" if detected is None or detected == "spans" else detected
    errors = [error for split in corpus.splits.values() for error in _find_unknown_tags(split, source)]
    invalid: list[_InvalidTag] = []
    if not errors:
        invalid = [tag for split in corpus.splits.values() for tag in _find_invalid_tags(split, source)]
    if not repair:
        errors += collect_errors((tag.place, tag.error) for tag in invalid)
    if errors:
        return Checked(corpus, errors, [])
    splits, entities = {}, 0
    for name, split in corpus.splits.items():
        tags = [schemes.to_iob2(row) for row in split.column("tags")]
        splits[name] = with_columns(split, {"tags": tags})
        entities += sum(tag[0] == "B" for row in tags for tag in row)
    fingerprint = corpus.fingerprint
    if source != "IOB2" or invalid:  # the same file may be read with another scheme, or without repair
        fingerprint = sha256(f"{fingerprint}\ntags {source} {bool(invalid)}".encode()).hexdigest()
    corpus = Corpus(splits, fingerprint, corpus.notes)
    shown = "spans" if scheme == "spans" else source
    conversion = "" if shown == "IOB2" else " converted to IOB2"
    notes = [f"tags: {shown}{conversion}, {_count(entities, 'entity', 'entities')}"]
    if invalid:
        rows = format_row_count(len({tag.row_place for tag in invalid}))
        notes.append(f"tags: {len(invalid):,} invalid in their position, in {rows}, read as conlleval does")
    train = corpus.splits.get("train")
    if train and not any(tag != "O" for row in train.column("tags") for tag in row):
        message = f"no entity in the {format_row_count(len(train))} of the training set"
        errors.append(ErrorDetail("L08", train.place(0), message, "add sentences with entities"))
    return Checked(corpus, errors, notes)


def _find_unknown_tags(split: Split, scheme: schemes.Scheme) -> list[ErrorDetail]:
    """N03: one error for each tag that the scheme does not have."""
    places: dict[str, list[str]] = {}
    for row, tags in enumerate(split.column("tags")):
        for position, message in schemes.find_unknown_tags(tags, scheme):
            places.setdefault(message, []).append(_place_tag(split, row, position))
    fix = "correct it, or name the column of the tags with data.columns.tags"
    return collect_errors(
        (at[0], RowError("N03", message + _format_others(at), fix)) for message, at in places.items()
    )


@dataclass(frozen=True)
class _InvalidTag:
    """A tag in a position that its scheme does not allow: the places of the tag and of its row, and the error."""

    place: str
    row_place: str
    error: RowError


def _find_invalid_tags(split: Split, scheme: schemes.Scheme) -> Iterator[_InvalidTag]:
    """N02: tags in positions that the scheme does not allow."""
    fix = "correct it, or set task.repair_tags=true"
    for row, (tokens, tags) in enumerate(zip(split.column("tokens"), split.column("tags"))):
        for position, problem in schemes.find_errors(tags, scheme):
            message = f'{problem} (token {position + 1}, "{excerpt(tokens[position], 0)}")'
            place = _place_tag(split, row, position)
            yield _InvalidTag(place, split.place(row), RowError("N02", message, fix))


def _check_types(corpus: Corpus, labels: Sequence[str], data: Data, source: str) -> Checked:
    """N03: entity types that the labels do not have.

    With data.unknown_labels=drop, such rows of validation and test are dropped.
    """
    known = [label[2:] for label in labels if label.startswith("B-") and f"I-{label[2:]}" in labels]
    errors: list[ErrorDetail] = []
    notes: list[str] = []
    dropped: dict[str, NDArray[np.bool_]] = {}
    for name, split in corpus.splits.items():
        unknown: dict[str, list[tuple[int, int]]] = {}  # type -> (row, position) of its entities
        for row, tags in enumerate(split.column("tags")):
            for position, tag in enumerate(tags):
                if tag[0] == "B" and tag[2:] not in known:
                    unknown.setdefault(tag[2:], []).append((row, position))
        mask = np.zeros(len(split), bool)
        mask[[row for entities in unknown.values() for row, _ in entities]] = True
        if not mask.any():
            continue
        if data.unknown_labels == "drop" and name != "train" and not mask.all():
            dropped[name] = mask
            count = format_row_count(int(mask.sum()))
            notes.append(f"{name}: {count} dropped (a type not among the {len(known)} {source})")
            continue
        or_drop = "" if name == "train" else ", or set data.unknown_labels=drop"
        for label, entities in unknown.items():
            at = [_place_tag(split, row, position) for row, position in entities]
            others = _format_others(at)
            message = (
                f'type "{label}" is not one of the {len(known)} {source} ({shorten_list(known)}){others}'
            )
            errors.append(ErrorDetail("N03", at[0], message, f"correct it{or_drop}{suggest(label, known)}"))
    return Checked(corpus if errors else corpus.drop_rows(dropped), errors, notes)


def _iter_training_tags(corpus: Corpus) -> Iterator[list[str]]:
    """Yield the tags of the training rows, or of all rows if there are no training rows."""
    for name, split in corpus.splits.items():
        if name == "train" or "train" not in corpus.splits:
            yield from split.column("tags")


def _offset_array(offsets: Sequence[Offsets]) -> pa.Array:
    import pyarrow as pa

    return pa.array(offsets, pa.list_(pa.list_(pa.int32())))


def _place_tag(split: Split, row: int, position: int) -> str:
    """Return `file:line` of a tag; in files with one token per line, that is the token's own line."""
    file, line = split.files[split.file_index[row]], int(split.lines[row])
    return f"{file}:{line + position if data_suffix(file) in CONLL else line}"


def _format_others(places: Sequence[str]) -> str:
    return f", also at {shorten_list(places[1:])}" if len(places) > 1 else ""


def _quote(value: object) -> str:
    if value is None:
        return "null"
    return f'"{excerpt(value, 0)}"' if isinstance(value, str) else excerpt(str(value), 0)


def _count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
