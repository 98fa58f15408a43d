"""Tests of the encoding of preference pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from llmkit.data.checks.preferences import PreferencePair
from llmkit.data.encoding.chat_templates import load_template
from llmkit.data.encoding.preference_pairs import encode_pairs


def message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


TURNS = [message("user", "good film")]


def test_both_answers_share_a_prompt_and_are_truncated_and_counted(tiny_gpt: Path) -> None:
    template = load_template(AutoTokenizer.from_pretrained(tiny_gpt))
    pairs = [
        PreferencePair(TURNS, "very fine", "bad bad bad bad bad"),
        PreferencePair(TURNS, "fine " * 6, "fine " * 7),
    ]
    options: dict[str, Any] = {"max_length": 40, "max_new_tokens": 4}
    features = encode_pairs(template, pairs, truncation=True, **options)
    prompt, _ = template.encode_prompt(TURNS)
    assert features.columns["input_ids"] == [prompt, prompt]
    assert [len(ids) for ids in features.columns["targets"]] == [3, 4]
    assert [len(ids) for ids in features.columns["rejected"]] == [4, 4]
    assert features.columns["targets"][0] == template.encode_answer(
        [*TURNS, message("assistant", "very fine")]
    )
    assert "labels" not in features.columns
    assert features.notes["chosen answers truncated to 4 tokens"] == 1
    assert features.notes["rejected answers truncated to 4 tokens"] == 2
    assert [n for what, n in features.notes.items() if what.startswith("pairs whose answers are equal")] == [
        1
    ]
    assert features.counts.tokens == 2 * 2 * len(prompt) + 15
    untruncated = encode_pairs(template, pairs, truncation=False, **options)
    assert untruncated.too_long == (0, 1)
    assert untruncated.limit is not None and untruncated.limit.key == "task.max_new_tokens"
