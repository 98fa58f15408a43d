"""Tokenizing: cut only when allowed, everything counted, made once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from llmkit.data.encode import Encoded, Ragged, TokenCounts, cached, encode, texts_to_ids, tokenizer_digest
from llmkit.errors import DataError
from llmkit.models.load import tokenizer as load_tokenizer
from llmkit.progress import SILENT

SHORT, LONG = "a good film", "a good film " * 4


@pytest.fixture
def tokenizer(tiny_bert: Path) -> Any:
    return load_tokenizer(tiny_bert)


def run(tokenizer: Any, texts: Sequence[str], *, truncation: bool) -> Encoded:
    return encode(
        datasets.Dataset.from_dict({"text": list(texts)}),
        lambda rows, _: texts_to_ids(tokenizer, rows["text"], max_length=8, truncation=truncation),
        place=lambda row: f"file.jsonl:{row + 1}",
        max_length=8,
        progress=SILENT,
        what="train",
    )


def test_ragged_rows_come_back() -> None:
    rows = [[1, 2, 3], [], [4]]
    ragged = Ragged.of(rows)
    assert [ragged[number].tolist() for number in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [3, 0, 1]


def test_ids_are_the_tokenizers_own(tokenizer: Any) -> None:
    encoded = run(tokenizer, [SHORT], truncation=False)
    assert encoded.ragged["input_ids"][0].tolist() == tokenizer(SHORT)["input_ids"]
    assert encoded.counts == TokenCounts(tokens=5, longest=5)


def test_a_long_text_is_cut_only_when_the_recipe_says_so(tokenizer: Any) -> None:
    encoded = run(tokenizer, [SHORT, LONG], truncation=True)
    assert encoded.lengths.tolist() == [5, 8]
    assert encoded.ragged["input_ids"][1][-1] == tokenizer.sep_token_id
    assert encoded.counts == TokenCounts(tokens=13, cut_tokens=6, cut_examples=1, longest=14)


def test_a_long_text_without_leave_to_cut_says_how_much_would_be_lost(tokenizer: Any) -> None:
    with pytest.raises(DataError) as caught:
        run(tokenizer, [SHORT, LONG], truncation=False)
    assert caught.value.lines() == [
        "error[L12] file.jsonl:2: 1 of 2 texts (50.0%) are longer than 8 tokens (longest: 14); cutting them would lose "
        "31.6% of all tokens. Fix: raise train.max_length, or set train.truncation=true to cut them"
    ]


def test_unknown_tokens_are_counted(tokenizer: Any) -> None:
    assert run(tokenizer, ["a zebra", "好"], truncation=False).counts.unknown_tokens == 2


def test_the_second_time_nothing_is_made(tmp_path: Path, monkeypatch: Any, tokenizer: Any) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))
    made: list[int] = []

    def make() -> Encoded:
        made.append(1)
        return run(tokenizer, [SHORT, LONG], truncation=True)

    first = cached(make, rows="abc", max_length=8)
    second = cached(make, rows="abc", max_length=8)
    assert made == [1]
    assert np.array_equal(first.ragged["input_ids"].flat, second.ragged["input_ids"].flat)
    assert second.counts == first.counts
    assert isinstance(second.ragged["input_ids"].flat, np.memmap)
    cached(make, rows="abc", max_length=9)
    assert made == [1, 1]


def test_the_digest_tells_tokenizers_apart(tiny_bert: Path, tmp_path: Path, tokenizer: Any) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_digest(load_tokenizer(tiny_bert)) == tokenizer_digest(tokenizer)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = not content["normalizer"]["lowercase"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((tiny_bert / "model.safetensors").read_bytes())
    assert tokenizer_digest(load_tokenizer(tmp_path)) != tokenizer_digest(tokenizer)
