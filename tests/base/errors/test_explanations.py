"""The explanations of the error codes."""

from __future__ import annotations

import re
from pathlib import Path

from llmkit.base.errors import EXPLANATIONS

PACKAGE = Path(__file__).parents[3] / "llmkit"


def test_every_code_in_use_is_explained_and_no_other() -> None:
    used: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.parent != PACKAGE / "base" / "errors":
            used |= set(re.findall(r'"([A-Z]\d\d)"', path.read_text(encoding="utf-8")))
    assert set(EXPLANATIONS) == used


def test_titles_are_short_and_explanations_are_sentences() -> None:
    for code, (title, text) in EXPLANATIONS.items():
        assert len(title) < 60, code
        assert len(text) > 30, code
        assert text.endswith("."), code
