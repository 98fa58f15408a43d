"""Encode preference pairs: a prompt with its chosen and its rejected answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from llmkit.data.checks.preferences import SIDES, PreferencePair
from llmkit.data.encoding.chat_templates import ChatTemplate, encode_conversations
from llmkit.data.encoding.features import Features

__all__ = ["encode_pairs"]

SAME = "pairs whose answers are equal after truncation, so nothing is learned from them"


def encode_pairs(
    template: ChatTemplate,
    pairs: Sequence[PreferencePair],
    *,
    max_length: int,
    max_new_tokens: int,
    truncation: bool,
) -> Features:
    """Encode pairs: `input_ids` for the turns before the answers, `targets` for the chosen answer, `rejected`.

    Truncation, counts and errors are those of `encode_conversations`. The token counts hold each prompt twice, because
    the model reads it with each of its answers.
    """
    chosen, rejected = (
        encode_conversations(
            template,
            [[*pair.turns, {"role": "assistant", "content": getattr(pair, side)}] for pair in pairs],
            with_answers=True,
            max_length=max_length,
            max_new_tokens=max_new_tokens,
            truncation=truncation,
            answer_name=f"{side} answers",
        )
        for side in SIDES
    )
    columns = {**chosen.columns, "rejected": rejected.columns["targets"]}
    del columns["labels"]  # the model does not learn from earlier answers
    same = sum(a == b for a, b in zip(columns["targets"], columns["rejected"], strict=True))
    return replace(
        chosen if chosen.too_long else rejected,
        columns=columns,
        counts=chosen.counts + rejected.counts,
        too_long=tuple(sorted({*chosen.too_long, *rejected.too_long})),
        notes=Counter(chosen.notes) | Counter(rejected.notes) | Counter({SAME: same}),
    )
