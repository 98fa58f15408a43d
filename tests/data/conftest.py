import json
from pathlib import Path

import pytest

from llmkit.base.progress import SILENT
from llmkit.data import corpus
from llmkit.recipe.schema import Data


def no_index(name, progress):
    raise AssertionError(f"asked the index for {name}")


def no_hub(name, progress):
    raise AssertionError(f"asked the Hub for {name}")


@pytest.fixture
def read():
    """corpus.read of recipe keys: read(train=..., columns={...}, resolve_hub=...)."""

    def call(*, columns=None, progress=SILENT, resolve_index=no_index, resolve_hub=no_hub, **keys):
        return corpus.read(
            Data(**keys),
            columns=columns or {"text": "text", "label": "label"},
            progress=progress,
            resolve_index=resolve_index,
            resolve_hub=resolve_hub,
        )

    return call


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """An empty working folder, so that places are short: `train.jsonl:3`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make(in_folder, read):
    """A corpus from (text, label) pairs a part: make(train=[("a", 1)], test=[...])."""

    def call(**parts):
        for part, pairs in parts.items():
            lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs]
            Path(f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
        return read(**{part: f"{part}.jsonl" for part in parts})

    return call
