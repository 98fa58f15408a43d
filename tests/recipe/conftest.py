"""A task with two options, and fixtures that load a recipe from text."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from llmkit.base.errors import ErrorDetail, RecipeError
from llmkit.recipe.load import load
from llmkit.recipe.schema import Recipe, Section


class Options(Section):
    """One label per text."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the target that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the classes in the loss."""


def _format_line(error: ErrorDetail) -> str:
    fix = f" Fix: {error.fix}" if error.fix else ""
    return f"[{error.code}] {error.place}: {error.message}.{fix}"


@pytest.fixture(scope="session")
def options() -> type[Section]:
    return Options


@pytest.fixture
def load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Return a function that loads a recipe from text, which it writes to a.yaml in the current folder."""
    monkeypatch.chdir(tmp_path)

    def _load(text: str | bytes, overrides: Sequence[str] = ()) -> Recipe:
        Path("a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(
            "a.yaml", overrides, task_names=["classification", "chat"], task_options=lambda _: Options
        )

    return _load


@pytest.fixture
def error_lines(load_text: Callable[..., Recipe]) -> Callable[..., list[str]]:
    """Return a function that returns the error lines for a text written to a.yaml."""

    def _load_invalid(text: str | bytes, overrides: Sequence[str] = ()) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            load_text(text, overrides)
        return [_format_line(error) for error in caught.value.details]

    return _load_invalid
