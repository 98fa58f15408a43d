"""Corpora from rows, a model that returns its inputs as logits, and settings of fast intervals."""

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


class Echo(nn.Module):
    """A model whose logits are its input_ids."""

    def forward(self, input_ids: Tensor) -> Any:
        return SimpleNamespace(logits=input_ids)


@pytest.fixture
def echo() -> nn.Module:
    return Echo()


@pytest.fixture
def resampling() -> Resampling:
    return Resampling(resamples=200, seed=1)


@pytest.fixture
def corpus_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Corpus]:
    """Read rows as the task does: corpus_of(task, train=[{...}, ...]); places are `train.jsonl:1`."""
    monkeypatch.chdir(tmp_path)

    def make(task: Any, **splits: list[dict[str, Any]]) -> Corpus:
        for split, rows in splits.items():
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            Path(f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        return corpus.read(
            Data(**{split: f"{split}.jsonl" for split in splits}),
            columns=task.spec.columns,
            progress=SILENT,
            resolve_index=lambda name, _: Path(name),
            resolve_hub=lambda name, _: {},
        )

    return make
