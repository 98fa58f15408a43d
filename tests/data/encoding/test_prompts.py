"""Tests of prompts and targets: what is truncated, what is kept, and how each ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, ByT5Tokenizer, MBart50Tokenizer

from llmkit.base.errors import RecipeError
from llmkit.data.encoding.cache import digest_tokenizer
from llmkit.data.encoding.features import Limit
from llmkit.data.encoding.prompts import PromptFormat, encode_prompts, find_target_start
from tests.checkpoints import WORDS

CLS, END, UNKNOWN = (WORDS.index(word) for word in ("[CLS]", "[SEP]", "[UNK]"))
OPTIONS = {"max_length": 12, "truncation": True}


@pytest.fixture(scope="module")
def tokenizer(tiny_gpt: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_gpt)


def ids(*words: str) -> list[int]:
    return [WORDS.index(word) for word in words]


def test_an_encoder_decoder_has_separate_inputs_and_targets(tokenizer: Any) -> None:
    prompt_format = PromptFormat(("", ""), continued=False, max_new_tokens=8)
    features = encode_prompts(
        tokenizer, prompt_format, ["a good film", "it"], ["a bad film", "this"], **OPTIONS
    )
    assert features.columns["input_ids"] == [[CLS, *ids("a", "good", "film"), END], [CLS, *ids("it"), END]]
    assert features.columns["targets"] == [[CLS, *ids("a", "bad", "film"), END], [CLS, *ids("this"), END]]
    assert features.counts.tokens == 16
    assert (features.too_long, features.notes) == ((), {})


def test_a_continued_prompt_has_no_end_token_and_its_target_no_start_token(tokenizer: Any) -> None:
    prompt_format = PromptFormat(("it is ", " and"), continued=True, max_new_tokens=4)
    features = encode_prompts(tokenizer, prompt_format, ["good"], ["bad film"], **OPTIONS)
    assert features.columns["input_ids"] == [[CLS, *ids("it", "is", "good", "and")]]
    assert features.columns["targets"] == [[*ids("bad", "film"), END]]
    alone = encode_prompts(tokenizer, prompt_format, ["good"], None, **OPTIONS)
    assert alone.columns == {"input_ids": features.columns["input_ids"]}


@pytest.mark.parametrize("continued", [False, True])
def test_a_long_text_loses_its_end_but_the_words_around_it_stay(tokenizer: Any, continued: bool) -> None:
    prompt_format = PromptFormat(("it is ", " and this"), continued, max_new_tokens=4)
    text = " ".join(["good"] * 5 + ["bad"] * 9)
    (row,) = encode_prompts(tokenizer, prompt_format, [text], None, **OPTIONS).columns["input_ids"]
    prompt_length = 8 if continued else 12
    assert len(row) == prompt_length
    assert row[:3] == [CLS, *ids("it", "is")]
    ending = ids("and", "this") + ([] if continued else [END])
    assert row[-len(ending) :] == ending
    assert row[3 : -len(ending)] == ids(*(["good"] * 5 + ["bad"] * 9))[: prompt_length - 3 - len(ending)]


def test_truncated_texts_are_counted_and_without_truncation_only_listed(tokenizer: Any) -> None:
    prompt_format = PromptFormat(("", ""), continued=False, max_new_tokens=4)
    texts, targets = ["a " * 20, "it"], ["film", "was " * 9]
    features = encode_prompts(tokenizer, prompt_format, texts, targets, **OPTIONS)
    assert features.notes == {"prompts truncated to 12 tokens": 1, "targets truncated to 4 tokens": 1}
    # A truncated target has no end token.
    assert features.columns["targets"][1] == [CLS, *ids("was", "was", "was")]
    assert features.counts.cut_examples == 2
    features = encode_prompts(tokenizer, prompt_format, texts, targets, max_length=12, truncation=False)
    assert (features.too_long, features.limit) == ((0,), Limit("prompts", 12))
    features = encode_prompts(tokenizer, prompt_format, ["a", "it"], targets, max_length=12, truncation=False)
    assert (features.too_long, features.limit) == ((1,), Limit("targets", 4, "task.max_new_tokens"))


@pytest.mark.parametrize(
    ("prompt_format", "max_length", "message"),
    [
        (PromptFormat(("", ""), True, 12), 12, "no tokens for a prompt beside 12 new tokens"),
        (PromptFormat(("it is " * 4, ""), False, 4), 8, "fewer than the words around the text need"),
    ],
)
def test_max_length_without_tokens_for_the_text_is_c09(
    tokenizer: Any, prompt_format: PromptFormat, max_length: int, message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        encode_prompts(
            tokenizer, prompt_format, ["a good film"], None, max_length=max_length, truncation=True
        )
    assert caught.value.details[0].code == "C09"
    assert caught.value.details[0].place == "train.max_length"


def test_the_target_starts_with_its_language(tokenizer: Any) -> None:
    german = MBart50Tokenizer(src_lang="en_XX", tgt_lang="de_DE")
    assert german.convert_ids_to_tokens(find_target_start(german)) == "de_DE"
    assert find_target_start(tokenizer) == CLS
    assert find_target_start(ByT5Tokenizer()) is None
    prompt_format = PromptFormat(("", ""), continued=False, max_new_tokens=8)
    columns = encode_prompts(german, prompt_format, ["a"], ["b"], **OPTIONS).columns
    tokens = {name: german.convert_ids_to_tokens(rows[0]) for name, rows in columns.items()}
    assert (tokens["input_ids"][0], tokens["targets"][0]) == ("en_XX", "de_DE")
    assert tokens["input_ids"][-1] == tokens["targets"][-1] == "</s>"


def test_python_tokenizers_truncate_and_have_digests() -> None:
    slow = ByT5Tokenizer()
    prompt_format = PromptFormat(("", ""), continued=False, max_new_tokens=3)
    features = encode_prompts(slow, prompt_format, ["abcdefghijklmnop"], ["xyz"], **OPTIONS)
    (row,) = features.columns["input_ids"]
    assert slow.decode(row) == "abcdefghijk</s>"
    assert slow.decode(features.columns["targets"][0]) == "xyz"
    assert digest_tokenizer(slow) == digest_tokenizer(ByT5Tokenizer())
    assert digest_tokenizer(slow) != digest_tokenizer(ByT5Tokenizer(extra_ids=5))
