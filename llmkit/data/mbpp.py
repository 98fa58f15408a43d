"""Rows of MBPP (Austin et al. 2021, "Program Synthesis with Large Language Models"): a task, a solution, its tests.

{"text": "Write a function to ...", "code": "def f(x): ...", "test_list": ["assert f(1) == 2", ...]}
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from llmkit.data.rowwise import Fault
from llmkit.sandbox import Program

__all__ = ["fault", "program"]


def program(row: Mapping[str, Any], code: str) -> Program:
    """The code with the row's tests: its test_setup_code, which may use what the code defines, then its test_list."""
    return Program(code, "\n".join([row.get("test_setup_code") or "", *row["test_list"]]).strip() + "\n")


def fault(row: Mapping[str, Any]) -> Fault | None:
    """What is wrong with a row: no task, no solution, no tests, or tests that are no Python."""
    for column in ("text", "code"):
        if not isinstance(row.get(column), str) or not row[column].strip():
            return "L02", f'column "{column}" holds no text', f"write the {column}, or remove the row"
    tests = row.get("test_list")
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
        return "L02", 'column "test_list" holds no list of tests', "write a list of Python statements"
    try:
        ast.parse(program(row, row["code"]).tests)
    except (SyntaxError, ValueError) as error:
        return "L02", f"the tests are no Python ({error})", "correct test_list or test_setup_code"
    return None
