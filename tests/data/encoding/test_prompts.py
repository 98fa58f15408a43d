"""Prompts and targets as token ids: what is cut, what is kept, how each ends."""

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
READ = {"max_length": 12, "truncation": True}


@pytest.fixture(scope="module")
def tokenizer(tiny_gpt: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_gpt)


def ids(*words: str) -> list[int]:
    return [WORDS.index(word) for word in words]


def test_encoder_and_decoder_each_have_their_own_text(tokenizer: Any) -> None:
    shape = PromptFormat(("", ""), continued=False, max_new_tokens=8)
    found = encode_prompts(tokenizer, shape, ["a good film", "it"], ["a bad film", "this"], **READ)
    assert found.columns["input_ids"] == [[CLS, *ids("a", "good", "film"), END], [CLS, *ids("it"), END]]
    assert found.columns["targets"] == [[CLS, *ids("a", "bad", "film"), END], [CLS, *ids("this"), END]]
    assert found.counts.tokens == 16
    assert (found.too_long, found.notes) == ((), {})


def test_a_continued_prompt_has_no_end_and_its_target_no_beginning(tokenizer: Any) -> None:
    shape = PromptFormat(("it is ", " and"), continued=True, max_new_tokens=4)
    found = encode_prompts(tokenizer, shape, ["good"], ["bad film"], **READ)
    assert found.columns["input_ids"] == [[CLS, *ids("it", "is", "good", "and")]]
    assert found.columns["targets"] == [[*ids("bad", "film"), END]]
    alone = encode_prompts(tokenizer, shape, ["good"], None, **READ)
    assert alone.columns == {"input_ids": found.columns["input_ids"]}


@pytest.mark.parametrize("continued", [False, True])
def test_a_long_text_loses_its_end_and_the_prompt_stays_whole(tokenizer: Any, continued: bool) -> None:
    shape = PromptFormat(("it is ", " and this"), continued, max_new_tokens=4)
    text = " ".join(["good"] * 5 + ["bad"] * 9)
    (found,) = encode_prompts(tokenizer, shape, [text], None, **READ).columns["input_ids"]
    room = 8 if continued else 12
    assert len(found) == room
    assert found[:3] == [CLS, *ids("it", "is")]
    ending = ids("and", "this") + ([] if continued else [END])
    assert found[-len(ending) :] == ending
    assert found[3 : -len(ending)] == ids(*(["good"] * 5 + ["bad"] * 9))[: room - 3 - len(ending)]


def test_what_is_cut_is_counted_and_without_truncation_only_named(tokenizer: Any) -> None:
    shape = PromptFormat(("", ""), continued=False, max_new_tokens=4)
    texts, targets = ["a " * 20, "it"], ["film", "was " * 9]
    found = encode_prompts(tokenizer, shape, texts, targets, **READ)
    assert found.notes == {"prompts truncated to 12 tokens": 1, "targets truncated to 4 tokens": 1}
    assert found.columns["targets"][1] == [CLS, *ids("was", "was", "was")]  # it has no end: the text goes on
    assert found.counts.cut_examples == 2
    named = encode_prompts(tokenizer, shape, texts, targets, max_length=12, truncation=False)
    assert (named.too_long, named.limit) == ((0,), Limit("prompts", 12))
    named = encode_prompts(tokenizer, shape, ["a", "it"], targets, max_length=12, truncation=False)
    assert (named.too_long, named.limit) == ((1,), Limit("targets", 4, "task.max_new_tokens"))


@pytest.mark.parametrize(
    ("shape", "max_length", "message"),
    [
        (PromptFormat(("", ""), True, 12), 12, "no tokens for a prompt beside 12 new tokens"),
        (PromptFormat(("it is " * 4, ""), False, 4), 8, "fewer than the words around the text need"),
    ],
)
def test_a_prompt_needs_room(tokenizer: Any, shape: PromptFormat, max_length: int, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        encode_prompts(tokenizer, shape, ["a good film"], None, max_length=max_length, truncation=True)
    assert caught.value.details[0].code == "C09"
    assert caught.value.details[0].place == "train.max_length"


def test_the_language_is_what_a_text_begins_with(tokenizer: Any) -> None:
    german = MBart50Tokenizer(src_lang="en_XX", tgt_lang="de_DE")
    assert german.convert_ids_to_tokens(find_target_start(german)) == "de_DE"
    assert find_target_start(tokenizer) == CLS
    assert find_target_start(ByT5Tokenizer()) is None
    shape = PromptFormat(("", ""), continued=False, max_new_tokens=8)
    found = encode_prompts(german, shape, ["a"], ["b"], **READ).columns
    tokens = {name: german.convert_ids_to_tokens(rows[0]) for name, rows in found.items()}
    assert (tokens["input_ids"][0], tokens["targets"][0]) == ("en_XX", "de_DE")
    assert tokens["input_ids"][-1] == tokens["targets"][-1] == "</s>"


def test_tokenizers_in_python_are_cut_and_told_apart_too() -> None:
    slow = ByT5Tokenizer()
    shape = PromptFormat(("", ""), continued=False, max_new_tokens=3)
    found = encode_prompts(slow, shape, ["abcdefghijklmnop"], ["xyz"], **READ)
    (row,) = found.columns["input_ids"]
    assert slow.decode(row) == "abcdefghijk</s>"
    assert slow.decode(found.columns["targets"][0]) == "xyz"
    assert digest_tokenizer(slow) == digest_tokenizer(ByT5Tokenizer())
    assert digest_tokenizer(slow) != digest_tokenizer(ByT5Tokenizer(extra_ids=5))
