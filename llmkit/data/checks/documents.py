"""Documents of running text: which rows belong together, so that nothing is predicted across a border.

A row of jsonl, csv, parquet or a Hub set is a document. The rows of a .txt file are its lines; what they make up is
the recipe's to say: the whole file, a paragraph (lines between blank ones), or each line by itself.
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
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.readers import PLAIN_TEXT, data_suffix
from llmkit.recipe.schema import Data

__all__ = ["Golds", "Unit", "check_documents", "iter_documents", "number_documents"]

Unit = Literal["file", "paragraph", "line"]
Golds = dict[str, dict[str, NDArray[np.int64]]]

STREAM = 0xD0C5  # keeps this split's random numbers apart from others drawn from the recipe's seed
SHORT = 80  # bytes below which equal documents are no wonder
FEW = 10  # documents for each part below which rows are dealt out instead


def check_documents(
    corpus: Corpus, data: Data, unit: Unit, seed: int | None
) -> tuple[Corpus, Golds, list[ErrorDetail], list[str]]:
    """(corpus with all its parts, golds of each, problems, notes).

    golds: `documents` (rows,), numbered from 0 in order; `last` (rows,), 1 for the last row of its document; `bytes`
    (rows,) in UTF-8. seed: that of the split, which deals out whole documents; None: no split. Problems: L02 for rows
    without a text, L03 for a document or a part without any, L13 for training documents that are to be scored too;
    raises DataError L09 where there is too little to split.
    """
    corpus, problems, notes = _checked(corpus, data)
    if problems:
        return corpus, {}, problems, notes
    if seed is not None:
        corpus = _split(corpus, data, unit, seed)
    corpus, problems, said = _without_repeated(corpus, data, unit)
    golds = {name: _golds(part, unit) for name, part in corpus.splits.items()}
    for name, gold in golds.items():
        total = int(gold["last"].sum())
        said.append(
            f"{name}: {total:,} document{'s' * (total != 1)} of {int(gold['bytes'].sum()):,} bytes in all"
        )
    return corpus, golds, problems, [*notes, *said]


def number_documents(part: Split, unit: Unit) -> NDArray[np.int64]:
    """The document of each row, (rows,), numbered from 0 in order. A blank line belongs to the paragraph before it."""
    lines = _are_lines(part)
    begins = np.ones(len(part), bool)
    if unit != "line":
        begins[1:] = ~lines[1:] | (part.file_index[1:] != part.file_index[:-1])
    if unit == "paragraph":
        blank = np.array([not text.strip() for text in part.column("text")], bool)
        begins[1:] |= lines[1:] & blank[:-1] & ~blank[1:]
    return np.cumsum(begins) - 1


def iter_documents(documents: NDArray[np.int64]) -> Iterator[list[int]]:
    """The rows of each document among these, in order."""
    cuts = np.flatnonzero(documents[1:] != documents[:-1]) + 1
    for rows in np.split(np.arange(len(documents)), cuts):
        yield rows.tolist()


def _are_lines(part: Split) -> NDArray[np.bool_]:
    plain = np.array([data_suffix(name) == PLAIN_TEXT for name in part.files], bool)
    return plain[part.file_index]


def _golds(part: Split, unit: Unit) -> dict[str, NDArray[np.int64]]:
    documents = number_documents(part, unit)
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in part.column("text")]
    last = np.append(documents[1:] != documents[:-1], True)
    return {"documents": documents, "last": last.astype(np.int64), "bytes": np.array(sizes, np.int64)}


def _checked(corpus: Corpus, data: Data) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """Rows that are documents must have a text, as in all tasks; lines of a .txt file may be blank, not all of them."""
    lines = {name: _are_lines(part) for name, part in corpus.splits.items()}
    alone = {name: part for name, part in corpus.splits.items() if not lines[name].any()}
    checked, problems, notes = check_texts(replace(corpus, splits=alone), "text", data)
    parts = {name: checked.splits.get(name, part) for name, part in corpus.splits.items()}
    for part in (corpus.splits[name] for name in corpus.splits if name not in alone):
        problems += _not_texts(part)
        if not any(isinstance(text, str) and text.strip() for text in part.column("text")):
            problems.append(
                ErrorDetail("L03", part.place(0), "there is no text at all", "check how it was made")
            )
    fingerprint = checked.fingerprint if alone else corpus.fingerprint
    return replace(corpus, splits=parts, fingerprint=fingerprint), problems, notes


def _not_texts(part: Split) -> list[ErrorDetail]:
    """Of rows beside the lines of a .txt file."""
    rows = [row for row, text in enumerate(part.column("text")) if not isinstance(text, str)]
    message = f'{format_row_count(len(rows))} without a text in "text"'
    fix = "write a string in each row, or leave the row out"
    return [ErrorDetail("L02", part.place(rows[0]), message, fix)] if rows else []


def _without_repeated(corpus: Corpus, data: Data, unit: Unit) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """Training documents that stand in validation or test too: what is known by heart is no test."""
    digests = {name: _digests(part, unit) for name, part in corpus.splits.items()}
    scored = {digest for name, own in digests.items() if name != "train" for digest in own if digest}
    repeated = np.array([digest in scored for digest in digests.get("train", [])], bool)
    if not repeated.any():
        return corpus, [], []
    train = corpus.splits["train"]
    said = f"{format_row_count(int(repeated.sum()))} of documents that stand in validation or test too"
    if data.duplicates == "allow":
        return corpus, [], [f"train: {said}"]
    if data.duplicates == "error" or repeated.all():
        fix = "remove them, or set data.duplicates=drop (or allow)"
        return (
            corpus,
            [ErrorDetail("L13", train.place(int(repeated.argmax())), f"the first of {said}", fix)],
            [],
        )
    return corpus.drop_rows({"train": repeated}), [], [f"train: {said} dropped"]


def _digests(part: Split, unit: Unit) -> list[bytes]:
    """One for the document of each row, equal for equal documents; empty for short ones, which anyone may write."""
    texts = iter(part.column("text"))
    digests: list[bytes] = []
    for rows in iter_documents(number_documents(part, unit)):
        text = "".join(islice(texts, len(rows))).strip().encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=16).digest() if len(text) >= SHORT else b""
        digests += [digest] * len(rows)
    return digests


def _split(corpus: Corpus, data: Data, unit: Unit, seed: int) -> Corpus:
    """Validation and test where they are missing: whole documents at random, or the end of a few long ones."""
    shares = {"validation": data.validation_share, "test": data.test_share}
    shares = {name: share for name, share in shares.items() if share > 0 and name not in corpus.splits}
    if not shares or "train" not in corpus.splits:
        return corpus
    if sum(shares.values()) >= 1:
        message = f"validation and test together take all rows ({' + '.join(map(str, shares.values()))})"
        raise DataError("L09", "data.validation_share", message, "make them smaller")
    train = corpus.splits["train"]
    golds, sizes = _golds(train, unit), list(shares.values())
    few = int(golds["last"].sum()) < FEW * (1 + len(shares))
    dealt = (
        _ends(golds["bytes"], sizes) if few else _dealt(_alike(train, golds["documents"], unit), sizes, seed)
    )
    chosen = {
        name: ("train", np.flatnonzero(dealt == number)) for number, name in enumerate(["train", *shares])
    }
    for name, (_, rows) in chosen.items():
        if not len(rows):
            message = f"{format_row_count(len(train))} are too few to make a {name} part"
            raise DataError("L09", train.place(0), message, f"name a file for data.{name}")
    how = "the last rows, since there are few documents" if few else f"seed {seed}, whole documents"
    counts = ", ".join(f"{name} {len(rows):,}" for name, (_, rows) in chosen.items())
    return corpus.rearrange(chosen).with_notes(
        f"train: {format_row_count(len(train))} split ({how}): {counts}"
    )


def _ends(sizes: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int64]:
    """0 for train, 1 ... for the shares, (rows,): the last rows, in order, that hold these shares of all bytes."""
    middles = (np.cumsum(sizes) - sizes / 2) / max(1, int(sizes.sum()))
    cuts = 1 - sum(shares) + np.cumsum([0.0, *shares[:-1]])
    return np.searchsorted(cuts, middles, side="right").astype(np.int64)


def _alike(part: Split, documents: NDArray[np.int64], unit: Unit) -> NDArray[np.int64]:
    """The document of each row, (rows,), number_documents from 0; equal documents have one number and stay together."""
    keys = [
        digest or number.tobytes() for digest, number in zip(_digests(part, unit), documents, strict=True)
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.int64)


def _dealt(documents: NDArray[np.int64], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """As `_ends`, (rows,), by whole documents at random."""
    total = int(documents.max()) + 1
    of_document = np.zeros(total, np.int64)
    order, start = np.random.default_rng([seed, STREAM]).permutation(total), 0
    for number, share in enumerate(shares, 1):
        size = max(1, round(share * total))
        of_document[order[start : start + size]] = number
        start += size
    return of_document[documents]
