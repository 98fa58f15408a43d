"""A dialogue: answers piece by piece, turns remembered, an answer that is broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmkit.base.errors import ModelError
from llmkit.commands import chat


@pytest.fixture
def dialogue(tiny_gpt: Path) -> Any:
    """With a model that llmkit has not trained."""
    return chat.start(str(tiny_gpt), max_new_tokens=10)


def test_pieces_make_the_answer_of_the_whole_conversation(dialogue: Any, tiny_gpt: Path) -> None:
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


def test_pieces_are_those_of_the_task_as_a_whole(dialogue: Any) -> None:
    """Decoded at once, the ids give the same text."""
    pieces = list(dialogue.ask("good film"))
    assert len(pieces) > 1
    tokenizer = dialogue.opened.tokenizer
    text = "".join(pieces)
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_pieces_of_characters_that_need_several_tokens_and_a_cost_that_does_not_grow() -> None:
    bytes_of = list("naïve 猫 and 😀, so it goes".encode()) * 20
    asked = []

    def decode(ids: list[int]) -> str:
        asked.append(len(ids))
        return bytes(ids).decode("utf-8", errors="replace")

    found = list(chat.decode_stream(bytes_of, decode))
    assert "".join(found) == bytes(bytes_of).decode() and "😀" in found
    assert max(asked) <= 8


def test_pieces_keep_the_spaces_between_words() -> None:
    """A decoder that drops the space before its first word, as those of sentencepiece do."""
    words = [" good", " film", "s", " are", "", " rare"]
    found = list(chat.decode_stream(range(6), lambda ids: "".join(words[i] for i in ids).removeprefix(" ")))
    assert "".join(found) == "good films are rare"


def test_a_broken_off_answer_stays_as_far_as_it_came(dialogue: Any) -> None:
    pieces = dialogue.ask("good film")
    begun = next(pieces) + next(pieces)
    pieces.close()
    assert dialogue.turns[-1] == {"role": "assistant", "content": begun.strip()}
    nothing = dialogue.ask("and then")
    nothing.close()  # never begun
    assert len(dialogue.turns) == 2


def test_long_conversations_are_cut_and_that_is_said(tiny_gpt: Path) -> None:
    dialogue = chat.start(str(tiny_gpt), max_new_tokens=30)
    for _ in range(3):
        assert "".join(dialogue.ask("good film"))
    assert dialogue.notes[0].startswith("conversations truncated to 34 tokens")


def test_a_system_message_comes_first(tiny_gpt: Path) -> None:
    dialogue = chat.start(str(tiny_gpt), system="very bad", max_new_tokens=4)
    task: Any = dialogue.opened.task
    assert task.parse_turns("film")[0] == {"role": "system", "content": "very bad"}


def test_runs_of_other_tasks_and_encoders_are_refused(finished: Any, tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match="was not trained to chat"):
        chat.start(str(finished.path))
    with pytest.raises(ModelError, match="cannot generate any"):
        chat.start(str(tiny_bert))
