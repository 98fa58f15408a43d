"""Encode texts as prompts and texts to generate as targets.

    encode_prompts(tokenizer, PromptFormat(("", ""), continued=False, max_new_tokens=64), sources, targets, ...)

A prompt that is too long loses the end of its text, never the words around the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.base.errors import RecipeError
from llmkit.data.encoding.encode import count_tokens
from llmkit.data.encoding.features import Features, Limit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["PromptFormat", "encode_prompts", "find_target_start"]

Ids = list[list[int]]


@dataclass(frozen=True)
class PromptFormat:
    """How a checkpoint reads prompts and generates targets.

    Attributes:
        around: The words before and after the text in its prompt.
        continued: Prompt and target are one sequence (decoder-only) and share max_length; otherwise the target belongs
            to the decoder alone (encoder-decoder).
        max_new_tokens: The largest number of tokens of a target.
    """

    around: tuple[str, str]
    continued: bool
    max_new_tokens: int


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase,
    prompt_format: PromptFormat,
    texts: Sequence[str],
    targets: Sequence[str] | None,
    *,
    max_length: int,
    truncation: bool,
) -> Features:
    """Encode prompts as `input_ids` and targets as `targets`; a target ends with the end token unless truncated.

    Prompts longer than max_length (less max_new_tokens, if continued) and targets longer than max_new_tokens are
    truncated and counted in the notes.

    Args:
        tokenizer: The tokenizer of the model.
        prompt_format: How the checkpoint reads prompts.
        texts: The texts to put into prompts.
        targets: The texts to generate; None to encode prompts alone.
        max_length: The largest number of tokens of a prompt, or of prompt and target together if continued.
        truncation: Truncate what is too long; otherwise list it in `too_long`.

    Raises:
        RecipeError: C09 when max_length leaves no tokens for the text of a prompt.
    """
    max_new_tokens = prompt_format.max_new_tokens
    prompt_length = max_length - max_new_tokens if prompt_format.continued else max_length
    if prompt_length < 1:
        message = f"leaves no tokens for a prompt beside {max_new_tokens} new tokens"
        fix = "raise it, or lower task.max_new_tokens"
        raise RecipeError("C09", "train.max_length", message, fix)
    ids, lengths = _encode_sources(tokenizer, prompt_format, texts, prompt_length)
    columns, counts = {"input_ids": ids}, count_tokens(tokenizer, ids, lengths, prompt_length)
    too_long, limit = _find_longer(lengths, prompt_length), Limit("prompts", prompt_length)
    notes = {f"prompts truncated to {prompt_length} tokens": len(too_long)} if too_long else {}
    if targets is not None:
        columns["targets"], lengths = _encode_targets(tokenizer, prompt_format, targets)
        counts += count_tokens(tokenizer, columns["targets"], lengths, max_new_tokens)
        if long_targets := _find_longer(lengths, max_new_tokens):
            notes[f"targets truncated to {max_new_tokens} tokens"] = len(long_targets)
            if not too_long:
                too_long, limit = long_targets, Limit("targets", max_new_tokens, "task.max_new_tokens")
    return Features(columns, counts, () if truncation else tuple(too_long), limit, notes=notes)


def find_target_start(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the special token that the tokenizer puts before every target, or None.

    It is the language in mBART-50 and <s> in BART.
    """
    probe = tokenizer(text_target="")["input_ids"]
    first = probe[0] if probe else None
    return first if first in set(tokenizer.all_special_ids) - {tokenizer.eos_token_id} else None


def _find_longer(lengths: Sequence[int], limit: int) -> list[int]:
    return [number for number, length in enumerate(lengths) if length > limit]


def _encode_sources(
    tokenizer: PreTrainedTokenizerBase, prompt_format: PromptFormat, texts: Sequence[str], max_length: int
) -> tuple[Ids, list[int]]:
    """Encode prompts of at most max_length tokens; also return their lengths before truncation."""
    head, tail = prompt_format.around
    prompts = [head + text + tail for text in texts]
    ids: Ids = tokenizer(prompts, return_attention_mask=False, verbose=False)["input_ids"]
    if prompt_format.continued:  # remove the end token that some tokenizers add: the sequence continues
        ids = [row[:-1] if row[-1:] == [tokenizer.eos_token_id] else row for row in ids]
    lengths = [len(row) for row in ids]
    for number in _find_longer(lengths, max_length):
        ids[number] = _truncate_prompt(tokenizer, ids[number], prompt_format, texts[number], max_length)
    return ids, lengths


def _truncate_prompt(
    tokenizer: PreTrainedTokenizerBase,
    ids: list[int],
    prompt_format: PromptFormat,
    text: str,
    max_length: int,
) -> list[int]:
    """Remove the last tokens of the text from its prompt until the prompt has max_length tokens.

    Raises:
        RecipeError: C09 when no token of the text would be left.
    """
    head, tail = prompt_format.around
    if not tokenizer.is_fast:  # it knows no offsets; its special tokens come first or last
        truncated: list[int] = tokenizer(head + text + tail, truncation=True, max_length=max_length)[
            "input_ids"
        ]
        return truncated
    excess = len(ids) - max_length
    spans = tokenizer(head + text + tail, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    start, end = len(head), len(head) + len(text)
    in_text = [number for number, (a, b) in enumerate(spans[: len(ids)]) if start <= a < b <= end]
    if len(in_text) <= excess:
        message = f"leaves {max_length} tokens for a prompt, fewer than the words around the text need"
        raise RecipeError("C09", "train.max_length", message, "raise it, or shorten task.prompt")
    dropped = set(in_text[-excess:])
    return [token for number, token in enumerate(ids) if number not in dropped]


def _encode_targets(
    tokenizer: PreTrainedTokenizerBase, prompt_format: PromptFormat, texts: Sequence[str]
) -> tuple[Ids, list[int]]:
    """Encode targets with their end token, truncated to max_new_tokens; also return their lengths before that.

    A truncated target has no end token. Nothing may follow the end token: the tokenizer of the first mBART puts the
    language there, which starts the decoder instead.
    """
    if prompt_format.continued:
        rows = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    else:
        rows = tokenizer(text_target=list(texts), verbose=False)["input_ids"]
    end = tokenizer.eos_token_id
    ids = [row[: len(row) - row[::-1].index(end)] if end in row else [*row, end] for row in rows]
    return [row[: prompt_format.max_new_tokens] for row in ids], [len(row) for row in ids]
