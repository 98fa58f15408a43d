"""Split off validation and test sets from the training set: seeded, stratified by label, equal texts together.

The unit that is assigned to a split is the distinct text, so duplicates never end up in two splits, which would be
leakage. The same rows, shares and seed give the same splits on every machine. Rows keep the order of the files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import DataError, ErrorDetail, raise_if
from llmkit.data.checks.duplicates import hash_texts
from llmkit.data.checks.labels import read_labels, sort_labels
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.recipe.schema import Data

__all__ = ["apportion", "create_missing_splits"]

STREAM = 0x5917  # separates the random numbers of the split from others that derive from the recipe's seed


def create_missing_splits(
    corpus: Corpus, *, label_column: str | None, text_column: str | Sequence[str], data: Data, seed: int
) -> Corpus:
    """Take missing validation and test sets out of the training set, where their share is not 0.

    Args:
        corpus: The corpus; it is returned unchanged when it has no training set or nothing is missing.
        label_column: The column for stratification; None for data without classes.
        text_column: The column or columns that identify equal texts.
        data: The recipe section with the shares.
        seed: The seed of the split.

    Returns:
        The corpus with all splits, and a note on their sizes.

    Raises:
        DataError: L09 when a class has too few distinct texts to appear in every split, or the shares add up to 1.
    """
    shares = {"validation": data.validation_share, "test": data.test_share}
    shares = {name: share for name, share in shares.items() if share > 0 and name not in corpus.splits}
    if not shares or "train" not in corpus.splits:
        return corpus
    if sum(shares.values()) >= 1:
        message = f"validation and test together take all rows ({' + '.join(map(str, shares.values()))})"
        raise DataError("L09", "data.validation_share", message, "make the shares smaller")
    train = corpus.splits["train"]
    numbers: dict[bytes, int] = {}
    text_numbers = [numbers.setdefault(key, len(numbers)) for key in hash_texts(train, text_column)]
    text_of_row = np.array(text_numbers, np.int64)  # (rows,), numbered in order of first appearance
    first_rows = np.unique(text_of_row, return_index=True)[1]
    labels = read_labels(train, label_column) if label_column else ["all"] * len(train)
    class_names = sort_labels(str(labels[row]) for row in first_rows)
    class_number = {name: number for number, name in enumerate(class_names)}
    class_of_text = np.array([class_number[str(labels[row])] for row in first_rows], np.int64)
    _check_class_sizes(train, text_of_row, class_of_text, class_names, list(shares))
    split_of_text = _assign_texts(class_of_text, list(shares.values()), seed)
    selections = {
        name: ("train", np.flatnonzero((split_of_text == number)[text_of_row]))
        for number, name in enumerate(["train", *shares])
    }
    stratified = ", stratified by label" if len(class_names) > 1 else ""
    sizes = ", ".join(f"{name} {len(rows):,}" for name, (_, rows) in selections.items())
    options = f"seed {seed}{stratified}, equal texts together"
    note = f"train: {format_row_count(len(train))} split ({options}): {sizes}"
    return corpus.rearrange(selections).with_notes(note)


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Divide `total` into whole numbers in proportion to the weights, by largest remainders; ties go to the first."""
    exact = [total * weight / sum(weights) for weight in weights]
    quotas = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: quotas[i] - exact[i])
    for i in by_remainder[: total - sum(quotas)]:
        quotas[i] += 1
    return quotas


def _check_class_sizes(
    train: Split,
    text_of_row: NDArray[np.int64],
    class_of_text: NDArray[np.int64],
    class_names: Sequence[str],
    new_splits: Sequence[str],
) -> None:
    """Raise L09 for each class that has fewer distinct texts than there are splits."""
    sizes = np.bincount(class_of_text, minlength=len(class_names))
    shares = " or ".join(f"data.{name}_share=0" for name in new_splits)
    fix = f"add rows, name a file ({', '.join(f'data.{name}' for name in new_splits)}), or set {shares}"
    errors = []
    for number in np.flatnonzero(sizes <= len(new_splits)):
        row = int(np.flatnonzero(class_of_text[text_of_row] == number)[0])
        count = f"{sizes[number]} distinct text{'' if sizes[number] == 1 else 's'}"
        subject = f'label "{class_names[int(number)]}"' if len(class_names) > 1 else "the data set"
        message = (
            f"{subject} has only {count}, but needs {len(new_splits) + 1}"
            f" to appear in {', '.join(['train', *new_splits])}"
        )
        errors.append(ErrorDetail("L09", train.place(row), message, fix))
    raise_if(errors, DataError)


def _assign_texts(class_of_text: NDArray[np.int64], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Assign each distinct text to a split: 0 for train, 1 and up for the shares; shape (texts,).

    Every split gets at least one text of each class.
    """
    assigned = np.zeros(len(class_of_text), np.int64)
    order = np.random.default_rng([seed, STREAM]).permutation(len(class_of_text))
    by_class = [order[class_of_text[order] == number] for number in range(int(class_of_text.max()) + 1)]
    sizes = [len(texts) for texts in by_class]
    quotas = [apportion(round(share * len(class_of_text)), sizes) for share in shares]
    for number, texts in enumerate(by_class):
        start = 0
        for split, quota in enumerate(quotas, 1):
            reserved = len(quotas) - split + 1  # one text for train and for each split that follows
            size = min(max(1, quota[number]), len(texts) - start - reserved)
            assigned[texts[start : start + size]] = split
            start += size
    return assigned
