"""Tests of the cache of encoded examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from llmkit.base.progress import SILENT
from llmkit.data.encoding.cache import digest_tokenizer, load_or_encode
from llmkit.data.encoding.encode import encode, encode_texts
from llmkit.data.encoding.features import Collect, Encoded, Features, TokenCounts
from llmkit.models.load import load_tokenizer

SHORT, LONG = "a good film", "a good film " * 4


@pytest.fixture
def tokenizer(tiny_bert: Path) -> Any:
    return load_tokenizer(tiny_bert)


def run(
    tokenizer: Any, texts: Sequence[str], *, truncation: bool, collect: Collect = Encoded.from_batches
) -> Encoded:
    return encode(
        datasets.Dataset.from_dict({"text": list(texts)}),
        lambda rows, _: encode_texts(tokenizer, rows["text"], max_length=8, truncation=truncation),
        place=lambda row: f"file.jsonl:{row + 1}",
        max_length=8,
        progress=SILENT,
        split="train",
        collect=collect,
    )


def test_the_second_time_nothing_is_made(tmp_path: Path, monkeypatch: Any, tokenizer: Any) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))
    made: list[int] = []

    def make(collect: Collect) -> Encoded:
        made.append(1)
        return run(tokenizer, [SHORT, LONG], truncation=True, collect=collect)

    first = load_or_encode(make, rows="abc", max_length=8)
    second = load_or_encode(make, rows="abc", max_length=8)
    assert made == [1]
    assert np.array_equal(first.ragged["input_ids"].flat, second.ragged["input_ids"].flat)
    assert second.counts == first.counts
    assert isinstance(second.ragged["input_ids"].flat, np.memmap)
    load_or_encode(make, rows="abc", max_length=9)
    assert made == [1, 1]


def test_the_digest_tells_tokenizers_apart(tiny_bert: Path, tmp_path: Path, tokenizer: Any) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert digest_tokenizer(load_tokenizer(tiny_bert)) == digest_tokenizer(tokenizer)
    other = load_tokenizer(tiny_bert)
    other.eos_token = "[SEP]"  # what ends a document is no part of tokenizer.json
    assert digest_tokenizer(other) != digest_tokenizer(tokenizer)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = not content["normalizer"]["lowercase"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((tiny_bert / "model.safetensors").read_bytes())
    assert digest_tokenizer(load_tokenizer(tmp_path)) != digest_tokenizer(tokenizer)


def windows(rows: Sequence[int]) -> Features:
    """One window of two tokens for each number, told of its row."""
    return Features(
        {"input_ids": [[row, row] for row in rows], "labels": [[row, -100] for row in rows]},
        TokenCounts(tokens=2 * len(rows), longest=2),
        decode_columns={"words": [[0, row] for row in rows]},
        rows=rows,
        notes={"sentences in several windows": 1},
    )


def test_all_there_is_comes_back_from_the_cache(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))
    batches = [(0, windows([0, 0, 3])), (5, windows([])), (7, windows([1]))]
    made = Encoded.from_batches(batches)
    load_or_encode(lambda collect: collect(iter(batches)), rows="abc")
    found = load_or_encode(lambda _: pytest.fail("made twice"), rows="abc")
    assert (found.counts, found.notes) == (made.counts, made.notes)
    assert found.examples.tolist() == [0, 0, 3, 8]
    for kind in ("ragged", "decode_columns"):
        ours, theirs = getattr(made, kind), getattr(found, kind)
        assert list(theirs) == sorted(ours)
        for name, column in ours.items():
            assert [row.tolist() for row in theirs[name]] == [row.tolist() for row in column], name


def test_another_format_is_made_anew(tmp_path: Path, monkeypatch: Any) -> None:
    """What an older version left in the cache must not be opened by a newer one."""
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))
    load_or_encode(lambda collect: collect([(0, windows([0]))]), rows="abc")
    monkeypatch.setattr("llmkit.data.encoding.cache.FORMAT", -1)
    assert len(load_or_encode(lambda collect: collect([(0, windows([0, 1]))]), rows="abc")) == 2


def test_the_digest_forgets_what_was_cut_before(tokenizer: Any) -> None:
    """A fast tokenizer keeps the last call's truncation and padding in its definition."""
    before = digest_tokenizer(tokenizer)
    encode_texts(tokenizer, [LONG], max_length=5, truncation=True)
    assert digest_tokenizer(tokenizer) == before
    tokenizer([SHORT, LONG], padding=True)
    assert digest_tokenizer(tokenizer) == before
    tokenizer.add_tokens(["<e1>"], special_tokens=True)
    assert digest_tokenizer(tokenizer) != before
