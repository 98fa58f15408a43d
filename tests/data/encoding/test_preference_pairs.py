"""Tests of the encoding of preference pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from llmkit.data.checks.preferences import PreferencePair
from llmkit.data.encoding.chat_templates import load_template
from llmkit.data.encoding.preference_pairs import encode_pairs


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


TURNS = [said("user", "good film")]


def test_both_answers_follow_one_prompt_and_are_cut_and_counted(tiny_gpt: Path) -> None:
    template = load_template(AutoTokenizer.from_pretrained(tiny_gpt))
    pairs = [
        PreferencePair(TURNS, "very fine", "bad bad bad bad bad"),
        PreferencePair(TURNS, "fine " * 6, "fine " * 7),
    ]
    how: dict[str, Any] = {"max_length": 40, "max_new_tokens": 4}
    found = encode_pairs(template, pairs, truncation=True, **how)
    prompt, _ = template.encode_prompt(TURNS)
    assert found.columns["input_ids"] == [prompt, prompt]
    assert [len(ids) for ids in found.columns["targets"]] == [3, 4]
    assert [len(ids) for ids in found.columns["rejected"]] == [4, 4]
    assert found.columns["targets"][0] == template.encode_answer([*TURNS, said("assistant", "very fine")])
    assert "labels" not in found.columns
    assert found.notes["chosen answers truncated to 4 tokens"] == 1
    assert found.notes["rejected answers truncated to 4 tokens"] == 2
    assert [n for what, n in found.notes.items() if what.startswith("pairs whose answers are equal")] == [1]
    assert found.counts.tokens == 2 * 2 * len(prompt) + 15
    whole = encode_pairs(template, pairs, truncation=False, **how)
    assert whole.too_long == (0, 1)
    assert whole.limit is not None and whole.limit.key == "task.max_new_tokens"
