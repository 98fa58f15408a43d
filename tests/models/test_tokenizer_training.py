"""Vocabularies: what they cut, give back and don't know; the same from the same texts."""

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
MADE = {kind: train(TEXTS, kind, 330) for kind in KINDS}


@given(st.text() | st.sampled_from(["<|endoftext|>", "a<|pad|>b", "  \r\n\t ", "é\u0301 😀 学"]))
def test_byte_level_bpe_gives_back_any_text(text: str) -> None:
    found = MADE["bpe"](text)["input_ids"]
    assert MADE["bpe"].decode(found) == text


@given(st.text(alphabet=sorted(set("".join(TEXTS)))))
def test_characters_give_back_any_text_of_theirs(text: str) -> None:
    tokenizer = MADE["characters"]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer(text)["input_ids"]) == len(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_folder_opens_as_the_same_tokenizer(kind: Kind, tmp_path: Path) -> None:
    MADE[kind].save_pretrained(tmp_path)
    text = "The mill of 学 nobody é"
    for opened in (AutoTokenizer.from_pretrained(tmp_path), load.load_tokenizer(tmp_path, weights=False)):
        assert opened(text) == MADE[kind](text)
        assert opened.get_vocab() == MADE[kind].get_vocab()
        assert {role: getattr(opened, role) for role in KINDS[kind]} == KINDS[kind]


def pieces(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    return list(tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]))


def test_special_tokens_come_first_and_stand_where_each_kind_wants_them() -> None:
    for kind, roles in KINDS.items():
        special = list(dict.fromkeys(roles.values()))
        assert MADE[kind].convert_tokens_to_ids(special) == list(range(len(special)))
    assert pieces(MADE["wordpiece"], "the mill 学而") == ["[CLS]", "the", "mill", "学", "而", "[SEP]"]
    assert MADE["wordpiece"]("the", "mill")["token_type_ids"] == [0, 0, 0, 1, 1]
    assert pieces(MADE["unigram"], "the mill")[-1] == "</s>"
    assert "token_type_ids" not in MADE["bpe"]("the")


def test_lower_case() -> None:
    for kind in KINDS:
        folded = train(TEXTS, kind, 330, lowercase=True)
        assert folded("THE MILL")["input_ids"] == folded("the mill")["input_ids"]
        assert MADE[kind]("THE MILL")["input_ids"] != MADE[kind]("the mill")["input_ids"]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters"])
def test_the_same_texts_give_the_same_vocabulary(kind: Kind) -> None:
    for _ in range(3):
        assert train(TEXTS, kind, 330).get_vocab() == MADE[kind].get_vocab()


def test_the_pieces_of_unigram_are_the_same_too() -> None:
    assert set(train(TEXTS, "unigram", 100).get_vocab()) == set(train(TEXTS, "unigram", 100).get_vocab())


def test_a_small_vocabulary_knows_the_frequent_characters() -> None:
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
def test_too_few_tokens_are_told_with_the_least_number(kind: Kind, size: int, words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        train(TEXTS, kind, size)
    least = int(raised.value.details[0].fix.rsplit(" ", 1)[1].replace(",", ""))
    assert len(train(TEXTS, kind, least)) <= least


def test_counts_of_tokens_bytes_and_unknown_ones() -> None:
    found = measure(MADE["characters"], ["The 学", "", "ab*"])
    assert found == TokenizerStatistics(
        len(MADE["characters"]), texts=3, bytes=10, characters=8, tokens=8, unknown=1
    )
    assert (found.bytes_per_token, found.characters_per_token, found.unknown_share) == (10 / 8, 1.0, 1 / 8)
    assert measure(MADE["bpe"], ["\u0000*"]).unknown == 0
    assert measure(MADE["bpe"], []).bytes_per_token == 0
