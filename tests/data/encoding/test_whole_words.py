"""Tests of word numbers by the tokenizer and by jieba."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from llmkit.base.errors import UserError
from llmkit.data.encoding.whole_words import number_words

VOCABULARY = ["[UNK]", "un", "##aff", "##able", "words", ".", *"我们爱北京大学", "a", "##a"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate(VOCABULARY)}
    wordpiece = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer()
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=wordpiece, unk_token="[UNK]")


def words(tokenizer: Any, text: str, unit: Any) -> list[int]:
    ((ids, word_numbers),) = number_words([text], tokenizer, unit)
    assert ids.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    return word_numbers.tolist()


def test_the_tokens_of_a_word_share_a_number(tokenizer: Any) -> None:
    assert words(tokenizer, "Unaffable words.", "tokenizer") == [1, 1, 1, 2, 3]


def test_with_unit_token_each_token_is_a_word(tokenizer: Any) -> None:
    assert words(tokenizer, "Unaffable words.", "token") == [1, 2, 3, 4, 5]


def test_jieba_finds_chinese_words(tokenizer: Any) -> None:
    text = "我们爱北京大学"
    assert words(tokenizer, text, "tokenizer") == [1, 2, 3, 4, 5, 6, 7]
    assert words(tokenizer, text, "jieba") == [1, 1, 2, 3, 3, 3, 3]


def test_unknown_tokens_are_never_masked(tokenizer: Any) -> None:
    assert words(tokenizer, "words strange words", "tokenizer") == [1, 0, 3]


def test_a_word_of_too_many_tokens_is_divided_into_tokens(tokenizer: Any) -> None:
    assert words(tokenizer, f"words {'a' * 10} words", "tokenizer") == [1, *[2] * 10, 3]
    assert words(tokenizer, f"words {'a' * 11} words", "tokenizer") == [1, *range(2, 13), 13]


def test_an_empty_text_has_no_words(tokenizer: Any) -> None:
    for unit in ("token", "tokenizer", "jieba"):
        assert words(tokenizer, "", unit) == []


def test_missing_jieba_is_e03(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(UserError, match=r"E03.*jieba.*llmkit\[zh\]"):
        words(tokenizer, "我们", "jieba")
