"""A dialogue streams answers, keeps its turns, and handles interrupted answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmkit.base.errors import ModelError
from llmkit.commands import chat


@pytest.fixture
def dialogue(tiny_gpt: Path) -> Any:
    """A dialogue with a model that llmkit did not train."""
    return chat.start(str(tiny_gpt), max_new_tokens=10)


def test_answers_are_kept_as_turns_until_reset(dialogue: Any, tiny_gpt: Path) -> None:
    first = "".join(dialogue.ask("good film"))
    second = "".join(dialogue.ask("bad film"))
    assert [turn["role"] for turn in dialogue.turns] == ["user", "assistant"] * 2
    assert [turn["content"] for turn in dialogue.turns] == [
        "good film",
        first.strip(),
        "bad film",
        second.strip(),
    ]
    again = chat.start(str(tiny_gpt), max_new_tokens=10)
    assert "".join(again.ask("good film")) == first
    again.reset()
    assert not again.turns
    assert "".join(again.ask("good film")) == first


def test_streamed_pieces_equal_decoding_at_once(dialogue: Any) -> None:
    """The pieces give the text that decoding all ids at once gives."""
    pieces = list(dialogue.ask("good film"))
    assert len(pieces) > 1
    tokenizer = dialogue.opened.tokenizer
    text = "".join(pieces)
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_multi_token_characters_are_decoded_at_constant_cost() -> None:
    tokens = list("naïve 猫 and 😀, so it goes".encode()) * 20
    lengths = []

    def decode(ids: list[int]) -> str:
        lengths.append(len(ids))
        return bytes(ids).decode("utf-8", errors="replace")

    pieces = list(chat.decode_stream(tokens, decode))
    assert "".join(pieces) == bytes(tokens).decode() and "😀" in pieces
    assert max(lengths) <= 8


def test_streaming_keeps_spaces_between_words() -> None:
    """As with SentencePiece tokenizers, whose decoders drop the space before the first word."""
    words = [" good", " film", "s", " are", "", " rare"]
    pieces = list(chat.decode_stream(range(6), lambda ids: "".join(words[i] for i in ids).removeprefix(" ")))
    assert "".join(pieces) == "good films are rare"


def test_interrupted_answer_is_kept(dialogue: Any) -> None:
    pieces = dialogue.ask("good film")
    start = next(pieces) + next(pieces)
    pieces.close()
    assert dialogue.turns[-1] == {"role": "assistant", "content": start.strip()}
    unread = dialogue.ask("and then")
    unread.close()  # before its first piece
    assert len(dialogue.turns) == 2


def test_truncated_conversation_adds_a_note(tiny_gpt: Path) -> None:
    dialogue = chat.start(str(tiny_gpt), max_new_tokens=30)
    for _ in range(3):
        assert "".join(dialogue.ask("good film"))
    assert dialogue.notes[0].startswith("conversations truncated to 34 tokens")


def test_system_message_comes_first(tiny_gpt: Path) -> None:
    dialogue = chat.start(str(tiny_gpt), system="very bad", max_new_tokens=4)
    task: Any = dialogue.opened.task
    assert task.parse_turns("film")[0] == {"role": "system", "content": "very bad"}


def test_other_tasks_and_encoders_are_errors(finished: Any, tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match="was not trained to chat"):
        chat.start(str(finished.path))
    with pytest.raises(ModelError, match="cannot generate any"):
        chat.start(str(tiny_bert))
