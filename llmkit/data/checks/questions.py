"""Check questions with answers marked in a context (extractive question answering).

An answer is its text and the character offset where it starts in the context. A row may hold its answers as
{"text": [...], "answer_start": [...]} (squad sets of the Hub), as a list of {"text", "answer_start"} (SQuAD files), or
as one text in `answers` or `answer` with a column `answer_start` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, shorten_list
from llmkit.data.checks.columns import object_array, with_columns
from llmkit.data.checks.duplicates import check_duplicates, hash_texts
from llmkit.data.checks.row_errors import Checked, RowError, collect_errors
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.reading.file_errors import excerpt
from llmkit.data.splits import create_missing_splits
from llmkit.recipe.schema import Data
from llmkit.text.normalize import normalize_text

__all__ = ["check_questions"]

References = dict[str, dict[str, NDArray[Any]]]  # split -> column -> (rows,)
WrittenAnswer = tuple[Any, Any]  # text and offset, as written in the row


@dataclass(frozen=True)
class _Unit:
    """A unit other than characters that offsets may have been counted in."""

    name: str
    encoding: str
    size: int  # bytes of one unit
    fix: str


UNITS = (
    _Unit("UTF-8 bytes", "utf-8", 1, "count characters: len(context.encode()[:start].decode())"),
    _Unit(
        "UTF-16 units (as JavaScript and Java do)",
        "utf-16-le",
        2,
        'count characters: len(context.encode("utf-16-le")[:2 * start].decode("utf-16-le"))',
    ),
)


def check_questions(
    corpus: Corpus, data: Data, *, unanswerable: bool, seed: int | None = None
) -> tuple[Corpus, References, list[ErrorDetail], list[str]]:
    """Check that every question has a context and answers at their offsets in it: L01-L03, L13, Q01-Q05.

    Args:
        corpus: The rows.
        data: The recipe's data section.
        unanswerable: A question may have no answer (an empty list, or is_impossible).
        seed: The seed of the split. Missing splits are taken out of train by passage, so all questions on a context
            go to the same split. None for rows that a trained model is evaluated on; they are neither searched for
            leakage nor split.

    Returns:
        The corpus with the column `answers` as {"text": [...], "answer_start": [...]}; the references; the errors; and
        notes. With errors, there are no references. References have these columns of shape (rows,): "answers", a tuple
        of the reference texts (empty: no answer); "starts", an int64 array of their character offsets; and "groups",
        the number of the passage.
    """
    corpus, errors, notes = _unify_answers(corpus)
    if errors:
        return corpus, {}, errors, notes
    corpus, errors, text_notes = check_texts(corpus, ("question", "context"), data)
    notes += text_notes
    for name, split in corpus.splits.items():
        errors += _check_answers(split)
        unanswered = [row for row, value in enumerate(split.column("answers")) if not value["text"]]
        count = f"{len(unanswered):,} of {format_row_count(len(split))} without an answer"
        if unanswerable:
            notes.append(f"{name}: {count}")
        elif unanswered:
            ids = _format_ids(split)
            others = [split.place(row) + ids[row] for row in unanswered[1:]]
            also = f", also at {shorten_list(others)}" if others else ""
            message = f"{count}{ids[unanswered[0]]}{also}"
            fix = "add the answers, or set task.unanswerable=true"
            errors.append(ErrorDetail("Q04", split.place(unanswered[0]), message, fix))
    if errors:
        return corpus, {}, errors, notes
    if seed is not None:
        corpus, errors, duplicate_notes = check_duplicates(corpus, ("question", "context"), None, data)
        notes += duplicate_notes
        if errors:
            return corpus, {}, errors, notes
        passages = {name: {*hash_texts(split, "context")} for name, split in corpus.splits.items()}
        for earlier, later in combinations(passages, 2):
            if shared := len(passages[earlier] & passages[later]):
                total = len(passages[later])
                notes.append(f"{later}: {shared:,} of {total:,} contexts also occur in {earlier}")
        corpus = create_missing_splits(corpus, label_column=None, text_column="context", data=data, seed=seed)
    return corpus, _build_references(corpus), [], notes


def _unify_answers(corpus: Corpus) -> Checked:
    """Convert the answers of all rows to a struct of two lists.

    L01: no column of answers. L02: an answer is not a text. Q03: an offset is not an integer.
    """
    import pyarrow as pa

    answer_type = pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int64())})
    splits, errors, notes = dict(corpus.splits), list[ErrorDetail](), list[str]()
    for name, split in corpus.splits.items():
        if missing := _find_missing_column(split):
            errors.append(missing)
            continue
        has_offsets = "answer_start" in split.rows.column_names
        starts = split.column("answer_start") if has_offsets else [None] * len(split)
        values = split.column(_find_answer_column(split) or "")
        rows = [_parse_answers(value, start) for value, start in zip(values, starts)]
        is_marked = "is_impossible" in split.rows.column_names
        marks = split.column("is_impossible") if is_marked else ()
        if ignored := {row for row, mark in enumerate(marks) if mark in (True, "true", "True") and rows[row]}:
            count = format_row_count(len(ignored))
            notes.append(f"{name}: {count} with is_impossible, whose answers were ignored")
            rows = [[] if row in ignored else answers for row, answers in enumerate(rows)]
        split_errors = collect_errors(_find_malformed(split, rows))
        if not split_errors:
            structs = [
                {
                    "text": [text for text, _ in row],
                    "answer_start": [_parse_integer(start) for _, start in row],
                }
                for row in rows
            ]
            splits[name] = with_columns(split, {"answers": pa.array(structs, answer_type)})
        errors += split_errors
    return Checked(Corpus(splits, corpus.fingerprint, corpus.notes), errors, notes)


def _find_answer_column(split: Split) -> str | None:
    return next((name for name in ("answers", "answer") if name in split.rows.column_names), None)


def _find_missing_column(split: Split) -> ErrorDetail | None:
    """L01: no column of answers, or single answers without the column of their offsets."""
    columns, answer_column = split.rows.column_names, _find_answer_column(split)
    if answer_column is None:
        missing, fix = "answers", "set data.columns.answers=NAME"
    elif "answer_start" not in columns and any(isinstance(v, str) for v in split.column(answer_column)):
        missing, fix = "answer_start", "add the offset of each answer"
    else:
        return None
    message = f'column "{missing}" is missing (columns in the file: {shorten_list(sorted(columns), 10)})'
    return ErrorDetail("L01", split.files[0], message, fix)


def _parse_answers(value: Any, offset: Any) -> list[WrittenAnswer]:
    """Return the answers of a row in any of the formats."""
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        return [*zip_longest(_as_list(value.get("text")), _as_list(value.get("answer_start")))]
    if isinstance(value, list):
        return [answer for item in value for answer in _parse_answers(item, None)]
    return [(value, offset)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _find_malformed(split: Split, rows: Iterable[Iterable[WrittenAnswer]]) -> Iterator[tuple[str, RowError]]:
    """Yield (place, error) for each answer whose text is not a string (L02) or offset not an integer (Q03)."""
    ids = _format_ids(split)
    for row, answers in enumerate(rows):
        for text, start in answers:
            if not isinstance(text, str):
                message = f"an answer is {_quote(text)}, not a string{ids[row]}"
                yield split.place(row), RowError("L02", message, "write a text there")
            elif _parse_integer(start) is None:
                what = f'answer_start of "{excerpt(text, 0)}"'
                message = f"{what} is {_quote(start)}, not an integer{ids[row]}"
                yield (
                    split.place(row),
                    RowError("Q03", message, "write where the answer starts, counted from 0"),
                )


def _format_ids(split: Split) -> list[str]:
    """Return ` (question 5727)` for each row with an id, because all questions of a file may stand on one line."""
    ids = split.column("id") if "id" in split.rows.column_names else [None] * len(split)
    return ["" if value is None else f" (question {excerpt(str(value), 0)})" for value in ids]


def _parse_integer(value: Any) -> int | None:
    """Return the integer, also of "12" (CSV) and 12.0 (a column with gaps), or None."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?\d{1,18}", value.strip()) else None
    if (
        isinstance(value, (int, float)) and abs(value) < 1e18 and value == int(value)
    ):  # NaN fails abs() < 1e18
        return int(value)
    return None


@dataclass(frozen=True)
class _Answer:
    """One answer of a row, with its context."""

    row: int
    context: str
    text: str
    start: int

    @property
    def fits(self) -> bool:
        """Whether the context has the answer at its offset."""
        return self.start >= 0 and bool(self.text) and self.context.startswith(self.text, self.start)

    def fits_in(self, unit: _Unit) -> bool:
        """Whether the context has the answer at its offset if the offset counts these units."""
        encoded, start = self.context.encode(unit.encoding), unit.size * self.start
        return start >= 0 and bool(self.text) and encoded.startswith(self.text.encode(unit.encoding), start)

    @property
    def nearest(self) -> int | None:
        """The offset of the answer's occurrence nearest to `start`, or None."""
        start = max(0, self.start)
        before = self.context.rfind(self.text, 0, start + len(self.text))
        after = self.context.find(self.text, start)
        return min({before, after} - {-1}, key=lambda place: abs(place - start), default=None)

    def explain(self) -> RowError:
        """Say what is wrong with an answer that does not fit: Q01, Q02 or Q03."""
        if not self.text:
            return RowError("Q02", "an answer is empty", "write an empty list if there is no answer")
        text, nearest = excerpt(self.text, 0), self.nearest
        if not 0 <= self.start < len(self.context):
            where = "before the context" if self.start < 0 else f"past its end at {len(self.context):,}"
            fix = "correct it; a question without an answer has an empty list"
            message = f'answer_start {self.start} of "{text}" is {where}'
            return RowError("Q03", message, fix if nearest is None else f"write {nearest}")
        if nearest is not None:
            distance = abs(self.start - nearest)
            message = f'answer_start {self.start} is off by {distance}: "{text}" starts at {nearest}'
            return RowError("Q01", message, f"write {nearest}")
        is_similar = normalize_text(self.text) in normalize_text(self.context)
        hint = " (a text that differs only in case, width or white space does)" if is_similar else ""
        message = f'the answer "{text}" does not occur in the context{hint}'
        return RowError("Q02", message, "copy it from the context")


def _check_answers(split: Split) -> list[ErrorDetail]:
    """Q01, Q02, Q03, and Q05 where another unit explains all wrong offsets of a file."""
    errors: list[tuple[str, RowError]] = []
    files = split.file_index.tolist()
    wrong = [answer for answer in _iter_answers(split) if not answer.fits]
    ids = _format_ids(split) if wrong else []
    for file in sorted({files[answer.row] for answer in wrong}):
        wrong_in_file = [answer for answer in wrong if files[answer.row] == file]
        right = (answer for answer in _iter_answers(split) if files[answer.row] == file and answer.fits)
        if unit_error := _check_units(wrong_in_file, right):
            errors.append((split.place(wrong_in_file[0].row), unit_error))
            continue
        for answer in wrong_in_file:
            error = answer.explain()
            errors.append((split.place(answer.row), error._replace(message=error.message + ids[answer.row])))
    return collect_errors(errors)


def _iter_answers(split: Split) -> Iterator[_Answer]:
    """Yield all answers of rows that have a context."""
    for row, (context, answers) in enumerate(zip(split.column("context"), split.column("answers"))):
        if isinstance(context, str):
            for text, start in zip(answers["text"], answers["answer_start"]):
                yield _Answer(row, context, text, start)


def _check_units(wrong: list[_Answer], right: Iterable[_Answer]) -> RowError | None:
    """Q05: another unit makes all wrong offsets of a file right, and fewer of its right ones wrong."""
    for unit in UNITS:
        if all(answer.fits_in(unit) for answer in wrong):
            if sum(not answer.fits_in(unit) for answer in right) >= len(wrong):
                return None
            first = wrong[0]
            encoded = first.context.encode(unit.encoding)
            characters = len(encoded[: unit.size * first.start].decode(unit.encoding))
            others = f" (so do {len(wrong):,} offsets of this file)" if len(wrong) > 1 else ""
            message = (
                f"answer_start {first.start} counts {unit.name}; in characters it is {characters}{others}"
            )
            return RowError("Q05", message, unit.fix)
    return None


def _build_references(corpus: Corpus) -> References:
    passages: dict[bytes, int] = {}
    references = {}
    for name, split in corpus.splits.items():
        answers = split.column("answers")
        groups = [passages.setdefault(key, len(passages)) for key in hash_texts(split, "context")]
        references[name] = {
            "answers": object_array(tuple(row["text"]) for row in answers),
            "starts": object_array(np.array(row["answer_start"], np.int64) for row in answers),
            "groups": np.array(groups, np.int64),
        }
    return references


def _quote(value: object) -> str:
    return "null" if value is None else f'"{excerpt(str(value), 0)}"'
