"""Tests of the tokenization in batches, of texts and of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
from tokenizers import pre_tokenizers
from transformers import BertTokenizer, GPT2Tokenizer, RobertaTokenizer

from llmkit.base.errors import DataError
from llmkit.base.progress import SILENT
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


def test_ids_equal_those_of_the_tokenizer(tokenizer: Any) -> None:
    encoded = encode_all(tokenizer, [SHORT], truncation=False)
    assert encoded.ragged["input_ids"][0].tolist() == tokenizer(SHORT)["input_ids"]
    assert encoded.counts == TokenCounts(tokens=5, longest=5)


def test_a_long_text_is_truncated_if_allowed(tokenizer: Any) -> None:
    encoded = encode_all(tokenizer, [SHORT, LONG], truncation=True)
    assert encoded.lengths.tolist() == [5, 8]
    assert encoded.ragged["input_ids"][1][-1] == tokenizer.sep_token_id
    assert encoded.counts == TokenCounts(tokens=13, cut_tokens=6, cut_examples=1, longest=14)


def test_a_long_text_without_truncation_is_l12_with_the_share_lost(tokenizer: Any) -> None:
    with pytest.raises(DataError) as caught:
        encode_all(tokenizer, [SHORT, LONG], truncation=False)
    assert caught.value.lines() == [
        "error[L12] file.jsonl:2: 1 of 2 texts (50.0%) are longer than 8 tokens (longest: 14); truncation would lose "
        "31.6% of all tokens. Fix: raise train.max_length, or set train.truncation=true to truncate them"
    ]


def test_unknown_tokens_are_counted(tokenizer: Any) -> None:
    assert encode_all(tokenizer, ["a zebra", "好"], truncation=False).counts.unknown_tokens == 2


# pairs

FIRST = ["a good film", "it was a very dull story with music", "the plot", "a film " * 8]
SECOND = ["the story", "a film", "it is a fresh and funny scene with very good music", "good music " * 8]


@pytest.fixture
def bert() -> Any:
    """Return a tokenizer with token types."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(" ".join(FIRST + SECOND).split()))]
    return BertTokenizer(vocab={word: number for number, word in enumerate(words)})


@pytest.fixture
def roberta() -> Any:
    """Return a tokenizer with two separators between texts and no token types."""
    special = {name: number for number, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])}
    return RobertaTokenizer(vocab={**special, **_letters(5)}, merges=[])


@pytest.fixture
def gpt2() -> Any:
    """Return a tokenizer without special tokens."""
    tokenizer = GPT2Tokenizer(vocab={**_letters(0), "<|endoftext|>": 256}, merges=[])
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _letters(first: int) -> dict[str, int]:
    return {letter: first + n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def pairs_of(tokenizer: Any, max_length: int, truncation: bool = True, rows: int = 4) -> Features:
    return encode_texts(tokenizer, FIRST[:rows], SECOND[:rows], max_length=max_length, truncation=truncation)


@pytest.mark.parametrize("name", ["bert", "roberta", "tokenizer"])
@pytest.mark.parametrize("max_length", [9, 14, 200])
def test_pairs_equal_those_of_the_tokenizer(
    request: pytest.FixtureRequest, name: str, max_length: int
) -> None:
    named_tokenizer = request.getfixturevalue(name)
    features = pairs_of(named_tokenizer, max_length)
    expected = named_tokenizer(FIRST, SECOND, truncation=True, max_length=max_length)
    names = [column for column in expected if column != "attention_mask"]
    assert list(features.columns) == names
    for column in names:
        assert features.columns[column] == expected[column], column


def test_only_pairs_have_token_types(bert: Any, roberta: Any) -> None:
    pairs = pairs_of(bert, 200)
    for ids, types in zip(pairs.columns["input_ids"], pairs.columns["token_type_ids"], strict=True):
        first = list(ids).index(bert.sep_token_id) + 1
        assert list(types) == [0] * first + [1] * (len(ids) - first)
    alone = encode_texts(bert, FIRST, max_length=200, truncation=False)
    assert list(alone.columns) == ["input_ids"]
    assert not any(map(any, bert(FIRST)["token_type_ids"]))  # so leaving them out loses nothing
    assert list(pairs_of(roberta, 200).columns) == ["input_ids"]


def test_truncated_pairs_are_counted_with_both_texts(bert: Any) -> None:
    """The longer text is truncated first."""
    features = pairs_of(bert, 12)
    full = [len(ids) for ids in bert(FIRST, SECOND)["input_ids"]]
    assert full == [8, 13, 16, 35]
    assert [len(ids) for ids in features.columns["input_ids"]] == [8, 12, 12, 12]
    assert [len(types) for types in features.columns["token_type_ids"]] == [8, 12, 12, 12]
    assert features.counts == TokenCounts(
        tokens=44, cut_tokens=1 + 4 + 23, cut_examples=3, unknown_tokens=0, longest=35
    )
    third = bert.decode(features.columns["input_ids"][2], skip_special_tokens=True)
    assert third.startswith("the plot it is")  # the short first text is not truncated


def test_long_pairs_are_only_listed_without_truncation(bert: Any) -> None:
    features = pairs_of(bert, 12, truncation=False)
    assert features.too_long == (1, 2, 3)
    assert features.columns["input_ids"] == bert(FIRST, SECOND)["input_ids"]


def test_pairs_without_a_separator_are_on_two_lines(gpt2: Any) -> None:
    features = pairs_of(gpt2, 500)
    for ids, first, second in zip(features.columns["input_ids"], FIRST, SECOND, strict=True):
        assert gpt2.decode(ids) == f"{first}\n{second}"
    # Without a line break, the pair would be one word.
    assert gpt2("a", "b")["input_ids"] == gpt2("ab")["input_ids"]
    again = encode_texts(gpt2, ["a b"], ["c"], max_length=500, truncation=False)
    other = encode_texts(gpt2, ["a"], [" bc"], max_length=500, truncation=False)
    assert again.columns["input_ids"] != other.columns["input_ids"]


def test_a_truncated_pair_keeps_its_line_break(gpt2: Any) -> None:
    features = pairs_of(gpt2, 10)
    assert [gpt2.decode(ids).count("\n") for ids in features.columns["input_ids"]] == [1] * 4
    assert [len(ids) for ids in features.columns["input_ids"]] == [10] * 4


# windows
