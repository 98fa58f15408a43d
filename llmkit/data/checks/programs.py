"""Parse and check programming tasks: rows of MBPP, or prompt and completion with a list of tests.

    {"text": "Write a function to ...", "code": "def f(x): ...", "test_list": ["assert f(1) == 2", ...]}
    {"prompt": "Write a function to ...", "completion": "```python\\ndef f(x): ...\\n```", "tests": [...]}

For MBPP rows, the prompt shows the tests that the program has to pass, as in the prompt of the paper. A prompt in the
column `prompt` is used as it is.

Source: Austin et al. 2021, "Program Synthesis with Large Language Models".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, shorten_list
from llmkit.data.checks.columns import iter_rows, message_array, string_array, with_columns
from llmkit.data.checks.row_errors import Checked, RowError, collect_errors, mask_empty_rows
from llmkit.data.corpus import Corpus, format_row_count
from llmkit.recipe.schema import Data
from llmkit.text.code import extract_program

__all__ = ["COLUMNS", "Exercise", "check_programs", "find_error", "parse_exercise"]

MBPP, COMPLETION = ("text", "code", "test_list"), ("prompt", "completion")  # the columns of each format
COLUMNS = (*MBPP, "test_setup_code", *COMPLETION, "tests")


@dataclass(frozen=True)
class Exercise:
    """A programming task and its solution.

    Attributes:
        prompt: The task.
        answer: The answer to learn, with the program in it.
        code: The program, or "" if the answer has none.
        tests: Statements that must run after the program without an error, or "" if there are none.
    """

    prompt: str
    answer: str
    code: str
    tests: str


def check_programs(corpus: Corpus, data: Data, *, tested: bool) -> Checked:
    """Parse all rows as exercises: L01, L02, L03, S05, X02.

    The corpus gets the columns `messages`, `prompt`, `answer`, `code` and `tests` (one text, "" for none). With
    data.empty_text=drop, rows without a task or a program are dropped.

    Args:
        corpus: The rows.
        data: The recipe's data section.
        tested: Each exercise must have tests.
    """
    splits, errors, notes = dict(corpus.splits), list[ErrorDetail](), list[str]()
    dropped: dict[str, NDArray[np.bool_]] = {}
    for name, split in corpus.splits.items():
        if not any(columns <= split.columns.keys() for columns in (set(MBPP), set(COMPLETION))):
            message = (
                f"no columns of programs (columns in the file: {shorten_list(sorted(split.columns), 10)})"
            )
            formats = f"{', '.join(MBPP)}; {' and '.join(COMPLETION)}"
            fix = f"name the columns, e.g. data.columns.text=NAME; one of: {formats}"
            errors.append(ErrorDetail("L01", split.files[0], message, fix))
            continue
        is_mbpp = set(MBPP) <= split.columns.keys()
        rows = list(iter_rows(split, (*MBPP, "test_setup_code") if is_mbpp else (*COMPLETION, "tests")))
        row_errors = [find_error(row, tested=tested) for row in rows]
        dropped[name] = mask_empty_rows(row_errors, data)
        if dropped[name].any():
            count = format_row_count(int(dropped[name].sum()))
            notes.append(f"{name}: {count} dropped (no task or no program)")
        errors += collect_errors(
            (split.place(row), error)
            for row, error in enumerate(row_errors)
            if error and not dropped[name][row]
        )
        # Rows with an error get blank columns; they are dropped, or their errors are raised.
        exercises = [
            Exercise("", "", "", "") if error else parse_exercise(row)
            for row, error in zip(rows, row_errors, strict=True)
        ]
        conversations = [
            [{"role": "user", "content": e.prompt}, {"role": "assistant", "content": e.answer}]
            for e in exercises
        ]
        texts = {
            column: string_array([getattr(exercise, column) for exercise in exercises])
            for column in ("prompt", "answer", "code", "tests")
        }
        splits[name] = with_columns(split, {"messages": message_array(conversations), **texts})
    if errors:
        return Checked(corpus, errors, notes)
    return Checked(replace(corpus, splits=splits).drop_rows(dropped), [], notes)


def parse_exercise(row: Mapping[str, Any]) -> Exercise:
    """Parse a row without errors."""
    if "test_list" not in row:
        tests = "\n".join(row.get("tests") or [])
        return Exercise(row["prompt"], row["completion"], extract_program(row["completion"]).rstrip(), tests)
    # MBPP's test_setup_code may use what the program defines, so it comes after the program.
    lines = [text for text in (row.get("test_setup_code"), *(row["test_list"] or [])) if text]
    code = row["code"].replace("\r\n", "\n").strip("\n").rstrip()  # MBPP has both kinds of line ends
    shown = "\n".join(row["test_list"] or [])
    prompt = f"{row['text']}\n\nYour code should pass these tests:\n\n{shown}"
    return Exercise(prompt, f"```python\n{code}\n```", code, "\n".join(lines))


def find_error(row: Mapping[str, Any], *, tested: bool = True) -> RowError | None:
    """Return the first error of a row, or None. tested: the row must have tests."""
    return next(_find_errors(row, tested), None)


def _find_errors(row: Mapping[str, Any], tested: bool) -> Iterator[RowError]:
    task, solution, tests = MBPP if "test_list" in row else (*COMPLETION, "tests")
    for column, code in ((task, "L03"), (solution, "S05")):
        if not isinstance(row[column], str):
            yield RowError(
                "L02", f'column "{column}" holds no text', f"write the {column}, or remove the row"
            )
        elif not row[column].strip():
            message = f'column "{column}" is empty or blank'
            yield RowError(code, message, "fill it in, or set data.empty_text=drop")
    value = row.get(tests)
    is_list = isinstance(value, list) and bool(value) and all(isinstance(test, str) for test in value)
    if value is None and tested:
        message = f'column "{tests}" is missing, so the program cannot be tested'
        yield RowError("X02", message, "write a list of tests")
    elif value is not None and not is_list:
        message = f'column "{tests}" does not hold a list of tests'
        yield RowError("X02", message, 'write a list such as ["assert f(1) == 2"]')
    if not isinstance(row.get("test_setup_code") or "", str):
        message = 'column "test_setup_code" is not a text'
        yield RowError("X02", message, "write Python there, or null")
    exercise = parse_exercise(row)
    if not exercise.code:
        message = f'column "{solution}" holds no program'
        yield RowError("X02", message, "write Python there, or remove the row")
    for column, source in ((solution, exercise.code), (tests, exercise.tests)):
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            message = f'column "{column}" is not valid Python ({error})'
            yield RowError("X02", message, "correct it, or remove the row")
