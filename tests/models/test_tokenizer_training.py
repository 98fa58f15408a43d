"""Trained tokenizers: round trips, special tokens, unknown tokens, and the same vocabulary from the same texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from llmkit.base.errors import UserError
from llmkit.models import load
from llmkit.models.tokenizer_training import KINDS, Kind, TokenizerStatistics, measure, train

TEXTS = [
    "The old house stood by the river.\n",
    "The river ran past the old mill, and the mill ground the corn.\n",
    "Nobody lived in the house; nobody had lived there for years.\n",
    "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？\n",
]
TRAINED = {kind: train(TEXTS, kind, 330) for kind in KINDS}


@given(st.text() | st.sampled_from(["<|endoftext|>", "a<|pad|>b", "  \r\n\t ", "é\u0301 😀 学"]))
def test_byte_level_bpe_restores_any_text(text: str) -> None:
    ids = TRAINED["bpe"](text)["input_ids"]
    assert TRAINED["bpe"].decode(ids) == text


@given(st.text(alphabet=sorted(set("".join(TEXTS)))))
def test_character_tokenizer_restores_texts_of_known_characters(text: str) -> None:
    tokenizer = TRAINED["characters"]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer(text)["input_ids"]) == len(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_is_loaded_unchanged(kind: Kind, tmp_path: Path) -> None:
    TRAINED[kind].save_pretrained(tmp_path)
    text = "The mill of 学 nobody é"
    for opened in (AutoTokenizer.from_pretrained(tmp_path), load.load_tokenizer(tmp_path, weights=False)):
        assert opened(text) == TRAINED[kind](text)
        assert opened.get_vocab() == TRAINED[kind].get_vocab()
        assert {role: getattr(opened, role) for role in KINDS[kind]} == KINDS[kind]


def pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]))


def test_special_tokens_have_the_first_ids_and_the_places_of_each_kind() -> None:
    for kind, roles in KINDS.items():
        special = list(dict.fromkeys(roles.values()))
        assert TRAINED[kind].convert_tokens_to_ids(special) == list(range(len(special)))
    assert pieces(TRAINED["wordpiece"], "the mill 学而") == ["[CLS]", "the", "mill", "学", "而", "[SEP]"]
    assert TRAINED["wordpiece"]("the", "mill")["token_type_ids"] == [0, 0, 0, 1, 1]
    assert pieces(TRAINED["unigram"], "the mill")[-1] == "</s>"
    assert "token_type_ids" not in TRAINED["bpe"]("the")


def test_lowercase_tokenizers_ignore_case() -> None:
    for kind in KINDS:
        lowercased = train(TEXTS, kind, 330, lowercase=True)
        assert lowercased("THE MILL")["input_ids"] == lowercased("the mill")["input_ids"]
        assert TRAINED[kind]("THE MILL")["input_ids"] != TRAINED[kind]("the mill")["input_ids"]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters"])
def test_the_same_texts_give_the_same_vocabulary(kind: Kind) -> None:
    for _ in range(3):
        assert train(TEXTS, kind, 330).get_vocab() == TRAINED[kind].get_vocab()


def test_unigram_gives_the_same_pieces_from_the_same_texts() -> None:
    assert set(train(TEXTS, "unigram", 100).get_vocab()) == set(train(TEXTS, "unigram", 100).get_vocab())


def test_a_small_vocabulary_holds_the_frequent_characters() -> None:
    for kind in ("wordpiece", "characters"):
        small = train(TEXTS, kind, 15)  # type: ignore[arg-type]
        assert len(small) == 15
        assert small.unk_token not in pieces(small, "h e")
        assert small.unk_token in pieces(small, "学")


@pytest.mark.parametrize(
    ("kind", "size", "words"),
    [
        ("bpe", 257, "at least 258"),
        ("wordpiece", 5, "at least 6"),
        ("characters", 3, "at least 4"),
        ("unigram", 20, "characters of the texts"),
    ],
)
def test_a_vocabulary_that_is_too_small_is_an_error_with_the_minimum(
    kind: Kind, size: int, words: str
) -> None:
    with pytest.raises(UserError, match=words) as raised:
        train(TEXTS, kind, size)
    minimum = int(raised.value.details[0].fix.rsplit(" ", 1)[1].replace(",", ""))
    assert len(train(TEXTS, kind, minimum)) <= minimum


def test_statistics_count_tokens_bytes_and_unknown_tokens() -> None:
    statistics = measure(TRAINED["characters"], ["The 学", "", "ab*"])
    assert statistics == TokenizerStatistics(
        len(TRAINED["characters"]), texts=3, bytes=10, characters=8, tokens=8, unknown=1
    )
    assert (statistics.bytes_per_token, statistics.characters_per_token, statistics.unknown_share) == (
        10 / 8,
        1.0,
        1 / 8,
    )
    assert measure(TRAINED["bpe"], ["\u0000*"]).unknown == 0
    assert measure(TRAINED["bpe"], []).bytes_per_token == 0
