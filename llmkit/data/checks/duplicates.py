"""Texts that stand twice: across the parts (a leak), with two labels (a contradiction), or nearly so.

A text is compared in its canonical form (NFKC, case folded, white space collapsed), kept as a 16-byte hash.
Of a leaked text the earlier part loses its rows when the recipe says drop, so test rows are never dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, some
from llmkit.data.checks.labels import read_labels
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.sources import SPLITS
from llmkit.recipe.schema import Data
from llmkit.text.dedup import pair_near_duplicates
from llmkit.text.normalize import normalize_text

__all__ = ["check_duplicates", "find_near_duplicates", "hash_texts"]

NEAR = 0.8  # Jaccard similarity of character 5-grams

Rows = dict[bytes, list[int]]  # key of a text -> its rows
Masks = dict[str, NDArray[np.bool_]]  # part -> (rows,)


def check_duplicates(
    corpus: Corpus, text_column: str | Sequence[str], label_column: str | None, data: Data
) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """L13: a text in two parts, or with two labels in train; data.duplicates says error, drop or allow.

    text_column: several columns make one text (pairs). label_column: None where labels can't contradict
    each other. Returns what is left, the problems, and notes (counts of rows dropped, of repeats within a
    part).
    """
    rows = {name: _rows_by_key(hash_texts(part, text_column)) for name, part in corpus.splits.items()}
    leaks = [leak for name in rows for leak in _leaks(rows, name)]
    clashes = _contradictions(corpus, rows, label_column)
    if data.duplicates == "error":
        problems = _leak_problems(corpus, leaks) + _clash_problems(corpus, clashes, label_column)
        return corpus, problems, _repeat_notes(rows)
    if data.duplicates == "allow":
        notes = [f"{len(leaks):,} texts stand in two parts (data.duplicates=allow)"] if leaks else []
        notes += [f"train: {len(clashes):,} texts with two labels (data.duplicates=allow)"] if clashes else []
        return corpus, [], notes + _repeat_notes(rows)
    return _dropped(corpus, rows, leaks, clashes)


def find_near_duplicates(
    corpus: Corpus, text_column: str | Sequence[str]
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Rows of validation and test that nearly repeat a row of an earlier part, so a score can leave them out.

    Returns (part -> rows, ascending; parts without such rows are left out) and a note for each pair of parts.
    """
    names = list(corpus.splits)
    texts = {name: list(_texts(corpus.splits[name], text_column)) for name in names[1:]}
    pairs: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
    for number, earlier in enumerate(names[:-1]):
        later = names[number + 1 :]
        first = texts.get(earlier) or _texts(corpus.splits[earlier], text_column)
        found = pair_near_duplicates(first, [texts[name] for name in later], NEAR)
        pairs |= {(earlier, name): own for name, own in zip(later, found, strict=True) if own}
    concerned: dict[str, NDArray[np.int64]] = {}
    notes = []
    for (earlier, name), own in sorted(pairs.items(), key=lambda item: names.index(item[0][1])):
        both = np.union1d(concerned.get(name, np.zeros(0, np.int64)), [j for _, j, _ in own])
        concerned[name] = both.astype(np.int64)
        notes.append(_near_note(corpus, earlier, name, own))
    return concerned, notes


def _near_note(corpus: Corpus, earlier: str, later: str, pairs: Sequence[tuple[int, int, float]]) -> str:
    first, second = corpus.splits[earlier], corpus.splits[later]
    shown = some((f"{first.place(i)} ~ {second.place(j)} ({s:.2f})" for i, j, s in pairs), 3)
    share = f"{len({j for _, j, _ in pairs}):,} of {format_row_count(len(second))}"
    return f"{later}: {share} nearly repeat a row of {earlier}: {shown}"


def hash_texts(part: Split, text_column: str | Sequence[str]) -> list[bytes]:
    """Equal for rows whose texts are the same up to case, width and white space."""
    return [
        hashlib.blake2b(normalize_text(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        for text in _texts(part, text_column)
    ]


def _texts(part: Split, text_column: str | Sequence[str]) -> Iterator[str]:
    """One text a row; of several columns, joined by a mark that texts don't hold."""
    columns = [text_column] if isinstance(text_column, str) else list(text_column)
    return ("\x00".join(texts) for texts in zip(*(part.column(column) for column in columns)))


def _rows_by_key(keys: Sequence[bytes]) -> Rows:
    rows: Rows = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows


def _before(parts: Mapping[str, object], later: str) -> list[str]:
    return [name for name in SPLITS[: SPLITS.index(later)] if name in parts]


Leak = tuple[str, int, str, int]  # earlier part, its first row, later part, its first row of the same text


def _leaks(rows: Mapping[str, Rows], later: str) -> list[Leak]:
    """One for each text of the later part that stands in an earlier one."""
    return [
        (earlier, rows[earlier][key][0], later, where[0])
        for key, where in rows[later].items()
        for earlier in _before(rows, later)
        if key in rows[earlier]
    ]


def _contradictions(corpus: Corpus, rows: Mapping[str, Rows], label_column: str | None) -> list[list[int]]:
    """Training rows of each text that has several labels there."""
    if label_column is None or "train" not in rows:
        return []
    labels = read_labels(corpus.splits["train"], label_column)
    return [where for where in rows["train"].values() if len({labels[row] for row in where}) > 1]


def _leak_problems(corpus: Corpus, leaks: list[Leak]) -> list[ErrorDetail]:
    fix = "remove one of them, or set data.duplicates=drop"
    problems = []
    for earlier, i, later, j in leaks:
        places = corpus.splits[earlier].place(i), corpus.splits[later].place(j)
        message = f"the same text stands in {earlier} and {later} ({places[0]} = {places[1]})"
        problems.append(ErrorDetail("L13", places[1], message, fix))
    return problems


def _clash_problems(corpus: Corpus, clashes: list[list[int]], label_column: str | None) -> list[ErrorDetail]:
    if not clashes or label_column is None:
        return []
    train = corpus.splits["train"]
    labels = read_labels(train, label_column)
    problems = []
    for first, *others in clashes:
        other = next(row for row in others if labels[row] != labels[first])
        message = f'label "{labels[other]}", but the same text in {train.place(first)} has "{labels[first]}"'
        fix = "keep the right one, or set data.duplicates=drop"
        problems.append(ErrorDetail("L13", train.place(other), message, fix))
    return problems


def _dropped(
    corpus: Corpus, rows: Mapping[str, Rows], leaks: list[Leak], clashes: list[list[int]]
) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """Without the earlier rows of each leak and all training rows of each contradiction."""
    leaked: Masks = {name: _mask(part, []) for name, part in corpus.splits.items()}
    for later in rows:
        for earlier in _before(rows, later):
            shared = rows[earlier].keys() & rows[later].keys()
            leaked[earlier][[row for key in shared for row in rows[earlier][key]]] = True
    notes = [
        f"{name}: {format_row_count(int(mask.sum()))} dropped, text also in a later part"
        for name, mask in leaked.items()
        if mask.any()
    ]
    both = dict(leaked)
    if clashes:
        contradicted = _mask(corpus.splits["train"], [row for where in clashes for row in where])
        notes.append(f"train: {format_row_count(int(contradicted.sum()))} dropped, text with two labels")
        both["train"] = leaked["train"] | contradicted
    if empty := [name for name, mask in both.items() if len(mask) and mask.all()]:
        message = f"no row of {empty[0]} is left without the {len(leaks):,} leaked and contradictory texts"
        fix = "give other rows, or set data.duplicates=allow"
        return corpus, [ErrorDetail("L13", corpus.splits[empty[0]].place(0), message, fix)], notes
    return corpus.drop_rows(both), [], notes + _repeat_notes(rows, both)


def _mask(part: Split, rows: list[int]) -> NDArray[np.bool_]:
    mask = np.zeros(len(part), bool)
    mask[rows] = True
    return mask


def _repeat_notes(rows: Mapping[str, Rows], dropped: Masks | None = None) -> list[str]:
    """Rows that repeat an earlier row of their own part: no fault, but to be known."""
    notes = []
    for name, of_part in rows.items():
        gone = dropped[name] if dropped else None  # all rows of a text go together
        count = sum(len(where) - 1 for where in of_part.values() if gone is None or not gone[where[0]])
        if count:
            notes.append(f"{name}: {format_row_count(count)} with a text that stands in the same part before")
    return notes
