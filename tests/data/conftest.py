import json
from pathlib import Path

import pytest

from llmkit.base.progress import SILENT
from llmkit.data import corpus
from llmkit.recipe.schema import Data


def no_index(name, progress):
    raise AssertionError(f"unexpected request to the index: {name}")


def no_hub(name, progress):
    raise AssertionError(f"unexpected request to the Hub: {name}")


@pytest.fixture
def read():
    """Read a corpus from recipe keys: read(train=..., columns={...}, resolve_hub=...)."""

    def call(
        *, columns=None, progress=SILENT, resolve_index=no_index, resolve_hub=no_hub, recognize=None, **keys
    ):
        return corpus.read(
            Data(**keys),
            columns=columns or {"text": "text", "label": "label"},
            progress=progress,
            resolve_index=resolve_index,
            resolve_hub=resolve_hub,
            recognize=recognize,
        )

    return call


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """Work in an empty folder, so that places are short: `train.jsonl:3`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make(in_folder, read):
    """Make a corpus from the (text, label) pairs of each split: make(train=[("a", 1)], test=[...])."""

    def call(**splits):
        for name, pairs in splits.items():
            lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs]
            Path(f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        return read(**{name: f"{name}.jsonl" for name in splits})

    return call
