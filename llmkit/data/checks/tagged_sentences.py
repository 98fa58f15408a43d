"""Check tagged sentences (named entities) and convert every tag scheme to IOB2.

Rows are sentences, {"tokens": [...], "tags": [...]}, or texts with entities as character spans,
{"text": ..., "entities": [{"start": ..., "end": ..., "label": ...}]}. After the check both have the columns `tokens`,
`tags` (in IOB2), `text` and `offsets` ([start, end] of each token in the text, in characters).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from llmkit.data.checks.span_units import check_unit
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.file_errors import excerpt
from llmkit.data.reading.readers import CONLL, PLAIN_TEXT, data_suffix
from llmkit.data.splits import create_missing_splits
from llmkit.recipe.schema import Data
from llmkit.text import tags as schemes
from llmkit.text.words import Offsets, join_words

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CheckedSentences", "check_tagged_sentences"]

# Suffixes of files in which each line is a token, when their rows are tokens with tags.
ONE_TOKEN_A_LINE = (*(suffix for suffix in CONLL if suffix != ".conllu"), PLAIN_TEXT, ".tsv")


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
    seed: int | None = None,
) -> CheckedSentences:
    """Check that every token has one valid tag: L02-L04, L08, L13, N01-N03, N05-N08.

    Args:
        corpus: The rows. A split with the column "entities" and without "tokens" has texts with spans.
        data: The recipe's data section.
        scheme: The tag scheme; "auto" detects it from the training rows.
        model_labels: The labels of a trained model ("O", "B-...", "I-..."); by default they are built from the types
            in the training rows.
        repair: Read invalid tag sequences as conlleval does, and count them in the notes, instead of N02.
        seed: The seed of the split; None for rows that a trained model is evaluated on, which are neither searched for
            leakage nor split.
    """
    spans = {
        name
        for name, split in corpus.splits.items()
        if "entities" in split.rows.column_names and "tokens" not in split.rows.column_names
    }
    corpus, errors, notes = _tokenize_spans(corpus, data, spans)
    corpus, token_errors, token_notes = _check_token_lists(corpus, data, corpus.splits.keys() - spans)
    errors += token_errors
    notes += token_notes
    if errors:
        return CheckedSentences(corpus, errors=errors, notes=notes)
    corpus, errors, scheme_notes = _convert_to_iob2(corpus, scheme, repair, spans)
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


def _check_token_lists(corpus: Corpus, data: Data, names: Collection[str]) -> Checked:
    """Check that each row of these splits is a list of tokens and a list of as many tags; add `text` and `offsets`."""
    errors: list[ErrorDetail] = []
    notes: list[str] = []
    dropped: dict[str, NDArray[np.bool_]] = {}
    for name, split in corpus.splits.items():
        if name not in names:
            continue
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
    splits = dict(corpus.splits)
    for name, split in corpus.splits.items():
        if name not in names:
            continue
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


def _tokenize_spans(corpus: Corpus, data: Data, names: Collection[str]) -> Checked:
    """Split each text of these splits into words, tagged by the entities of its row."""
    with_spans = replace(
        corpus, splits={name: corpus.splits[name] for name in corpus.splits if name in names}
    )
    checked, errors, notes = check_texts(with_spans, "text", data)
    if errors:
        return Checked(corpus, errors, notes)
    splits = {**corpus.splits, **checked.splits}
    converted = []
    for name, split in checked.splits.items():
        rows = list(zip(split.column("text"), split.column("entities")))
        unit_errors, unit_notes, units = _convert_units(split, rows)
        errors += unit_errors
        notes += [f"{name}: {note}" for note in unit_notes]
        converted += units
        if unit_errors:
            continue
        errors += collect_errors(
            (split.place(i), error) for i, row in enumerate(rows) for error in find_span_errors(*row)
        )
        if errors:
            continue
        tagged = [tag_words(*row) for row in rows]
        columns: dict[str, Any] = {"entities": [entities for _, entities in rows]} if units else {}
        columns |= {
            "tokens": [words.tokens for words in tagged],
            "tags": [words.tags for words in tagged],
            "offsets": _offset_array([words.offsets for words in tagged]),
        }
        splits[name] = with_columns(split, columns)
    if errors:
        return Checked(corpus, errors, notes)
    fingerprint = corpus.fingerprint
    if checked.fingerprint != with_spans.fingerprint or converted:  # rows dropped, or other offsets
        fingerprint = sha256(f"{fingerprint}\n{checked.fingerprint} {converted}".encode()).hexdigest()
    return Checked(replace(corpus, splits=splits, fingerprint=fingerprint), errors, notes)


def _convert_units(
    split: Split, rows: list[tuple[str, Any]]
) -> tuple[list[ErrorDetail], list[str], list[str]]:
    """Convert the offsets of each file that does not count characters, in place.

    Returns:
        N07 for each file of which only most entities fit another unit, notes, and the units of the converted files.
    """
    errors, notes, units = list[ErrorDetail](), list[str](), list[str]()
    for index, file in enumerate(split.files):
        numbers = np.flatnonzero(split.file_index == index).tolist()
        found = check_unit([rows[row] for row in numbers])
        if found.ambiguous:
            notes.append(
                f"{file}: {_count(found.ambiguous, 'entity', 'entities')} would have another place if offsets counted"
                " UTF-16 units; they are read as characters"
            )
        if found.unit is None:
            continue
        if found.fitting < found.total:
            message = (
                f"{found.fitting:,} of {_count(found.total, 'entity', 'entities')} in this file fit if offsets count"
                f" {found.unit.name}, and {found.in_characters:,} if they count characters; this row fits neither"
            )
            fix = "correct this row, or convert all offsets to characters"
            errors.append(ErrorDetail("N07", split.place(numbers[found.misfit]), message, fix))
            continue
        for row in numbers:
            text, entities = rows[row]
            rows[row] = text, found.convert(text, entities) if isinstance(entities, list) else entities
        units.append(found.unit.name)
        notes.append(f"{file}: offsets count {found.unit.name}; converted to characters")
    return errors, notes, units


def _convert_to_iob2(
    corpus: Corpus, scheme: Literal["auto"] | schemes.Scheme, repair: bool, spans: Collection[str]
) -> Checked:
    """Convert tags of any scheme to IOB2; splits of texts with spans have it already.

    N03: tags that the scheme does not have. N02: tags in positions that the scheme does not allow. L08: no entity.
    """
    tagged = replace(
        corpus, splits={name: corpus.splits[name] for name in corpus.splits if name not in spans}
    )
    notes: list[str] = []
    if scheme == "auto":
        tagged, notes = _standardize_tags(tagged)
    detected = schemes.detect_scheme(_iter_training_tags(tagged)) if scheme == "auto" else scheme
    source: schemes.Scheme = detected or "IOB2"
    errors = _find_untagged(tagged) if scheme == "auto" and detected is None else []
    errors = errors or [
        error for split in tagged.splits.values() for error in _find_unknown_tags(split, source)
    ]
    invalid: list[_InvalidTag] = []
    if not errors:
        invalid = [tag for split in tagged.splits.values() for tag in _find_invalid_tags(split, source)]
    if not repair:
        errors += collect_errors((tag.place, tag.error) for tag in invalid)
    if errors:
        return Checked(corpus, errors, notes)
    splits, entities = {}, 0
    for name, split in {**corpus.splits, **tagged.splits}.items():
        tags = [schemes.to_iob2(row) for row in split.column("tags")]
        splits[name] = with_columns(split, {"tags": tags})
        entities += sum(tag[0] == "B" for row in tags for tag in row)
    fingerprint = tagged.fingerprint
    if source != "IOB2" or invalid:  # the same file may be read with another scheme, or without repair
        fingerprint = sha256(f"{fingerprint}\ntags {source} {bool(invalid)}".encode()).hexdigest()
    corpus = Corpus(splits, fingerprint, corpus.notes)
    shown = " and ".join([*(["spans"] if spans else []), *([source] if tagged.splits else [])])
    conversion = "" if shown == "IOB2" else " converted to IOB2"
    notes.append(f"tags: {shown}{conversion}, {_count(entities, 'entity', 'entities')}")
    if invalid:
        rows = format_row_count(len({tag.row_place for tag in invalid}))
        notes.append(f"tags: {len(invalid):,} invalid in their position, in {rows}, read as conlleval does")
    train = corpus.splits.get("train")
    if train and not any(tag != "O" for row in train.column("tags") for tag in row):
        message = f"no entity in the {format_row_count(len(train))} of the training set"
        errors.append(ErrorDetail("L08", train.place(0), message, "add sentences with entities"))
    return Checked(corpus, errors, notes)


def _standardize_tags(corpus: Corpus) -> tuple[Corpus, list[str]]:
    """Rewrite tags that are written in an unusual way, such as B_PER (see `schemes.find_variant`)."""
    distinct = {tag for split in corpus.splits.values() for tags in split.column("tags") for tag in tags}
    variant = schemes.find_variant(distinct)
    if variant is None:
        return corpus, []
    splits = {
        name: with_columns(
            split, {"tags": [[variant.tags[tag] for tag in tags] for tags in split.column("tags")]}
        )
        for name, split in corpus.splits.items()
    }
    fingerprint = sha256(f"{corpus.fingerprint}\n{variant.description}".encode()).hexdigest()
    return Corpus(splits, fingerprint, corpus.notes), [f"tags: {variant.description}"]


def _find_untagged(corpus: Corpus) -> list[ErrorDetail]:
    """N03: no tag of the corpus has a prefix, and none is O, so the tags are parts of speech or something else."""
    counts = Counter(tag for split in corpus.splits.values() for tags in split.column("tags") for tag in tags)
    if not counts or counts["O"] or any(schemes.has_prefix(tag) for tag in counts):
        return []
    split = next(iter(corpus.splits.values()))
    if set(counts) == {""}:
        message, fix = "all tags are empty", "name the column of the tags with data.columns.tags"
    else:
        most = ", ".join(f'"{tag}"' for tag, _ in counts.most_common(3))
        message = (
            f"no tag is O or has a prefix such as B- (the {_count(len(counts), 'distinct tag')}: {most}, ...);"
            " this task finds entities, not parts of speech or other classes of words"
        )
        fix = "name the column of the entity tags with data.columns.tags"
    return [ErrorDetail("N03", split.place(0), message, fix)]


def _find_unknown_tags(split: Split, scheme: schemes.Scheme) -> list[ErrorDetail]:
    """N03: one error for each tag that the scheme does not have."""
    places: dict[tuple[str, str], list[str]] = {}
    for row, tags in enumerate(split.column("tags")):
        for position, message in schemes.find_unknown_tags(tags, scheme):
            fix = "correct it, or name the column of the tags with data.columns.tags"
            if not tags[position]:
                message, fix = "the tag is empty", "write a tag; O is the tag of tokens outside entities"
            elif variant := schemes.find_variant({tags[position]}):
                fix = f'write "{variant.tags[tags[position]]}"'
            places.setdefault((message, fix), []).append(_place_tag(split, row, position))
    return collect_errors(
        (at[0], RowError("N03", message + _format_others(at), fix)) for (message, fix), at in places.items()
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
    """Return `file:line` of a tag; in files with one token per line, that is the token's own line.

    In CoNLL-U files it is the line of the sentence, because these files have further lines between tokens.
    """
    file, line = split.files[split.file_index[row]], int(split.lines[row])
    return f"{file}:{line + position if data_suffix(file) in ONE_TOKEN_A_LINE else line}"


def _format_others(places: Sequence[str]) -> str:
    return f", also at {shorten_list(places[1:])}" if len(places) > 1 else ""


def _quote(value: object) -> str:
    if value is None:
        return "null"
    return f'"{excerpt(value, 0)}"' if isinstance(value, str) else excerpt(str(value), 0)


def _count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
