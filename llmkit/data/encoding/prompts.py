"""Texts to read and texts to write, as token ids: a prompt around the one, an end token behind the other.

    encoded(tokenizer, Shape(("", ""), continued=False), sources, targets, max_length=128, ...)

A prompt that is too long loses the end of its text, never the words around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmkit.base.errors import RecipeError
from llmkit.data.encoding.encode import Features, count_tokens

__all__ = ["Shape", "begins", "encoded"]

Ids = list[list[int]]


@dataclass(frozen=True)
class Shape:
    """How a checkpoint reads and writes.

    around: what stands before and behind the text in its prompt. continued: prompt and target are one text to the
    model (decoder-only), which then share max_length; else the target is the decoder's own (encoder-decoder).
    """

    around: tuple[str, str]
    continued: bool
    max_new_tokens: int


def encoded(
    tokenizer: Any,
    shape: Shape,
    texts: Sequence[str],
    targets: Sequence[str] | None,
    *,
    max_length: int,
    truncation: bool,
) -> Features:
    """`input_ids` and, where targets are given, `targets`, each ending with the end token unless it was cut.

    Longer targets than max_new_tokens and prompts than max_length (less max_new_tokens, if continued) are cut and
    counted in the notes; without truncation only named. Raises RecipeError C09 where no prompt has room.
    """
    room = max_length - shape.max_new_tokens if shape.continued else max_length
    if room < 1:
        message = f"leaves no room for a prompt beside {shape.max_new_tokens} new tokens"
        fix = "raise it, or lower task.max_new_tokens"
        raise RecipeError("C09", "train.max_length", message, fix)
    ids, full = _prompts(tokenizer, shape, texts, room)
    columns, counts = {"input_ids": ids}, count_tokens(tokenizer, ids, full, room)
    long, most, setting = _longer(full, room), ("prompts", room), "train.max_length"
    notes = {f"prompts cut to {room} tokens": len(long)} if long else {}
    if targets is not None:
        written, lengths = _targets(tokenizer, shape, targets)
        columns["targets"] = written
        counts += count_tokens(tokenizer, written, lengths, shape.max_new_tokens)
        over = _longer(lengths, shape.max_new_tokens)
        notes |= {f"targets cut to {shape.max_new_tokens} tokens": len(over)} if over else {}
        if over and not long:
            long, most, setting = over, ("targets", shape.max_new_tokens), "task.max_new_tokens"
    too_long = () if truncation else tuple(long)
    return Features(columns, counts, too_long, most, notes=notes, setting=setting)


def begins(tokenizer: Any) -> int | None:
    """The special token that this tokenizer puts before every target: a language (mBART-50), <s> (BART), or none."""
    probe = tokenizer(text_target="")["input_ids"]
    first = probe[0] if probe else None
    return first if first in set(tokenizer.all_special_ids) - {tokenizer.eos_token_id} else None


def _longer(lengths: Sequence[int], most: int) -> list[int]:
    return [number for number, length in enumerate(lengths) if length > most]


def _prompts(tokenizer: Any, shape: Shape, texts: Sequence[str], room: int) -> tuple[Ids, list[int]]:
    """Ids of at most `room` tokens, and how many tokens there were before any cut."""
    head, tail = shape.around
    whole = [head + text + tail for text in texts]
    ids = [
        _open(row, tokenizer.eos_token_id) if shape.continued else row
        for row in tokenizer(whole, return_attention_mask=False, verbose=False)["input_ids"]
    ]
    full = [len(row) for row in ids]
    for number in _longer(full, room):
        ids[number] = _cut(tokenizer, ids[number], shape.around, texts[number], room)
    return ids, full


def _open(row: list[int], end: int) -> list[int]:
    """Without an end token, which some tokenizers add: the text goes on."""
    return row[:-1] if row[-1:] == [end] else row


def _cut(tokenizer: Any, ids: list[int], around: tuple[str, str], text: str, room: int) -> list[int]:
    """The prompt without so many of its text's last tokens. Raises RecipeError C09 when none would be left."""
    head, tail = around
    over = len(ids) - room
    if not tokenizer.is_fast:  # knows no offsets; its special tokens are the first or last
        found: list[int] = tokenizer(head + text + tail, truncation=True, max_length=room)["input_ids"]
        return found
    spans = tokenizer(head + text + tail, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    begin, end = len(head), len(head) + len(text)
    of_text = [number for number, (a, b) in enumerate(spans[: len(ids)]) if begin <= a < b <= end]
    if len(of_text) <= over:
        message = f"leaves {room} tokens for a prompt, of which the words around the text need more"
        raise RecipeError("C09", "train.max_length", message, "raise it, or shorten task.prompt")
    dropped = set(of_text[-over:])
    return [token for number, token in enumerate(ids) if number not in dropped]


def _targets(tokenizer: Any, shape: Shape, texts: Sequence[str]) -> tuple[Ids, list[int]]:
    """Ids with an end token, cut to max_new_tokens, and how many there were before. A cut text has no end."""
    if shape.continued:
        found = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    else:
        found = tokenizer(text_target=list(texts), verbose=False)["input_ids"]
    rows = [_closed(row, tokenizer.eos_token_id) for row in found]
    return [row[: shape.max_new_tokens] for row in rows], [len(row) for row in rows]


def _closed(row: list[int], end: int) -> list[int]:
    """Up to the end token: the first mBART puts the language behind it, which is the decoder's start instead."""
    if end not in row:
        return [*row, end]
    return row[: len(row) - row[::-1].index(end)]
