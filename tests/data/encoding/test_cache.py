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


def encode_all(
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


def test_the_second_call_loads_the_cached_examples(tmp_path: Path, monkeypatch: Any, tokenizer: Any) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))
    calls: list[int] = []

    def encode_and_count(collect: Collect) -> Encoded:
        calls.append(1)
        return encode_all(tokenizer, [SHORT, LONG], truncation=True, collect=collect)

    first = load_or_encode(encode_and_count, rows="abc", max_length=8)
    second = load_or_encode(encode_and_count, rows="abc", max_length=8)
    assert calls == [1]
    assert np.array_equal(first.ragged["input_ids"].flat, second.ragged["input_ids"].flat)
    assert second.counts == first.counts
    assert isinstance(second.ragged["input_ids"].flat, np.memmap)
    load_or_encode(encode_and_count, rows="abc", max_length=9)
    assert calls == [1, 1]


def test_different_tokenizers_have_different_digests(tiny_bert: Path, tmp_path: Path, tokenizer: Any) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert digest_tokenizer(load_tokenizer(tiny_bert)) == digest_tokenizer(tokenizer)
    other = load_tokenizer(tiny_bert)
    other.eos_token = "[SEP]"  # tokenizer.json does not hold the end token
    assert digest_tokenizer(other) != digest_tokenizer(tokenizer)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = not content["normalizer"]["lowercase"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((tiny_bert / "model.safetensors").read_bytes())
    assert digest_tokenizer(load_tokenizer(tmp_path)) != digest_tokenizer(tokenizer)


def make_features(rows: Sequence[int]) -> Features:
    """Return one window of two tokens for each row number."""
    return Features(
        {"input_ids": [[row, row] for row in rows], "labels": [[row, -100] for row in rows]},
        TokenCounts(tokens=2 * len(rows), longest=2),
        decode_columns={"words": [[0, row] for row in rows]},
        rows=rows,
        notes={"sentences in several windows": 1},
    )


def test_everything_is_stored_in_the_cache(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))
    batches = [(0, make_features([0, 0, 3])), (5, make_features([])), (7, make_features([1]))]
    encoded = Encoded.from_batches(batches)
    load_or_encode(lambda collect: collect(iter(batches)), rows="abc")
    cached = load_or_encode(lambda _: pytest.fail("encoded twice"), rows="abc")
    assert (cached.counts, cached.notes) == (encoded.counts, encoded.notes)
    assert cached.examples.tolist() == [0, 0, 3, 8]
    for kind in ("ragged", "decode_columns"):
        ours, theirs = getattr(encoded, kind), getattr(cached, kind)
        assert list(theirs) == sorted(ours)
        for name, column in ours.items():
            assert [row.tolist() for row in theirs[name]] == [row.tolist() for row in column], name


def test_another_format_is_encoded_again(tmp_path: Path, monkeypatch: Any) -> None:
    """A newer version must not open what an older one left in the cache."""
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))
    load_or_encode(lambda collect: collect([(0, make_features([0]))]), rows="abc")
    monkeypatch.setattr("llmkit.data.encoding.cache.FORMAT", -1)
    assert len(load_or_encode(lambda collect: collect([(0, make_features([0, 1]))]), rows="abc")) == 2


def test_the_digest_ignores_truncation_and_padding_of_earlier_calls(tokenizer: Any) -> None:
    """The definition of a fast tokenizer includes the truncation and padding of its last call."""
    before = digest_tokenizer(tokenizer)
    encode_texts(tokenizer, [LONG], max_length=5, truncation=True)
    assert digest_tokenizer(tokenizer) == before
    tokenizer([SHORT, LONG], padding=True)
    assert digest_tokenizer(tokenizer) == before
    tokenizer.add_tokens(["<e1>"], special_tokens=True)
    assert digest_tokenizer(tokenizer) != before
