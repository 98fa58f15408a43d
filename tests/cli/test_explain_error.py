"""`llmkit explain-error CODE`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmkit.base.errors import EXPLANATIONS


@pytest.mark.parametrize("written", ["L05", "l05", "[L05]"])
def test_a_code_is_explained_however_it_is_written(command: Callable[..., Any], written: str) -> None:
    title, text = EXPLANATIONS["L05"]
    assert command("explain-error", written).out == f"L05: {title}\n\n{text}\n"


def test_an_unknown_code_is_one_line(command: Callable[..., Any]) -> None:
    done = command("explain-error", "L99")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error[U02] L99: is not an error code")
