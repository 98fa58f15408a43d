"""Find texts that occur twice: in two splits (leakage), with two labels (a contradiction), or nearly so.

Texts are compared in their canonical form (NFKC, case-folded, white space collapsed), stored as a 16-byte hash. When
the recipe says to drop, a leaked text loses its rows in the earlier split, so test rows are never dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, shorten_list
from llmkit.data.checks.labels import group_rows, read_labels
from llmkit.data.checks.row_errors import Checked
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.sources import SPLITS
from llmkit.recipe.schema import Data
from llmkit.text.dedup import pair_near_duplicates
from llmkit.text.normalize import normalize_text

__all__ = ["check_duplicates", "find_near_duplicates", "hash_texts"]

NEAR = 0.8  # Jaccard similarity of character 5-grams from which on texts are near-duplicates

RowsByText = dict[bytes, list[int]]  # hash of a text -> its rows
Masks = dict[str, NDArray[np.bool_]]  # split -> mask, shape (rows,)


@dataclass(frozen=True)
class _Leak:
    """A text of a split that an earlier split has too, with its first row in both."""

    earlier: str
    earlier_row: int
    later: str
    later_row: int


def check_duplicates(
    corpus: Corpus, text_column: str | Sequence[str], label_column: str | None, data: Data
) -> Checked:
    """Find texts in two splits and training texts with two labels: L13.

    Args:
        corpus: The rows.
        text_column: The column of texts; several columns are compared as one text (pairs).
        label_column: The column of labels; None when labels cannot contradict each other.
        data: data.duplicates says whether duplicates are errors, dropped, or only counted in the notes. Repeated texts
            within a split are always counted in the notes.
    """
    rows = {name: group_rows(hash_texts(split, text_column)) for name, split in corpus.splits.items()}
    leaks = [
        _Leak(earlier, rows[earlier][text_hash][0], later, later_rows[0])
        for later in rows
        for text_hash, later_rows in rows[later].items()
        for earlier in _earlier_splits(rows, later)
        if text_hash in rows[earlier]
    ]
    labels: list[str | None] = []
    contradictions: list[list[int]] = []
    if label_column is not None and "train" in rows:
        labels = read_labels(corpus.splits["train"], label_column)
        texts = rows["train"].values()
        contradictions = [of_text for of_text in texts if len({labels[row] for row in of_text}) > 1]
    if data.duplicates == "error":
        return Checked(corpus, _make_errors(corpus, leaks, labels, contradictions), _note_repeats(rows))
    if data.duplicates == "allow":
        notes = []
        if leaks:
            notes.append(f"{len(leaks):,} texts occur in two splits (data.duplicates=allow)")
        if contradictions:
            notes.append(f"train: {len(contradictions):,} texts with two labels (data.duplicates=allow)")
        return Checked(corpus, [], notes + _note_repeats(rows))
    return _drop_duplicates(corpus, rows, leaks, contradictions)


def find_near_duplicates(
    corpus: Corpus, text_column: str | Sequence[str]
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Find rows of validation and test that nearly repeat a row of an earlier split, so a score can leave them out.

    Returns:
        Split -> rows, ascending, without splits that have no such rows; and a note for each pair of splits.
    """
    names = list(corpus.splits)
    texts = {name: list(_iter_texts(corpus.splits[name], text_column)) for name in names[1:]}
    pairs: dict[tuple[str, str], list[tuple[int, int, float]]] = {}  # (earlier row, later row, similarity)
    for number, earlier in enumerate(names[:-1]):
        later = names[number + 1 :]
        earlier_texts = texts.get(earlier) or _iter_texts(corpus.splits[earlier], text_column)
        found = pair_near_duplicates(earlier_texts, [texts[name] for name in later], NEAR)
        pairs |= {(earlier, name): of_pair for name, of_pair in zip(later, found, strict=True) if of_pair}
    near: dict[str, NDArray[np.int64]] = {}
    notes = []
    for (earlier, name), of_pair in sorted(pairs.items(), key=lambda item: names.index(item[0][1])):
        rows = np.union1d(near.get(name, np.zeros(0, np.int64)), [j for _, j, _ in of_pair])
        near[name] = rows.astype(np.int64)
        first, second = corpus.splits[earlier], corpus.splits[name]
        examples = shorten_list((f"{first.place(i)} ~ {second.place(j)} ({s:.2f})" for i, j, s in of_pair), 3)
        share = f"{len({j for _, j, _ in of_pair}):,} of {format_row_count(len(second))}"
        notes.append(f"{name}: {share} nearly repeat a row of {earlier}: {examples}")
    return near, notes


def hash_texts(split: Split, text_column: str | Sequence[str]) -> list[bytes]:
    """Hash the text of each row; texts that differ only in case, width or white space have the same hash."""
    return [
        hashlib.blake2b(normalize_text(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        for text in _iter_texts(split, text_column)
    ]


def _iter_texts(split: Split, text_column: str | Sequence[str]) -> Iterator[str]:
    """Yield one text per row; several columns are joined by a character that texts do not contain."""
    columns = [text_column] if isinstance(text_column, str) else list(text_column)
    return ("\x00".join(texts) for texts in zip(*(split.column(column) for column in columns)))


def _earlier_splits(rows: Mapping[str, RowsByText], later: str) -> list[str]:
    return [name for name in SPLITS[: SPLITS.index(later)] if name in rows]


def _make_errors(
    corpus: Corpus,
    leaks: Sequence[_Leak],
    labels: Sequence[str | None],
    contradictions: Sequence[Sequence[int]],
) -> list[ErrorDetail]:
    """Make one L13 per leak and per contradiction; `labels` are those of the training rows."""
    errors = []
    for leak in leaks:
        first = corpus.splits[leak.earlier].place(leak.earlier_row)
        second = corpus.splits[leak.later].place(leak.later_row)
        message = f"the same text occurs in {leak.earlier} and {leak.later} ({first} = {second})"
        fix = "remove one of them, or set data.duplicates=drop"
        errors.append(ErrorDetail("L13", second, message, fix))
    for row, *others in contradictions:
        train = corpus.splits["train"]
        other = next(candidate for candidate in others if labels[candidate] != labels[row])
        message = f'label "{labels[other]}", but the same text in {train.place(row)} has "{labels[row]}"'
        fix = "keep the right one, or set data.duplicates=drop"
        errors.append(ErrorDetail("L13", train.place(other), message, fix))
    return errors


def _drop_duplicates(
    corpus: Corpus,
    rows: Mapping[str, RowsByText],
    leaks: Sequence[_Leak],
    contradictions: Sequence[Sequence[int]],
) -> Checked:
    """Drop the earlier rows of each leak and all training rows of each contradiction."""
    masks: Masks = {name: np.zeros(len(split), bool) for name, split in corpus.splits.items()}
    for later in rows:
        for earlier in _earlier_splits(rows, later):
            shared = rows[earlier].keys() & rows[later].keys()
            masks[earlier][[row for text_hash in shared for row in rows[earlier][text_hash]]] = True
    notes = [
        f"{name}: {format_row_count(int(mask.sum()))} dropped (text also in a later split)"
        for name, mask in masks.items()
        if mask.any()
    ]
    if contradictions:
        contradicted = [row for of_text in contradictions for row in of_text]
        notes.append(f"train: {format_row_count(len(contradicted))} dropped (text with two labels)")
        masks["train"][contradicted] = True
    if empty := [name for name, mask in masks.items() if len(mask) and mask.all()]:
        message = f"no row of {empty[0]} is left without the {len(leaks):,} leaked and contradictory texts"
        fix = "provide other rows, or set data.duplicates=allow"
        return Checked(corpus, [ErrorDetail("L13", corpus.splits[empty[0]].place(0), message, fix)], notes)
    return Checked(corpus.drop_rows(masks), [], notes + _note_repeats(rows, masks))


def _note_repeats(rows: Mapping[str, RowsByText], dropped: Masks | None = None) -> list[str]:
    """Note how many rows that are not dropped repeat an earlier row of their own split."""
    notes = []
    for name, by_text in rows.items():
        mask = dropped[name] if dropped else None  # all rows of a text are dropped together
        count = sum(len(of_text) - 1 for of_text in by_text.values() if mask is None or not mask[of_text[0]])
        if count:
            notes.append(
                f"{name}: {format_row_count(count)} with a text that occurs earlier in the same split"
            )
    return notes
