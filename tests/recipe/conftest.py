"""A task with two options, and recipes written to a file on the way into `load`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from llmkit.base.errors import ErrorDetail, RecipeError
from llmkit.recipe.load import load
from llmkit.recipe.schema import Recipe, Section


class Options(Section):
    """One label a text."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """How much each class counts."""


def _line(problem: ErrorDetail) -> str:
    fix = f" Fix: {problem.fix}" if problem.fix else ""
    return f"[{problem.code}] {problem.place}: {problem.message}.{fix}"


@pytest.fixture(scope="session")
def options() -> type[Section]:
    return Options


@pytest.fixture
def load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Load this text as a.yaml of the current folder."""
    monkeypatch.chdir(tmp_path)

    def _load(text: str | bytes, overrides: Sequence[str] = ()) -> Recipe:
        Path("a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(
            "a.yaml", overrides, task_names=["classification", "chat"], task_options=lambda _: Options
        )

    return _load


@pytest.fixture
def problems(load_text: Callable[..., Recipe]) -> Callable[..., list[str]]:
    """The lines that tell what is wrong with this text as a.yaml."""

    def _problems(text: str | bytes, overrides: Sequence[str] = ()) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            load_text(text, overrides)
        return [_line(problem) for problem in caught.value.details]

    return _problems
