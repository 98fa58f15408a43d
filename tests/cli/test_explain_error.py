"""`llmkit explain-error CODE`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit.base.errors import EXPLANATIONS


@pytest.mark.parametrize("spelling", ["L05", "l05", "[L05]"])
def test_code_is_accepted_in_any_spelling(command: Callable[..., Any], spelling: str) -> None:
    title, text = EXPLANATIONS["L05"]
    assert command("explain-error", spelling).out == f"L05: {title}\n\n{text}\n"


def test_unknown_code_is_a_one_line_error(command: Callable[..., Any]) -> None:
    outcome = command("explain-error", "L99")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error[U02] L99: is not an error code")
