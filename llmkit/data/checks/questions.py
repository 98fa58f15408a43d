"""Faults of questions with answers marked in a text (extractive question answering), found before any training.

An answer is its text and where it begins in the context, in characters. Rows may hold their answers as
{"text": [...], "answer_start": [...]} (the Hub's squad sets), as a list of {"text", "answer_start"} (SQuAD's files),
or as one text in `answers` or `answer` with a column `answer_start` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, some
from llmkit.data.checks.columns import object_array, with_columns
from llmkit.data.checks.duplicates import check_duplicates, hash_texts
from llmkit.data.checks.row_errors import Fault, collect_errors
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.file_errors import excerpt
from llmkit.data.splits import create_missing_splits
from llmkit.recipe.schema import Data
from llmkit.text.normalize import normalize_text

__all__ = ["check_questions"]

Golds = dict[str, dict[str, NDArray[Any]]]

# How else offsets are counted -> name, bytes of one unit, the fix.
_UNITS = {
    "utf-8": ("UTF-8 bytes", 1, "count characters: len(context.encode()[:start].decode())"),
    "utf-16-le": ("UTF-16 units (as JavaScript and Java do)", 2,
                  'count characters: len(context.encode("utf-16-le")[:2 * start].decode("utf-16-le"))'),
}  # fmt: skip


def check_questions(
    corpus: Corpus, data: Data, *, unanswerable: bool, seed: int | None = None
) -> tuple[Corpus, Golds, list[ErrorDetail], list[str]]:
    """Every question has a context and answers that stand in it where they are said to: L01-L03, L13, Q01-Q05.

    unanswerable: a question may have no answer (none given, or is_impossible). seed: that of the split; None for
    rows that a trained model is scored on, which are neither searched for leaks nor split. Missing parts are taken
    out of train by passage, so all questions on one context go to the same part.

    Returns what is left, with the column `answers` as {"text": [...], "answer_start": [...]}; golds; the problems;
    and notes. With problems there are no golds. golds: part -> arrays of shape (rows,): "answers" the gold texts, a
    tuple (empty: no answer); "starts" their offsets in characters, int64 arrays; "groups" the number of the passage.
    """
    corpus, problems, notes = _same_form(corpus)
    if problems:
        return corpus, {}, problems, notes
    for column in ("question", "context"):
        corpus, found, said = check_texts(corpus, column, data)
        problems += found
        notes += said
    for name, part in corpus.splits.items():
        problems += _check_answers(part)
        found, said = _check_unanswered(name, part, unanswerable)
        problems += found
        notes += said
    if problems:
        return corpus, {}, problems, notes
    if seed is not None:
        corpus, problems, said = check_duplicates(corpus, ("question", "context"), None, data)
        notes += said
        if problems:
            return corpus, {}, problems, notes
        notes += _shared_passages(corpus)
        corpus = create_missing_splits(corpus, label_column=None, text_column="context", data=data, seed=seed)
    return corpus, _golds(corpus), [], notes


Pairs = list[tuple[Any, Any]]  # (text, offset) of each answer of a row, as written


def _same_form(corpus: Corpus) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """The answers of all rows as a struct of two lists. L01, L02, Q03 for those that are no text and offset."""
    import pyarrow as pa

    form = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int64())})
    parts, problems, notes = dict(corpus.splits), list[ErrorDetail](), list[str]()
    for name, part in corpus.splits.items():
        found = _column_problems(part)
        rows = [] if found else _pairs_of(part)
        if left_out := {row for row in _impossible(part) if rows and rows[row]}:
            notes.append(
                f"{name}: {format_row_count(len(left_out))} with is_impossible, whose answers were left out"
            )
            rows = [[] if row in left_out else pairs for row, pairs in enumerate(rows)]
        found += collect_errors(_misformed(part, rows))
        if not found:
            parts[name] = with_columns(part, {"answers": pa.array(map(_struct, rows), form)})
        problems += found
    return Corpus(parts, corpus.fingerprint, corpus.notes), problems, notes


def _given(part: Split) -> str | None:
    """The column that holds the answers."""
    return next((name for name in ("answers", "answer") if name in part.rows.column_names), None)


def _column_problems(part: Split) -> list[ErrorDetail]:
    """L01: no column of answers, or single answers without the column of their offsets."""
    columns, given = part.rows.column_names, _given(part)
    missing = "answer_start" if given else "answers"
    if given and ("answer_start" in columns or not any(isinstance(v, str) for v in part.column(given))):
        return []
    message = f'column "{missing}" is missing (columns there: {some(sorted(columns), 10)})'
    fix = f"set data.columns.{missing}=NAME" if missing == "answers" else "add the offset of each answer"
    return [ErrorDetail("L01", part.files[0], message, fix)]


def _pairs_of(part: Split) -> list[Pairs]:
    values = part.column(_given(part) or "")
    offsets = part.column("answer_start") if "answer_start" in part.rows.column_names else [None] * len(part)
    return [_pairs(value, offset) for value, offset in zip(values, offsets)]


def _pairs(value: Any, offset: Any) -> Pairs:
    """The answers of a row, in any of the forms."""
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        texts, offsets = value.get("text"), value.get("answer_start")
        return [*zip_longest(_listed(texts), _listed(offsets))]
    if isinstance(value, list):
        return [pair for one in value for pair in _pairs(one, None)]
    return [(value, offset)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _impossible(part: Split) -> list[int]:
    """Rows that say that they have no answer."""
    if "is_impossible" not in part.rows.column_names:
        return []
    return [row for row, value in enumerate(part.column("is_impossible")) if value in (True, "true", "True")]


def _misformed(part: Split, rows: list[Pairs]) -> Iterator[tuple[str, Fault]]:
    """(place, fault) of each answer that is not a text and a whole number."""
    names = _names(part)
    for row, pairs in enumerate(rows):
        for text, offset in pairs:
            if not isinstance(text, str):
                message = f"an answer is {_what(text)}, not a string{names[row]}"
                yield part.place(row), ("L02", message, "write a text there")
            elif _whole(offset) is None:
                said = (
                    f'answer_start of "{excerpt(text, 0)}" is {_what(offset)}, not a whole number{names[row]}'
                )
                yield part.place(row), ("Q03", said, "write where the answer begins, counted from 0")


def _names(part: Split) -> list[str]:
    """` (question 5727)` where rows have an id: all questions of a file may stand in one line."""
    ids = part.column("id") if "id" in part.rows.column_names else [None] * len(part)
    return ["" if name is None else f" (question {excerpt(str(name), 0)})" for name in ids]


def _whole(value: Any) -> int | None:
    """The number, also of "12" (CSV) and 12.0 (a column with gaps)."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?\d{1,18}", value.strip()) else None
    whole = (
        isinstance(value, (int, float)) and abs(value) < 1e18 and value == int(value)
    )  # not NaN, not infinite
    return int(value) if whole else None


def _struct(pairs: Pairs) -> dict[str, list[Any]]:
    return {"text": [text for text, _ in pairs], "answer_start": [_whole(offset) for _, offset in pairs]}


@dataclass(frozen=True)
class _Answer:
    """One answer of a row."""

    row: int
    context: str
    text: str
    start: int

    @property
    def fits(self) -> bool:
        return self.start >= 0 and bool(self.text) and self.context.startswith(self.text, self.start)

    def fits_in(self, encoding: str, unit: int) -> bool:
        """Whether it fits when the offset counts units of so many bytes."""
        encoded, start = self.context.encode(encoding), unit * self.start
        return start >= 0 and bool(self.text) and encoded.startswith(self.text.encode(encoding), start)

    @property
    def nearest(self) -> int | None:
        """Where the answer does stand, the place next to its offset."""
        start = max(0, self.start)
        found = {
            self.context.rfind(self.text, 0, start + len(self.text)),
            self.context.find(self.text, start),
        }
        return min(found - {-1}, key=lambda place: abs(place - start), default=None)


def _check_answers(part: Split) -> list[ErrorDetail]:
    """Q01, Q02, Q03, and Q05 where that explains all wrong offsets of a file."""
    faults: list[tuple[str, Fault]] = []
    files = part.file_index.tolist()
    wrong = [answer for answer in _answers(part) if not answer.fits]
    names = _names(part) if wrong else []
    for file in sorted({files[answer.row] for answer in wrong}):
        of_file = [answer for answer in wrong if files[answer.row] == file]
        right = (answer for answer in _answers(part) if files[answer.row] == file and answer.fits)
        if units := _other_units(of_file, right):
            faults.append((part.place(of_file[0].row), units))
            continue
        for answer in of_file:
            code, message, fix = _fault(answer)
            faults.append((part.place(answer.row), (code, message + names[answer.row], fix)))
    return collect_errors(faults)


def _answers(part: Split) -> Iterator[_Answer]:
    """All answers of rows that have a context."""
    for row, (context, answers) in enumerate(zip(part.column("context"), part.column("answers"))):
        if isinstance(context, str):
            for text, start in zip(answers["text"], answers["answer_start"]):
                yield _Answer(row, context, text, start)


def _other_units(wrong: list[_Answer], right: Iterable[_Answer]) -> Fault | None:
    """Q05 if all wrong offsets of a file are right in other units, and not more of its right ones would be wrong."""
    for encoding, (units, size, fix) in _UNITS.items():
        if all(answer.fits_in(encoding, size) for answer in wrong):
            if sum(not answer.fits_in(encoding, size) for answer in right) >= len(wrong):
                return None
            first = wrong[0]
            counts = len(first.context.encode(encoding)[: size * first.start].decode(encoding))
            several = f" (so do {len(wrong):,} offsets of this file)" if len(wrong) > 1 else ""
            message = f"answer_start {first.start} counts {units}; in characters it is {counts}{several}"
            return "Q05", message, fix
    return None


def _fault(answer: _Answer) -> Fault:
    """What is wrong with an answer that does not fit."""
    if not answer.text:
        return "Q02", "an answer is empty", "write an empty list where there is no answer"
    said, right = excerpt(answer.text, 0), answer.nearest
    if not 0 <= answer.start < len(answer.context):
        where = "before the context" if answer.start < 0 else f"past its end at {len(answer.context):,}"
        fix = "correct it; a question without answer has an empty list" if right is None else f"write {right}"
        return "Q03", f'answer_start {answer.start} of "{said}" is {where}', fix
    if right is not None:
        off = abs(answer.start - right)
        return (
            "Q01",
            f'answer_start {answer.start} is off by {off}: "{said}" stands at {right}',
            f"write {right}",
        )
    alike = normalize_text(answer.text) in normalize_text(answer.context)
    hint = " (but for case, width or white space it does)" if alike else ""
    return "Q02", f'the answer "{said}" does not stand in the context{hint}', "copy it out of the context"


def _check_unanswered(name: str, part: Split, allowed: bool) -> tuple[list[ErrorDetail], list[str]]:
    """Q04 for questions without an answer, or a note on how many there are."""
    rows = [row for row, answers in enumerate(part.column("answers")) if not answers["text"]]
    count = f"{len(rows):,} of {format_row_count(len(part))} without an answer"
    if allowed or not rows:
        return [], [f"{name}: {count}"] if allowed else []
    names = _names(part)
    also = f", also at {some(part.place(row) + names[row] for row in rows[1:])}" if rows[1:] else ""
    fix = "add the answers, or set task.unanswerable=true"
    return [ErrorDetail("Q04", part.place(rows[0]), f"{count}{names[rows[0]]}{also}", fix)], []


def _shared_passages(corpus: Corpus) -> list[str]:
    """A note for each pair of parts that ask about the same passages: a model may know them by heart."""
    keys = {name: {*hash_texts(part, "context")} for name, part in corpus.splits.items()}
    notes = []
    for earlier, later in combinations(keys, 2):
        if shared := len(keys[earlier] & keys[later]):
            notes.append(f"{later}: {shared:,} of {len(keys[later]):,} contexts stand in {earlier} too")
    return notes


def _golds(corpus: Corpus) -> Golds:
    numbers: dict[bytes, int] = {}
    golds = {}
    for name, part in corpus.splits.items():
        answers = part.column("answers")
        groups = [numbers.setdefault(key, len(numbers)) for key in hash_texts(part, "context")]
        golds[name] = {
            "answers": object_array(tuple(row["text"]) for row in answers),
            "starts": object_array(np.array(row["answer_start"], np.int64) for row in answers),
            "groups": np.array(groups, np.int64),
        }
    return golds


def _what(value: object) -> str:
    return "null" if value is None else f'"{excerpt(str(value), 0)}"'
