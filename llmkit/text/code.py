"""Extract the program from a generated answer: the content of a code fence, or the lines that are Python.

extract_program("Sure:\\n```python\\ndef f(): ...\\n```\\nThis works.")   # "def f(): ...\\n"
"""

from __future__ import annotations

import ast
import re
import textwrap

__all__ = ["extract_program"]

# An open fence extends to the end, because the answer may have been truncated.
FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
PYTHON = {"python", "py", "python3"}
ENDS = re.compile(r"\[DONE\]|</code>|<\|[a-z_]+\|>")  # what ends an answer in prompts and chat templates
BEGIN = re.compile(r"[ \t]*(?:\[BEGIN\]|<code>)[ \t]*\n?")  # as in the prompt of MBPP
START = re.compile(r"(?:async def|def|class|import|from|@\w)[\s\w(.]|[A-Za-z_]\w*\s*=(?!=)")


def extract_program(answer: str) -> str:
    """Return the program in an answer, ending with a newline, or "" if there is none.

    With code fences it is the content of all Python fences, or else of all fences without a language, joined: parts of
    an answer often build on each other. Without a fence it is the longest beginning that is valid Python, from the
    first line that looks like code.
    """
    fences = [(language.lower(), body) for _, language, body in FENCE.findall(answer)]
    python = [body for language, body in fences if language in PYTHON]
    bodies = python or [body for language, body in fences if not language]
    if bodies:
        return "\n".join(map(_tidy, bodies))
    text = ENDS.split(BEGIN.sub("", answer, count=1), maxsplit=1)[0]
    lines = textwrap.dedent(text).splitlines()
    starts = [i for i, line in enumerate(lines) if START.match(line)] or [0]
    programs = (_longest_program(lines[start:]) for start in starts)
    return _tidy(next(filter(None, programs), ""))


def _tidy(code: str) -> str:
    code = textwrap.dedent(code).strip("\n").rstrip()
    return code + "\n" if code else ""


def _longest_program(lines: list[str]) -> str:
    """Remove lines from the end until the others are Python, then everything from the first statement of prose on.

    `Thanks`, `this, that`, `x in y` and `"a" is good` are valid Python, but prose; calls and docstrings are not prose.
    """
    for end in range(len(lines), 0, -1):
        try:
            tree = ast.parse("\n".join(lines[:end]))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        prose = (
            node.lineno - 1
            for node in tree.body
            if isinstance(node, ast.Expr | ast.AnnAssign)
            and not isinstance(node.value, ast.Call | ast.Constant)
        )
        return "\n".join(lines[: next(prose, end)])
    return ""
