"""The program in answers as models write them: fenced, bare, cut, with prose around, with none at all."""

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
        f"```python\n{CODE}",  # cut before the fence was closed
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
        f"{CODE}def g(x",  # cut in the middle of the next function
        f"下面是代码：\n```python\n{CODE}```\n它返回 x 加一。",
        f"下面是代码：\n{CODE}它返回 x 加一。",
        "\r\n".join(["```python", *CODE.splitlines(), "```"]),
    ],
)
def test_the_program_is_found(answer: str) -> None:
    assert ast.dump(ast.parse(extract_program(answer))) == ast.dump(ast.parse(CODE))


@pytest.mark.parametrize(
    "answer", ["", "I can't do that.", "```\n```", "我不知道。", "def f(x", "```bash\nls\n```"]
)
def test_no_program_is_none(answer: str) -> None:
    assert extract_program(answer) == ""


def test_all_python_fences_count_and_keep_their_order() -> None:
    answer = f"```python\nimport math\n```\nthen\n```text\n3\n```\nand\n```python\n{CODE}```"
    assert extract_program(answer) == f"import math\n\n{CODE}"


def test_broken_code_in_a_fence_stays_so_that_it_is_judged() -> None:
    assert extract_program("```python\ndef f(x: return\n```") == "def f(x: return\n"


def test_what_is_no_function_is_code_too() -> None:
    code = 'SIZE = 3\n\n\n@cache\ndef f():\n    """Doc."""\n    return SIZE\n\n\nprint(f())\n'
    assert extract_program(f"Here:\n{code}") == code


def test_an_endless_answer_takes_no_endless_time() -> None:
    assert extract_program("(" * 5000) == ""
    assert extract_program("x = " + "-" * 5000 + "1") in ("", "x = " + "-" * 5000 + "1\n")


@given(st.text(alphabet="abc`~ \n\tdef():=python", max_size=80))
def test_any_text_gives_a_text(answer: str) -> None:
    code = extract_program(answer)
    assert code == "" or (code.endswith("\n") and code.strip())


@pytest.mark.shared
def test_every_solution_of_mbpp_is_found_in_prose(shared: Path) -> None:
    for line in (shared / "code" / "mbpp" / "test.jsonl").read_text(encoding="utf-8").splitlines()[::5]:
        code = json.loads(line)["code"]
        for answer in (
            f"Here you are.\n{code}\n\nThis works by looping.",
            f"Sure:\n```python\n{code}\n```\nDone",
        ):
            assert extract_program(answer).split() == code.split()
