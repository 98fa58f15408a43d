"""Generate text with greedy or beam search over a batch; the tokens are those that each prompt alone would give.

    generated = generate(model, batch, Search(max_new_tokens=64), end=eos, pad=pad)

Decoder-only models read their prompts padded on the left, so that the next token of every prompt is at the same
position; position ids count only real tokens. A prefix that all prompts of a batch share, such as a system message, is
read once. Encoder-decoder models begin with their own start token. A batch has `input_ids` and `attention_mask` (B, L),
padded on the right as everywhere else, and `targets` (B, T) where the target text is known.

Shapes: B examples, L input tokens, T generated or target tokens, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    DynamicCache,
    ForcedBOSTokenLogitsProcessor,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    PreTrainedModel,
    SuppressTokensLogitsProcessor,
)

from llmkit.base.cache_name import get_cache_name
from llmkit.base.dtypes import at_least_float32
from llmkit.base.errors import ModelError

__all__ = [
    "Generated",
    "Search",
    "compute_target_logits",
    "generate",
    "pad_left",
    "shift_right",
    "sum_nats",
    "unwrap",
    "unwrap_to_adapter",
]

IGNORED = -100  # marks a position without a token; torch's cross entropy ignores it
MIN_SHARED = 8  # shared tokens from which reading them once saves time


@dataclass(frozen=True)
class Search:
    """Settings of greedy search (num_beams 1) or beam search. Nothing is drawn at random."""

    max_new_tokens: int
    num_beams: int = 1
    no_repeat_ngram_size: int = 0
    length_penalty: float = 1.0


@dataclass(frozen=True)
class Generated:
    """Generated texts and their negative log-probabilities.

    Attributes:
        tokens_BT: Token ids up to and including the end token, then IGNORED.
        nats_B: The summed negative log-probability of each text under the model, in nats.
    """

    tokens_BT: Tensor
    nats_B: Tensor


def generate(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    search: Search,
    *,
    end: int,
    pad: int,
    first: int | None = None,
) -> Generated:
    """Generate up to `search.max_new_tokens` tokens per example.

    Of the checkpoint's own generation settings only the decoder's start token is used, so that its sampling, penalties
    and length limits have no effect.

    Args:
        model: A causal or an encoder-decoder model.
        batch: The prompts.
        search: The search settings.
        end: The id of the end token.
        pad: The id of the padding token.
        first: The id that every text begins with (a language in mBART, <s> in BART), if there is one.
    """
    plain = unwrap(model)
    is_causal = not plain.config.is_encoder_decoder
    inputs: dict[str, Any] = {name: batch[name] for name in ("input_ids", "attention_mask")}
    if is_causal:
        inputs = _prepare_prompts(plain, **inputs, beams=search.num_beams)
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        max_new_tokens=search.max_new_tokens,
        num_beams=search.num_beams,
        length_penalty=search.length_penalty,
        eos_token_id=end,
        pad_token_id=pad,
        decoder_start_token_id=None if is_causal else _get_start_token(plain),
    )
    rules: list[LogitsProcessor] = []  # in the order in which transformers applies them
    if search.no_repeat_ngram_size:
        rules.append(NoRepeatNGramLogitsProcessor(search.no_repeat_ngram_size))
    if first is not None:
        rules.append(ForcedBOSTokenLogitsProcessor(first))
    if pad != end:  # padding is not text, but Marian would generate it
        rules.append(SuppressTokensLogitsProcessor([pad]))
    recorder = _NatsRecorder()
    with _ignore_generation_config(plain):
        all_tokens = plain.generate(
            **inputs,
            generation_config=config,
            logits_processor=LogitsProcessorList([recorder, *rules] if search.num_beams == 1 else rules),
        )
    prompt_length = inputs["input_ids"].shape[1] if is_causal else 1
    tokens_BT = _truncate_after_end(all_tokens[:, prompt_length:], end)
    if search.num_beams == 1:
        return Generated(tokens_BT, recorder.sum_nats(all_tokens, tokens_BT))
    logits_BTV = compute_target_logits(model, {**batch, "targets": tokens_BT}, pad=pad)
    return Generated(tokens_BT, sum_nats(logits_BTV, tokens_BT))


class _NatsRecorder(LogitsProcessor):
    """Record the negative log-probability (nats) of each token that greedy search chooses.

    It sees the model's logits before any rule changes them, so the probability of a text is known without a second
    pass over it.
    """

    def __init__(self) -> None:
        self.logits_BV: Tensor | None = None  # of the step before
        self.nats: list[Tensor] = []  # (B,) each

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._record(input_ids[:, -1])
        self.logits_BV = scores
        return scores

    def _record(self, token_B: Tensor) -> None:
        if self.logits_BV is not None:
            self.nats.append(
                functional.cross_entropy(at_least_float32(self.logits_BV), token_B, reduction="none")
            )

    def sum_nats(self, all_tokens: Tensor, tokens_BT: Tensor) -> Tensor:
        """Return the nats of each text up to its end token, (B,).

        Args:
            all_tokens: Prompts and generated tokens, as transformers' `generate` returns them.
            tokens_BT: The generated tokens, IGNORED after the end token.
        """
        self._record(all_tokens[:, -1])
        nats_BT = torch.stack(self.nats, dim=1)[:, : tokens_BT.shape[1]]
        return nats_BT.masked_fill(tokens_BT == IGNORED, 0).sum(1)


def _prepare_prompts(
    plain: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, beams: int
) -> dict[str, Any]:
    """Build a decoder-only model's inputs: a cache of the shared prefix, then the prompts padded on the left."""
    ids_BL, mask_BL = input_ids, attention_mask
    shared = 0
    if len(ids_BL) > 1:
        same_L = (ids_BL == ids_BL[0]).all(0)
        prefix = int(same_L.long().cumprod(0).sum())
        shared = min(prefix, int(mask_BL.sum(1).min()) - 1)  # every prompt keeps a token of its own
    if shared < MIN_SHARED or not plain._supports_default_dynamic_cache():  # type: ignore[operator]
        return dict(zip(("input_ids", "attention_mask"), pad_left(ids_BL, mask_BL), strict=True))
    cache = DynamicCache(config=plain.config)
    plain.base_model(input_ids=ids_BL[:1, :shared], use_cache=True, **{get_cache_name(): cache})
    cache.batch_repeat_interleave(len(ids_BL) * beams)
    padded = pad_left(ids_BL[:, shared:], mask_BL[:, shared:])
    ids_BL, mask_BL = (
        torch.cat([prompts[:, :shared], rest], 1)
        for prompts, rest in zip((ids_BL, mask_BL), padded, strict=True)
    )
    return {"input_ids": ids_BL, "attention_mask": mask_BL, get_cache_name(): cache}


def compute_target_logits(model: nn.Module, batch: Mapping[str, Tensor], *, pad: int) -> Tensor:
    """Compute the logits of each target token, given the prompt and the targets before it (teacher forcing).

    Args:
        model: A causal or an encoder-decoder model.
        batch: The prompts, and `targets` (B, T).
        pad: The id of the padding token.

    Returns:
        Logits (B, T, V).
    """
    plain = unwrap(model)
    ids_BL, mask_BL, targets_BT = batch["input_ids"], batch["attention_mask"], batch["targets"]
    if plain.config.is_encoder_decoder:
        decoder_ids_BT = shift_right(targets_BT, _get_start_token(plain), pad)
        output = model(
            input_ids=ids_BL, attention_mask=mask_BL, decoder_input_ids=decoder_ids_BT, use_cache=False
        )
        return torch.as_tensor(output.logits)
    # Decoder-only: prompts and targets are one text, and the head is computed only at the targets.
    ids_BL, mask_BL = pad_left(ids_BL, mask_BL)
    read_BT = targets_BT[:, :-1]
    inputs = {
        "input_ids": torch.cat([ids_BL, read_BT.masked_fill(read_BT == IGNORED, pad)], dim=1),
        "attention_mask": torch.cat([mask_BL, (read_BT != IGNORED).to(mask_BL)], dim=1),
    }
    count = targets_BT.shape[1]
    parameters = inspect.signature(plain.forward).parameters
    if "position_ids" in parameters:
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    keep = {"logits_to_keep": count} if "logits_to_keep" in parameters else {}
    return torch.as_tensor(model(**inputs, use_cache=False, **keep).logits[:, -count:])


def sum_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Return the cross entropy (nats) of each example's targets, summed over its tokens, (B,)."""
    losses_BT = functional.cross_entropy(
        at_least_float32(logits_BTV).transpose(1, 2), targets_BT, ignore_index=IGNORED, reduction="none"
    )
    return losses_BT.sum(1)


def pad_left(ids_BL: Tensor, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Move all padding to the left; return token ids and attention mask."""
    order_BL = mask_BL.sort(dim=1, stable=True).indices
    return ids_BL.gather(1, order_BL), mask_BL.gather(1, order_BL)


def shift_right(targets_BT: Tensor, start: int, pad: int) -> Tensor:
    """Build the decoder's inputs: the start token, then all targets but the last; IGNORED becomes padding."""
    start_B1 = torch.full_like(targets_BT[:, :1], start)
    shifted_BT = torch.cat([start_B1, targets_BT[:, :-1]], dim=1)
    return shifted_BT.masked_fill(shifted_BT == IGNORED, pad)


def _truncate_after_end(ids_BT: Tensor, end: int) -> Tensor:
    """Put IGNORED after the first end token of each text, and drop trailing columns without any token."""
    is_end_BT = ids_BT == end
    is_after_BT = (is_end_BT.cumsum(1) - is_end_BT.long()) > 0
    longest = int((~is_after_BT).sum(1).max())
    return ids_BT.masked_fill(is_after_BT, IGNORED)[:, :longest]


@contextmanager
def _ignore_generation_config(plain: PreTrainedModel) -> Iterator[None]:
    """Hide the checkpoint's generation settings: transformers uses them for whatever a GenerationConfig leaves open."""
    settings = plain.generation_config
    plain.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        plain.generation_config = settings


def _get_start_token(plain: PreTrainedModel) -> int:
    """Return the decoder's start token, from the config or else from the generation settings. Raises ModelError M11."""
    start = getattr(plain.config, "decoder_start_token_id", None)
    if start is None and plain.generation_config is not None:
        start = plain.generation_config.decoder_start_token_id
    if start is None:
        message = "does not name the token its decoder starts with (decoder_start_token_id)"
        raise ModelError("M11", "model.name", message, "add it to the checkpoint's config.json")
    return int(start)


def unwrap(model: nn.Module) -> Any:
    """Return the transformers model inside all wrappers. Adapters stay in its layers."""
    inside = unwrap_to_adapter(model)
    return inside.get_base_model() if hasattr(inside, "get_base_model") else inside


def unwrap_to_adapter(model: nn.Module) -> Any:
    """Return the model without torch.compile and the padding-free wrapper, but with its peft adapter, if it has one."""
    inside: Any = getattr(model, "_orig_mod", model)
    return getattr(inside, "module", inside)
