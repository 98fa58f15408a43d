"""Rows that ask for a program: those of MBPP, or prompt and completion with a list of tests.

    {"text": "Write a function to ...", "code": "def f(x): ...", "test_list": ["assert f(1) == 2", ...]}
    {"prompt": "Write a function to ...", "completion": "```python\\ndef f(x): ...\\n```", "tests": [...]}

MBPP: Austin et al. 2021, "Program Synthesis with Large Language Models"; as in its prompt, the model reads the tests
that its program has to pass. A prompt of one's own is read as it stands.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmkit.base.errors import ErrorDetail, some
from llmkit.data.checks.columns import with_columns
from llmkit.data.checks.row_errors import Fault, collect_errors
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.recipe.schema import Data
from llmkit.text.code import extract_program

__all__ = ["COLUMNS", "Exercise", "check_programs", "find_error", "parse_exercise"]

MBPP, COMPLETION = ("text", "code", "test_list"), ("prompt", "completion")  # the columns that tell the form
COLUMNS = (*MBPP, "test_setup_code", *COMPLETION, "tests")
EMPTY = ("L03", "S05")  # faults that data.empty_text=drop leaves out


@dataclass(frozen=True)
class Exercise:
    """What is asked, the answer to learn, the program in it, and statements that must run through after it.

    Empty texts for an answer without a program, and for no tests.
    """

    prompt: str
    answer: str
    code: str
    tests: str


NOTHING = Exercise("", "", "", "")  # of a row that has a fault


def check_programs(
    corpus: Corpus, data: Data, *, tested: bool
) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """All rows as exercises that a model can learn from: L01, L02, L03, S05, X02. tested: each must have tests.

    Returns the corpus with the columns `messages`, `prompt`, `answer`, `code` and `tests` (one text, "" for none); the
    problems; and notes. Rows without a task or a program are dropped where data.empty_text=drop.
    """
    parts, problems, notes = dict(corpus.splits), list[ErrorDetail](), list[str]()
    empty: dict[str, Any] = {}
    for name, part in corpus.splits.items():
        if not any(form <= part.columns.keys() for form in (set(MBPP), set(COMPLETION))):
            problems.append(_no_form(part))
            continue
        rows = list(_rows(part))
        faults = [find_error(row, tested=tested) for row in rows]
        read = [NOTHING if found else parse_exercise(row) for row, found in zip(rows, faults, strict=True)]
        parts[name] = _written(part, read)
        empty[name] = np.array([found is not None and found[0] in EMPTY for found in faults], bool)
        if data.empty_text == "drop" and empty[name].any() and not empty[name].all():
            notes.append(f"{name}: {format_row_count(int(empty[name].sum()))} dropped, no task or no program")
            faults = [None if gone else found for found, gone in zip(faults, empty[name], strict=True)]
        problems += collect_errors((part.place(row), found) for row, found in enumerate(faults) if found)
    if problems:
        return corpus, problems, notes
    return replace(corpus, splits=parts).drop_rows(empty), [], notes


def parse_exercise(row: Mapping[str, Any]) -> Exercise:
    """The exercise in a row that has no fault."""
    tests = "\n".join(_tests(row))
    if "test_list" not in row:
        return Exercise(row["prompt"], row["completion"], extract_program(row["completion"]).rstrip(), tests)
    code = row["code"].replace("\r\n", "\n").strip("\n").rstrip()  # MBPP has both line ends
    shown = "\n".join(row["test_list"] or [])
    prompt = f"{row['text']}\n\nYour code should pass these tests:\n\n{shown}"
    return Exercise(prompt, f"```python\n{code}\n```", code, tests)


def find_error(row: Mapping[str, Any], *, tested: bool = True) -> Fault | None:
    """What is wrong with a row, if anything is."""
    return next(_faults(row, tested), None)


def _faults(row: Mapping[str, Any], tested: bool) -> Iterator[Fault]:
    asked, solution, tests = MBPP if "test_list" in row else (*COMPLETION, "tests")
    for column, code in ((asked, "L03"), (solution, "S05")):
        if not isinstance(row[column], str):
            yield "L02", f'column "{column}" holds no text', f"write the {column}, or remove the row"
        elif not row[column].strip():
            yield code, f'column "{column}" is empty or blank', "fill it in, or set data.empty_text=drop"
    given = row.get(tests)
    if given is None and tested:
        yield "X02", f'column "{tests}" is missing, so no program can be run on it', "write a list of tests"
    elif given is not None and not _is_list_of_tests(given):
        yield "X02", f'column "{tests}" holds no list of tests', 'write such as ["assert f(1) == 2"]'
    if not isinstance(row.get("test_setup_code") or "", str):
        yield "X02", 'column "test_setup_code" is no text', "write Python there, or null"
    written = parse_exercise(row)
    if not written.code:
        yield "X02", f'column "{solution}" holds no program', "write Python there, or remove the row"
    for column, code in ((solution, written.code), (tests, written.tests)):
        if error := _not_python(code):
            yield "X02", f'column "{column}" is no Python ({error})', "correct it, or remove the row"


def _tests(row: Mapping[str, Any]) -> list[str]:
    """MBPP's test_setup_code, which may use what the program defines, then the tests."""
    if "test_list" not in row:
        return list(row.get("tests") or [])
    return [text for text in (row.get("test_setup_code"), *(row["test_list"] or [])) if text]


def _is_list_of_tests(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(isinstance(test, str) for test in given)


def _not_python(code: str) -> str:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return ""


def _rows(part: Split) -> Iterator[dict[str, Any]]:
    """The columns of one form: MBPP's where all of them are there."""
    known = part.columns
    form = (*MBPP, "test_setup_code") if set(MBPP) <= known.keys() else (*COMPLETION, "tests")
    names = [name for name in form if name in known]
    return (dict(zip(names, values, strict=True)) for values in zip(*(known[name] for name in names)))


def _written(part: Split, exercises: list[Exercise]) -> Split:
    """The part with the columns that `check_programs` names."""
    import pyarrow as pa

    form = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
    turns = [
        [{"role": "user", "content": one.prompt}, {"role": "assistant", "content": one.answer}]
        for one in exercises
    ]
    texts = {
        name: pa.array([getattr(one, name) for one in exercises], pa.string())
        for name in ("prompt", "answer", "code", "tests")
    }
    return with_columns(part, {"messages": pa.array(turns, form), **texts})


def _no_form(part: Split) -> ErrorDetail:
    there = f"columns there: {some(sorted(part.columns), 10)}"
    fix = f"name the columns, e.g. data.columns.text=NAME; one of: {', '.join(MBPP)}; {' and '.join(COMPLETION)}"
    return ErrorDetail("L01", part.files[0], f"no columns of programs ({there})", fix)
