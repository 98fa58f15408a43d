"""The program in a model's answer: what stands in a code fence, or the lines up to the first that is no code.

program("Sure:\\n```python\\ndef f(): ...\\n```\\nThis works.")   # "def f(): ...\\n"
"""

from __future__ import annotations

import ast
import re
import textwrap

__all__ = ["extract_program"]

# An open fence runs to the end: an answer may have been cut at its last token.
FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
PYTHON = {"python", "py", "python3"}
ENDS = re.compile(r"\[DONE\]|</code>|<\|[a-z_]+\|>")  # what prompts and chat templates end an answer with
BEGIN = re.compile(r"[ \t]*(?:\[BEGIN\]|<code>)[ \t]*\n?")  # as in the prompt of MBPP
START = re.compile(r"(?:async def|def|class|import|from|@\w)[\s\w(.]|[A-Za-z_]\w*\s*=(?!=)")


def extract_program(answer: str) -> str:
    """The program in an answer, ending with a newline; "" where there is none.

    Of several fences all those of Python, or else without a language, one after the other: examples often build on
    each other. Without a fence the longest beginning that is Python, from the first line that looks like code on.
    """
    fences = [(language.lower(), body) for _, language, body in FENCE.findall(answer)]
    marked = [body for language, body in fences if language in PYTHON]
    bodies = marked or [body for language, body in fences if not language]
    return "\n".join(map(_tidy, bodies)) if bodies else _tidy(_longest_code(_cut(answer)))


def _cut(answer: str) -> str:
    return ENDS.split(BEGIN.sub("", answer, count=1), maxsplit=1)[0]


def _tidy(code: str) -> str:
    code = textwrap.dedent(code).strip("\n").rstrip()
    return code + "\n" if code else ""


def _longest_code(text: str) -> str:
    """From the first line that looks like code and is, as many lines as are Python together."""
    lines = textwrap.dedent(text).splitlines()
    starts = [i for i, line in enumerate(lines) if START.match(line)] or [0]
    found = (_beginning(lines[start:]) for start in starts)
    return next(filter(None, found), "")


def _beginning(lines: list[str]) -> str:
    """Lines are taken off the end until the rest is Python, then all from a lone word on, which prose can be too."""
    for end in range(len(lines), 0, -1):
        if tree := _parsed("\n".join(lines[:end])):
            prose = (node.lineno - 1 for node in tree.body if _may_be_prose(node))
            return "\n".join(lines[: next(prose, end)])
    return ""


def _may_be_prose(node: ast.stmt) -> bool:
    """`Thanks`, `this, that`, `x in y`, `"a" is good`; calls and docstrings are no prose."""
    return isinstance(node, ast.Expr | ast.AnnAssign) and not isinstance(node.value, ast.Call | ast.Constant)


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
