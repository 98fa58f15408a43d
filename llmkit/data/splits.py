"""Validation and test rows out of the training rows: seeded, stratified, equal texts together.

The unit that is dealt out is the distinct text, so a repeated text can't stand in two parts and no leak
arises. The same rows, shares and seed give the same parts on every machine; the order inside a part stays
that of the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import DataError, ErrorDetail
from llmkit.data.checks.duplicates import hash_texts
from llmkit.data.checks.labels import read_labels, sort_labels
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.recipe.schema import Data

__all__ = ["apportion", "create_missing_splits"]

STREAM = 0x5917  # keeps the split's random numbers apart from others drawn from the recipe's seed


def create_missing_splits(
    corpus: Corpus, *, label_column: str | None, text_column: str | Sequence[str], data: Data, seed: int
) -> Corpus:
    """The corpus with validation and test, where missing and their share is not 0, taken out of train.

    label_column: None where there are no classes. Raises DataError L09 when a class has too few distinct
    texts to appear in every part. What went where is added to the notes.
    """
    shares = {"validation": data.validation_share, "test": data.test_share}
    shares = {name: share for name, share in shares.items() if share > 0 and name not in corpus.splits}
    if not shares or "train" not in corpus.splits:
        return corpus
    if sum(shares.values()) >= 1:
        message = f"validation and test together take all rows ({' + '.join(map(str, shares.values()))})"
        raise DataError("L09", "data.validation_share", message, "make them smaller")
    train = corpus.splits["train"]
    groups = _groups(hash_texts(train, text_column))
    classes, names = _classes(train, label_column, groups)
    _check_sizes(train, groups, classes, names, tuple(shares))
    dealt = _deal(classes, list(shares.values()), seed)
    parts = {"train": dealt == 0} | {name: dealt == number for number, name in enumerate(shares, 1)}
    chosen = {name: ("train", np.flatnonzero(mask[groups])) for name, mask in parts.items()}
    return corpus.rearrange(chosen).with_notes(_note(chosen, len(train), seed, stratified=len(names) > 1))


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers of sum `total` in proportion to the weights, by largest remainders; ties to the first."""
    exact = [total * weight / sum(weights) for weight in weights]
    floors = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: floors[i] - exact[i])
    for i in by_remainder[: total - sum(floors)]:
        floors[i] += 1
    return floors


def _groups(keys: Sequence[bytes]) -> NDArray[np.int64]:
    """The number of each row's text, in order of first appearance: shape (rows,)."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _classes(
    train: Split, label_column: str | None, groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """(class of each distinct text, by the label of its first row; names of the classes)."""
    first = np.unique(groups, return_index=True)[1]
    if label_column is None:
        return np.zeros(len(first), np.int64), ("all",)
    labels = read_labels(train, label_column)
    names = sort_labels(str(labels[row]) for row in first)
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[str(labels[row])] for row in first], np.int64), names


def _check_sizes(
    train: Split,
    groups: NDArray[np.int64],
    classes: NDArray[np.int64],
    names: Sequence[str],
    made: Sequence[str],
) -> None:
    """L09: each class needs a distinct text for each part."""
    sizes = np.bincount(classes, minlength=len(names))
    parts = ", ".join(["train", *made])
    shares = " or ".join(f"data.{name}_share=0" for name in made)
    fix = f"add rows, name a file ({', '.join(f'data.{name}' for name in made)}), or set {shares}"
    problems = []
    for number in np.flatnonzero(sizes <= len(made)):
        row = int(np.flatnonzero(classes[groups] == number)[0])
        have = f"{sizes[number]} distinct text{'' if sizes[number] == 1 else 's'}"
        whose = f'label "{names[int(number)]}" has' if len(names) > 1 else "the data have"
        message = f"{whose} only {have}; {len(made) + 1} are needed to appear in {parts}"
        problems.append(ErrorDetail("L09", train.place(row), message, fix))
    if problems:
        raise DataError.of(problems)


def _deal(classes: NDArray[np.int64], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """0 for train, 1 ... for the shares: shape (texts,). Each class goes to each part, at least one text."""
    dealt = np.zeros(len(classes), np.int64)
    order = np.random.default_rng([seed, STREAM]).permutation(len(classes))
    of_class = [order[classes[order] == number] for number in range(int(classes.max()) + 1)]
    sizes = [len(texts) for texts in of_class]
    quotas = [apportion(round(share * len(classes)), sizes) for share in shares]
    for number, texts in enumerate(of_class):
        start = 0
        for part, quota in enumerate(quotas, 1):
            reserved = len(quotas) - part + 1  # a text for train and each part still to come
            size = min(max(1, quota[number]), len(texts) - start - reserved)
            dealt[texts[start : start + size]] = part
            start += size
    return dealt


def _note(
    chosen: Mapping[str, tuple[str, NDArray[np.int64]]], total: int, seed: int, *, stratified: bool
) -> str:
    how = f"seed {seed}, stratified by label" if stratified else f"seed {seed}"
    sizes = ", ".join(f"{name} {len(rows):,}" for name, (_, rows) in chosen.items())
    return f"train: {format_row_count(total)} split ({how}, equal texts together): {sizes}"
