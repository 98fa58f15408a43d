"""Corpora from rows, a model that answers what it is given, and settings that score fast."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor, nn

from llmkit.base.progress import SILENT
from llmkit.data import corpus
from llmkit.data.corpus import Corpus
from llmkit.metrics.resampling import Resampling
from llmkit.recipe.schema import Data


class Given(nn.Module):
    """Answers with the logits that it is given as input_ids."""

    def forward(self, input_ids: Tensor) -> Any:
        return SimpleNamespace(logits=input_ids)


@pytest.fixture
def given() -> nn.Module:
    return Given()


@pytest.fixture
def resampling() -> Resampling:
    return Resampling(resamples=200, seed=1)


@pytest.fixture
def corpus_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Corpus]:
    """A corpus as the task reads it: corpus_of(task, train=[{...}, ...]); places are `train.jsonl:1`."""
    monkeypatch.chdir(tmp_path)

    def make(task: Any, **parts: list[dict[str, Any]]) -> Corpus:
        for part, rows in parts.items():
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            Path(f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
        return corpus.read(
            Data(**{part: f"{part}.jsonl" for part in parts}),
            columns=task.spec.columns,
            progress=SILENT,
            resolve_index=lambda name, _: Path(name),
            resolve_hub=lambda name, _: {},
        )

    return make
