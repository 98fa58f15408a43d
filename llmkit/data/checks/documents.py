"""Group rows of running text into documents, so that no prediction crosses from one document into the next.

A row of jsonl, csv, parquet or a Hub data set is a document. The rows of a .txt file are its lines, and the recipe says
what a document is: the whole file, a paragraph (lines between blank lines), or each line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import DataError, ErrorDetail
from llmkit.data.checks.row_errors import Checked
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.readers import PLAIN_TEXT, data_suffix
from llmkit.recipe.schema import Data

__all__ = ["DocumentColumns", "Unit", "check_documents", "iter_documents", "number_documents"]

Unit = Literal["file", "paragraph", "line"]
DocumentColumns = dict[str, dict[str, NDArray[np.int64]]]  # split -> column -> (rows,)

STREAM = 0xD0C5  # separates this split's random numbers from others that use the recipe's seed
SHORT = 80  # bytes below which equal documents are a coincidence
FEW = 10  # documents per split; with fewer, the split takes rows instead of documents


def check_documents(
    corpus: Corpus, data: Data, unit: Unit, seed: int | None
) -> tuple[Corpus, DocumentColumns, list[ErrorDetail], list[str]]:
    """Check the texts, create missing splits from whole documents, and remove leaked documents.

    Args:
        corpus: The rows.
        data: The recipe's data section.
        unit: What a document is in .txt files.
        seed: The seed of the split; None to create no splits.

    Returns:
        The corpus with all its splits; columns for each split; errors; and notes. The columns, each of shape (rows,),
        are `documents` (numbered from 0 in order), `last` (1 for the last row of its document) and `bytes` (in UTF-8).
        Errors are L02 for rows without a text, L03 for a document or a split without any, and L13 for training
        documents that occur in validation or test too.

    Raises:
        DataError: L09 when there is too little text to split.
    """
    corpus, errors, notes = _check_rows(corpus, data)
    if errors:
        return corpus, {}, errors, notes
    if seed is not None:
        corpus = _create_missing_splits(corpus, data, unit, seed)
    corpus, errors, leak_notes = _check_leaks(corpus, data, unit)
    columns = {name: _build_columns(split, unit) for name, split in corpus.splits.items()}
    notes += leak_notes
    for name, of_split in columns.items():
        count, size = int(of_split["last"].sum()), int(of_split["bytes"].sum())
        notes.append(f"{name}: {count:,} document{'s' * (count != 1)}, {size:,} bytes in total")
    return corpus, columns, errors, notes


def number_documents(split: Split, unit: Unit) -> NDArray[np.int64]:
    """Number the documents of a split from 0, in order; return the number of each row, shape (rows,).

    A blank line belongs to the paragraph before it.
    """
    lines = _mark_lines(split)
    starts = np.ones(len(split), bool)
    if unit != "line":
        starts[1:] = ~lines[1:] | (split.file_index[1:] != split.file_index[:-1])
    if unit == "paragraph":
        blank = np.array([not text.strip() for text in split.column("text")], bool)
        starts[1:] |= lines[1:] & blank[:-1] & ~blank[1:]
    return np.cumsum(starts) - 1


def iter_documents(documents: NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield the rows of each document, in order, given the document number of each row."""
    borders = np.flatnonzero(documents[1:] != documents[:-1]) + 1
    for rows in np.split(np.arange(len(documents)), borders):
        yield rows.tolist()


def _mark_lines(split: Split) -> NDArray[np.bool_]:
    """Mark the rows that are lines of a .txt file, shape (rows,)."""
    is_plain = np.array([data_suffix(name) == PLAIN_TEXT for name in split.files], bool)
    return is_plain[split.file_index]


def _build_columns(split: Split, unit: Unit) -> dict[str, NDArray[np.int64]]:
    documents = number_documents(split, unit)
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in split.column("text")]
    last = np.append(documents[1:] != documents[:-1], True)
    return {"documents": documents, "last": last.astype(np.int64), "bytes": np.array(sizes, np.int64)}


def _check_rows(corpus: Corpus, data: Data) -> Checked:
    """Check that rows that are documents have a text, and that splits with lines of .txt files are not all blank."""
    without_lines = {name: split for name, split in corpus.splits.items() if not _mark_lines(split).any()}
    checked, errors, notes = check_texts(replace(corpus, splits=without_lines), "text", data)
    for name, split in corpus.splits.items():
        if name in without_lines:
            continue
        missing = [row for row, text in enumerate(split.column("text")) if not isinstance(text, str)]
        if missing:  # rows of other files beside the lines of a .txt file
            message = f'{format_row_count(len(missing))} without a text in "text"'
            fix = "write a string in each row, or remove the row"
            errors.append(ErrorDetail("L02", split.place(missing[0]), message, fix))
        if not any(isinstance(text, str) and text.strip() for text in split.column("text")):
            message = f"{name} has no text at all"
            errors.append(ErrorDetail("L03", split.place(0), message, "check how the file was made"))
    splits = {name: checked.splits.get(name, split) for name, split in corpus.splits.items()}
    fingerprint = checked.fingerprint if without_lines else corpus.fingerprint
    return Checked(replace(corpus, splits=splits, fingerprint=fingerprint), errors, notes)


def _check_leaks(corpus: Corpus, data: Data, unit: Unit) -> Checked:
    """L13: training documents that occur in validation or test too, which the model could know by heart."""
    hashes = {name: _hash_documents(split, unit) for name, split in corpus.splits.items()}
    evaluated = {
        digest for name, of_split in hashes.items() if name != "train" for digest in of_split if digest
    }
    leaked = np.array([digest in evaluated for digest in hashes.get("train", [])], bool)
    if not leaked.any():
        return Checked(corpus, [], [])
    what = f"{format_row_count(int(leaked.sum()))} of documents that occur in validation or test too"
    if data.duplicates == "allow":
        return Checked(corpus, [], [f"train: {what}"])
    if data.duplicates == "error" or leaked.all():
        place = corpus.splits["train"].place(int(leaked.argmax()))
        fix = "remove them, or set data.duplicates=drop (or allow)"
        return Checked(corpus, [ErrorDetail("L13", place, f"the first of {what}", fix)], [])
    return Checked(corpus.drop_rows({"train": leaked}), [], [f"train: {what} dropped"])


def _hash_documents(split: Split, unit: Unit) -> list[bytes]:
    """Return a hash of each row's document; b"" for short documents, which may be equal by coincidence."""
    texts = iter(split.column("text"))
    hashes: list[bytes] = []
    for rows in iter_documents(number_documents(split, unit)):
        text = "".join(islice(texts, len(rows))).strip().encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=16).digest() if len(text) >= SHORT else b""
        hashes += [digest] * len(rows)
    return hashes


def _create_missing_splits(corpus: Corpus, data: Data, unit: Unit, seed: int) -> Corpus:
    """Create missing validation and test splits: whole documents at random, or the last rows of a few long ones."""
    shares = {"validation": data.validation_share, "test": data.test_share}
    shares = {name: share for name, share in shares.items() if share > 0 and name not in corpus.splits}
    if not shares or "train" not in corpus.splits:
        return corpus
    if sum(shares.values()) >= 1:
        message = f"validation and test together take all rows ({' + '.join(map(str, shares.values()))})"
        raise DataError("L09", "data.validation_share", message, "make them smaller")
    train = corpus.splits["train"]
    columns, sizes = _build_columns(train, unit), list(shares.values())
    if int(columns["last"].sum()) < FEW * (1 + len(shares)):
        method = "the last rows, because there are few documents"
        assigned = _assign_last_rows(columns["bytes"], sizes)
    else:
        method = f"seed {seed}, whole documents"
        assigned = _assign_documents(train, columns["documents"], unit, sizes, seed)
    chosen = {
        name: ("train", np.flatnonzero(assigned == number)) for number, name in enumerate(["train", *shares])
    }
    for name, (_, rows) in chosen.items():
        if not len(rows):
            message = f"{format_row_count(len(train))} are too few to create a {name} split"
            raise DataError("L09", train.place(0), message, f"name a file in data.{name}")
    counts = ", ".join(f"{name} {len(rows):,}" for name, (_, rows) in chosen.items())
    note = f"train: {format_row_count(len(train))} split ({method}): {counts}"
    return corpus.rearrange(chosen).with_notes(note)


def _assign_last_rows(sizes: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int64]:
    """Assign the last rows, in order, to splits that hold these shares of all bytes.

    Args:
        sizes: The bytes of each row, shape (rows,).
        shares: The share of each new split.

    Returns:
        0 for train and 1, 2 ... for the new splits, shape (rows,).
    """
    middles = (np.cumsum(sizes) - sizes / 2) / max(1, int(sizes.sum()))
    borders = 1 - sum(shares) + np.cumsum([0.0, *shares[:-1]])
    return np.searchsorted(borders, middles, side="right").astype(np.int64)


def _assign_documents(
    split: Split, documents: NDArray[np.int64], unit: Unit, shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Assign whole documents to splits at random, equal documents together; Returns as in `_assign_last_rows`."""
    hashes = _hash_documents(split, unit)
    keys = [digest or number.tobytes() for digest, number in zip(hashes, documents, strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    split_of = np.zeros(len(numbers), np.int64)
    order, start = np.random.default_rng([seed, STREAM]).permutation(len(numbers)), 0
    for number, share in enumerate(shares, 1):
        size = max(1, round(share * len(numbers)))
        split_of[order[start : start + size]] = number
        start += size
    return split_of[[numbers[key] for key in keys]]
