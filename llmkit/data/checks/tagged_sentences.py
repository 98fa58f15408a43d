"""Faults of tagged sentences (named entities), found before any training; every tag scheme read as IOB2.

Rows are sentences, {"tokens": [...], "tags": [...]}, or texts with entities as character spans,
{"text": ..., "entities": [{"start": ..., "end": ..., "label": ...}]}. After the check both kinds have the columns
`tokens`, `tags` (in IOB2), `text` and `offsets` ([start, end] of each token in the text, in characters).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, closest, some
from llmkit.data.checks.columns import object_array, with_columns
from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
from llmkit.data.checks.entity_spans import find_span_errors, tag_words
from llmkit.data.checks.row_errors import Fault, collect_errors
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.file_errors import excerpt
from llmkit.data.reading.readers import CONLL, data_suffix
from llmkit.data.splits import create_missing_splits
from llmkit.recipe.schema import Data
from llmkit.text import tags as schemes
from llmkit.text.words import Offsets, join_words

__all__ = ["CheckedSentences", "check_tagged_sentences"]

Step = tuple[Corpus, list[ErrorDetail], list[str]]  # what is left, problems, notes


@dataclass(frozen=True)
class CheckedSentences:
    """Sentences and what is wrong with them; where there are problems, there are no labels and no golds."""

    corpus: Corpus
    labels: tuple[str, ...] = ()  # "O", "B-LOC", "I-LOC", ...: see text.tags.labels
    golds: Mapping[str, NDArray[np.object_]] = field(
        default_factory=dict
    )  # part -> (rows,) of int64 label ids
    problems: Sequence[ErrorDetail] = ()
    notes: Sequence[str] = ()
    near_duplicates: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)  # part -> rows


def check_tagged_sentences(
    corpus: Corpus,
    data: Data,
    *,
    scheme: Literal["auto"] | schemes.Scheme = "auto",
    known: Sequence[str] | None = None,
    repair: bool = False,
    spans: bool = False,
    seed: int | None = None,
) -> CheckedSentences:
    """One right tag for every token: L02-L04, L08, L13, N01-N03, N05, N06.

    scheme: auto finds it in the training rows. known: labels of a trained model ("O", "B-..." and "I-..."); else
    they are made of the types in the training rows. repair: transitions that can't be are read as conlleval does,
    and counted. spans: rows are texts with character spans. seed: that of the split; None for rows that a trained
    model is scored on, which are neither searched for leaks nor split.
    """
    corpus, problems, notes = _words_of_texts(corpus, data) if spans else _words_of_lists(corpus, data)
    if problems:
        return CheckedSentences(corpus, problems=problems, notes=notes)
    corpus, problems, said = _in_iob2(corpus, "spans" if spans else scheme, repair)
    notes += said
    if problems:
        return CheckedSentences(corpus, problems=problems, notes=notes)
    labels = tuple(known or schemes.make_labels(schemes.collect_types(_learned(corpus))))
    corpus, problems, said = _known_types(corpus, labels, data, "of the model" if known else "in training")
    notes += said
    if seed is not None:
        corpus, repeated, said = check_duplicates(corpus, "text", None, data)
        problems += repeated
        notes += said
    if problems:
        return CheckedSentences(corpus, problems=problems, notes=notes)
    if seed is not None:
        corpus = create_missing_splits(corpus, label_column=None, text_column="text", data=data, seed=seed)
    near, said = find_near_duplicates(corpus, "text")
    golds = {name: _ids(part, labels) for name, part in corpus.splits.items()}
    return CheckedSentences(corpus, labels, golds, notes=[*notes, *said], near_duplicates=near)


def _words_of_lists(corpus: Corpus, data: Data) -> Step:
    """Each row a list of tokens and one of as many tags; `text` and `offsets` added."""
    problems: list[ErrorDetail] = []
    notes: list[str] = []
    dropped: dict[str, NDArray[np.bool_]] = {}
    for name, part in corpus.splits.items():
        tokens, tags = list(part.column("tokens")), _named(part.column("tags"), data.labels)
        empty = np.array([row == [] for row in tokens], bool)
        dropped[name] = empty if data.empty_text == "drop" and not empty.all() else np.zeros_like(empty)
        rows = np.flatnonzero(~dropped[name]).tolist()
        problems += collect_errors(
            (part.place(row), fault) for row in rows if (fault := _fault(tokens[row], tags[row]))
        )
        if dropped[name].any():
            notes.append(f"{name}: {format_row_count(int(dropped[name].sum()))} dropped, without tokens")
    if problems:
        return corpus, problems, notes
    corpus = corpus.drop_rows(dropped)
    return (
        replace(corpus, splits={name: _with_text(part, data) for name, part in corpus.splits.items()}),
        [],
        notes,
    )


def _fault(tokens: Any, tags: Any) -> Fault | None:
    """The first fault of a row."""
    if not isinstance(tokens, list):
        return "L02", f'"tokens" is {_what(tokens)}, not a list', 'write ["a", "list", "of", "words"]'
    if not tokens:
        return "L03", '"tokens" is empty', "remove the row, or set data.empty_text=drop"
    for number, token in enumerate(tokens, 1):
        if not isinstance(token, str):
            return "L02", f"token {number} is {_what(token)}, not a string", "write a word there"
        if not token:
            return "L03", f"token {number} of {len(tokens)} is empty", "remove it and its tag"
    if tags is None or (isinstance(tags, list) and None in tags):
        return "L04", '"tags" is null, or holds null', "write a tag for each token; O is that of no entity"
    if not isinstance(tags, list):
        return "N03", f'"tags" is {_what(tags)}, not a list', "write a list with a tag for each token"
    if len(tags) != len(tokens):
        said = f"{_several(len(tokens), 'token')}, but {_several(len(tags), 'tag')}"
        return "N01", said, "write one tag for each token"
    other = next((tag for tag in tags if not isinstance(tag, str)), None)
    fix = "write tags like B-PER, or name them in the order of their numbers with data.labels"
    return None if other is None else ("N03", f"a tag is {_what(other)}, not a string", fix)


def _named(tags: Sequence[Any], names: Sequence[str] | None) -> list[Any]:
    """Numbers as the tags that data.labels names."""
    if not names:
        return list(tags)
    by_number: dict[Any, str] = dict(enumerate(names))
    return [[by_number.get(tag, tag) for tag in row] if isinstance(row, list) else row for row in tags]


def _with_text(part: Split, data: Data) -> Split:
    """The part with its tokens' text and their offsets in it, and the tags by name."""
    texts: list[str] = []
    offsets: list[Offsets] = []
    for tokens in part.column("tokens"):
        text, places = join_words(tokens)
        texts.append(text)
        offsets.append(places)
    tags = _named(part.column("tags"), data.labels)
    return with_columns(part, {"tags": tags, "text": texts, "offsets": _pairs(offsets)})


def _words_of_texts(corpus: Corpus, data: Data) -> Step:
    """The words of each text, with the tags that its entities give them."""
    corpus, problems, notes = check_texts(corpus, "text", data)
    if problems:
        return corpus, problems, notes
    parts = {}
    for name, part in corpus.splits.items():
        rows = list(zip(part.column("text"), part.column("entities")))
        problems += collect_errors(
            (part.place(i), fault) for i, row in enumerate(rows) for fault in find_span_errors(*row)
        )
        if problems:
            continue
        found = [tag_words(*row) for row in rows]
        columns = {"tokens": [one.tokens for one in found], "tags": [one.tags for one in found]}
        parts[name] = with_columns(part, {**columns, "offsets": _pairs([one.offsets for one in found])})
    return (corpus if problems else replace(corpus, splits=parts)), problems, notes


def _in_iob2(corpus: Corpus, scheme: Literal["auto", "spans"] | schemes.Scheme, repair: bool) -> Step:
    """Tags of any scheme in IOB2. N03 tags that it does not have, N02 tags where they can't be, L08 no entity."""
    found = schemes.detect_scheme(_learned(corpus)) if scheme == "auto" else scheme
    read: schemes.Scheme = "IOB2" if found is None or found == "spans" else found
    problems = [problem for part in corpus.splits.values() for problem in _unknown_tags(part, read)]
    invalid = [] if problems else [found for part in corpus.splits.values() for found in _invalid(part, read)]
    if not repair:
        problems += collect_errors((place, fault) for place, _, fault in invalid)
    if problems:
        return corpus, problems, []
    parts, entities = {}, 0
    for name, part in corpus.splits.items():
        tags = [schemes.to_iob2(row) for row in part.column("tags")]
        parts[name] = with_columns(part, {"tags": tags})
        entities += sum(tag[0] == "B" for row in tags for tag in row)
    corpus = Corpus(parts, _fingerprint(corpus, read, bool(invalid)), corpus.notes)
    source = "spans" if scheme == "spans" else read
    how = "" if source == "IOB2" else " read as IOB2"
    notes = [f"tags: {source}{how}, {_several(entities, 'entity', 'entities')}"]
    if invalid:
        rows = format_row_count(len({row for _, row, _ in invalid}))
        notes.append(
            f"tags: {len(invalid):,} that can't stand where they do, in {rows}, read as conlleval does"
        )
    return corpus, list(_no_entities(corpus)), notes


def _unknown_tags(part: Split, scheme: schemes.Scheme) -> list[ErrorDetail]:
    """N03: one problem for each tag that the scheme does not have."""
    places: dict[str, list[str]] = {}
    for row, tags in enumerate(part.column("tags")):
        for position, message in schemes.find_unknown_tags(tags, scheme):
            places.setdefault(message, []).append(_place(part, row, position))
    fix = "correct it, or name the column of the tags with data.columns.tags"
    return collect_errors((at[0], ("N03", message + _also(at), fix)) for message, at in places.items())


def _invalid(part: Split, scheme: schemes.Scheme) -> Iterator[tuple[str, str, Fault]]:
    """N02: (place of the tag, place of the row, fault) of each tag that can't stand where it does."""
    fix = "correct it, or set task.repair_tags=true"
    for row, (tokens, tags) in enumerate(zip(part.column("tokens"), part.column("tags"))):
        for position, message in schemes.find_errors(tags, scheme):
            said = f'{message} (token {position + 1}, "{excerpt(tokens[position], 0)}")'
            yield _place(part, row, position), part.place(row), ("N02", said, fix)


def _no_entities(corpus: Corpus) -> Iterator[ErrorDetail]:
    """L08: nothing to learn."""
    train = corpus.splits.get("train")
    if train and not any(tag != "O" for row in train.column("tags") for tag in row):
        message = f"no entity in the {format_row_count(len(train))} of the training part"
        yield ErrorDetail("L08", train.place(0), message, "add sentences with entities")


def _known_types(corpus: Corpus, labels: Sequence[str], data: Data, source: str) -> Step:
    """N03: a type that is not among the labels; such rows of validation and test go if data.unknown_labels=drop."""
    known = [label[2:] for label in labels if label.startswith("B-") and f"I-{label[2:]}" in labels]
    problems: list[ErrorDetail] = []
    notes: list[str] = []
    dropped: dict[str, NDArray[np.bool_]] = {}
    for name, part in corpus.splits.items():
        places = _types(part, known)
        mask = np.zeros(len(part), bool)
        mask[[row for found in places.values() for row, _ in found]] = True
        if not mask.any():
            continue
        if data.unknown_labels == "drop" and name != "train" and not mask.all():
            dropped[name] = mask
            notes.append(
                f"{name}: {format_row_count(int(mask.sum()))} dropped, a type not among the {len(known)} {source}"
            )
            continue
        or_drop = "" if name == "train" else ", or set data.unknown_labels=drop"
        for label, found in places.items():
            at = [_place(part, row, position) for row, position in found]
            message = f'type "{label}" is not one of the {len(known)} {source} ({some(known)}){_also(at)}'
            problems.append(ErrorDetail("N03", at[0], message, f"correct it{or_drop}{closest(label, known)}"))
    return (corpus if problems else corpus.drop_rows(dropped)), problems, notes


def _types(part: Split, known: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Type that is not known -> (row, position) of its entities. The tags are IOB2."""
    names = frozenset(known)
    found: dict[str, list[tuple[int, int]]] = {}
    for row, tags in enumerate(part.column("tags")):
        for position, tag in enumerate(tags):
            if tag[0] == "B" and tag[2:] not in names:
                found.setdefault(tag[2:], []).append((row, position))
    return found


def _ids(part: Split, labels: Sequence[str]) -> NDArray[np.object_]:
    numbers = {label: number for number, label in enumerate(labels)}
    return object_array(np.array([numbers[tag] for tag in tags], np.int64) for tags in part.column("tags"))


def _learned(corpus: Corpus) -> Iterator[list[str]]:
    """The tags of the training rows; of all rows where there are none."""
    for name, part in corpus.splits.items():
        if name == "train" or "train" not in corpus.splits:
            yield from part.column("tags")


def _fingerprint(corpus: Corpus, scheme: str, repaired: bool) -> str:
    """Another one where the tags of the same file could have been read otherwise."""
    if scheme == "IOB2" and not repaired:
        return corpus.fingerprint
    return sha256(f"{corpus.fingerprint}\ntags {scheme} {repaired}".encode()).hexdigest()


def _pairs(offsets: Sequence[Offsets]) -> Any:
    import pyarrow as pa

    return pa.array(offsets, pa.list_(pa.list_(pa.int32())))


def _place(part: Split, row: int, position: int) -> str:
    """`file:line` of a tag; in files with one token a line that is its own line."""
    file, line = part.files[part.file_index[row]], int(part.lines[row])
    return f"{file}:{line + position if data_suffix(file) in CONLL else line}"


def _also(places: Sequence[str]) -> str:
    return f", also at {some(places[1:])}" if len(places) > 1 else ""


def _what(value: object) -> str:
    return (
        "null"
        if value is None
        else f'"{excerpt(value, 0)}"'
        if isinstance(value, str)
        else excerpt(str(value), 0)
    )


def _several(count: int, one: str, more: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"
