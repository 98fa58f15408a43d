"""Extraction of programs from answers: fenced, bare, truncated, with surrounding prose, and without any program."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.text.code import extract_program

CODE = "def f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    "answer",
    [
        CODE,
        "\n\n" + CODE,
        f"```python\n{CODE}```",
        f"```\n{CODE}```",
        f"Sure! Here it is:\n\n```py\n{CODE}```\n\nIt adds one to `x`.",
        f"~~~python\n{CODE}~~~",
        f"```python\n{CODE}",  # truncated before the fence was closed
        f"````Python title=a.py\n{CODE}````",
        f"1. First:\n   ```python\n{CODE.replace('def', '   def').replace('    return', '       return')}   ```",
        f"Run it with\n```bash\npython a.py\n```\nwhere a.py is\n```python\n{CODE}```",
        f"Here is the function:\n{CODE}",
        f"{CODE}\nThis function adds one to its argument.",
        f"{CODE}Thanks",
        f"{CODE}Input, output",
        f"{CODE}note: this works",
        f"from what I see, this works:\n{CODE}",
        f"[BEGIN]\n{CODE}[DONE]\nNext task: def g(): pass",
        f"<code>{CODE}</code>",
        f"{CODE}<|im_end|>",
        f"{CODE}def g(x",  # truncated in the middle of the next function
        f"下面是代码：\n```python\n{CODE}```\n它返回 x 加一。",
        f"下面是代码：\n{CODE}它返回 x 加一。",
        "\r\n".join(["```python", *CODE.splitlines(), "```"]),
    ],
)
def test_program_is_extracted(answer: str) -> None:
    assert ast.dump(ast.parse(extract_program(answer))) == ast.dump(ast.parse(CODE))


@pytest.mark.parametrize(
    "answer", ["", "I can't do that.", "```\n```", "我不知道。", "def f(x", "```bash\nls\n```"]
)
def test_answer_without_a_program_gives_an_empty_string(answer: str) -> None:
    assert extract_program(answer) == ""


def test_all_python_fences_are_joined_in_order() -> None:
    answer = f"```python\nimport math\n```\nthen\n```text\n3\n```\nand\n```python\n{CODE}```"
    assert extract_program(answer) == f"import math\n\n{CODE}"


def test_invalid_code_in_a_fence_is_kept() -> None:
    assert extract_program("```python\ndef f(x: return\n```") == "def f(x: return\n"


def test_code_without_a_function_is_extracted() -> None:
    code = 'SIZE = 3\n\n\n@cache\ndef f():\n    """Doc."""\n    return SIZE\n\n\nprint(f())\n'
    assert extract_program(f"Here:\n{code}") == code


def test_very_long_answer_is_fast() -> None:
    assert extract_program("(" * 5000) == ""
    assert extract_program("x = " + "-" * 5000 + "1") in ("", "x = " + "-" * 5000 + "1\n")


@given(st.text(alphabet="abc`~ \n\tdef():=python", max_size=80))
def test_any_text_is_accepted(answer: str) -> None:
    code = extract_program(answer)
    assert code == "" or (code.endswith("\n") and code.strip())


@pytest.mark.shared
def test_every_mbpp_solution_is_extracted_from_prose(shared: Path) -> None:
    for line in (shared / "code" / "mbpp" / "test.jsonl").read_text(encoding="utf-8").splitlines()[::5]:
        code = json.loads(line)["code"]
        for answer in (
            f"Here you are.\n{code}\n\nThis works by looping.",
            f"Sure:\n```python\n{code}\n```\nDone",
        ):
            assert extract_program(answer).split() == code.split()
