"""A fixture for the tests of the checks."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def corpus_of(in_folder, read):
    """Return a function that reads a corpus of any rows: corpus_of(["text", "score"], train=[{...}])."""

    def call(columns, **splits):
        for split, rows in splits.items():
            lines = [json.dumps(row) + "\n" for row in rows]
            Path(f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        names = {split: f"{split}.jsonl" for split in splits}
        return read(columns={name: name for name in columns}, **names)

    return call
