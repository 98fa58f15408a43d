"""Texts written by a model: greedy or beam search over a batch, token for token what each prompt alone gives.

    written = generate(model, batch, Search(max_new_tokens=64), end=eos, pad=pad)

Decoder-only models read their prompts padded on the left, so that the next token of each stands at the same place;
positions count real tokens only. What all prompts of a batch begin with, as the system's words in a chat, is read once.
Encoder-decoder models begin with their own start token. A batch has `input_ids` and `attention_mask` (B, L), padded on
the right as everywhere else, and `targets` (B, T) where texts are given.
Shapes: B examples, L tokens read, P of them shared, T tokens written, V vocabulary.
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
    SuppressTokensLogitsProcessor,
)

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

IGNORED = -100  # no token here; what torch's cross entropy leaves out
WORTHWHILE = 8  # shared tokens from which reading them once saves time


@dataclass(frozen=True)
class Search:
    """How the next token is chosen; all by probability, nothing drawn at random."""

    max_new_tokens: int
    num_beams: int = 1
    no_repeat_ngram_size: int = 0
    length_penalty: float = 1.0


@dataclass(frozen=True)
class Generated:
    """Texts, and what they cost the model: tokens_BT up to and with the end token, IGNORED behind it; summed nats_B."""

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
    """At most max_new_tokens tokens an example.

    first: the id that every text begins with (a language in mBART, <s> in BART). Of the checkpoint's own generation
    settings only the decoder's start token is kept: sampling, penalties and length limits never come in unasked.
    """
    plain = unwrap(model)
    continues = not plain.config.is_encoder_decoder
    inputs: dict[str, Any] = {name: batch[name] for name in ("input_ids", "attention_mask")}
    if continues:
        inputs = _prompts(plain, **inputs, beams=search.num_beams)
    before = inputs["input_ids"].shape[1] if continues else 1
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        max_new_tokens=search.max_new_tokens,
        num_beams=search.num_beams,
        length_penalty=search.length_penalty,
        eos_token_id=end,
        pad_token_id=pad,
        decoder_start_token_id=None if continues else _start(plain),
    )
    costs, rules = _Costs(), _rules(search, end, pad, first)
    with _own_settings_aside(plain):
        found = plain.generate(
            **inputs,
            generation_config=config,
            logits_processor=LogitsProcessorList([costs, *rules] if search.num_beams == 1 else rules),
        )
    tokens_BT = _up_to(found[:, before:], end)
    if search.num_beams == 1:
        return Generated(tokens_BT, costs.of(found, tokens_BT))
    return Generated(
        tokens_BT, sum_nats(compute_target_logits(model, {**batch, "targets": tokens_BT}, pad=pad), tokens_BT)
    )


def _rules(search: Search, end: int, pad: int, first: int | None) -> list[LogitsProcessor]:
    """What must or must not be written, in transformers' order."""
    rules: list[LogitsProcessor] = []
    if search.no_repeat_ngram_size:
        rules.append(NoRepeatNGramLogitsProcessor(search.no_repeat_ngram_size))
    if first is not None:
        rules.append(ForcedBOSTokenLogitsProcessor(first))
    if pad != end:  # it says nothing, but Marian would write it
        rules.append(SuppressTokensLogitsProcessor([pad]))
    return rules


class _Costs(LogitsProcessor):
    """Hears what the model expects, before any rule, and what was then chosen: the nats of each token written.

    So a greedy search tells the probability of its texts without reading them once more.
    """

    def __init__(self) -> None:
        self.expected_BV: Tensor | None = None
        self.nats: list[Tensor] = []  # (B,) each

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._chosen(input_ids[:, -1])
        self.expected_BV = scores
        return scores

    def _chosen(self, token_B: Tensor) -> None:
        if self.expected_BV is not None:
            self.nats.append(functional.cross_entropy(self.expected_BV.float(), token_B, reduction="none"))

    def of(self, found: Tensor, tokens_BT: Tensor) -> Tensor:
        """(B,), without what stands behind the end. found: all tokens, as `generate` of transformers returns them."""
        self._chosen(found[:, -1])
        nats_BT = torch.stack(self.nats, dim=1)[:, : tokens_BT.shape[1]]
        return nats_BT.masked_fill(tokens_BT == IGNORED, 0).sum(1)


def _prompts(plain: Any, input_ids: Tensor, attention_mask: Tensor, beams: int) -> dict[str, Any]:
    """What a decoder-only model goes on from: prompts padded on the left, but behind what all of them begin with."""
    ids_BL, mask_BL = input_ids, attention_mask
    shared = _shared(ids_BL, mask_BL)
    if shared < WORTHWHILE or not plain._supports_default_dynamic_cache():
        return dict(zip(("input_ids", "attention_mask"), pad_left(ids_BL, mask_BL), strict=True))
    cache = DynamicCache(config=plain.config)
    plain.base_model(input_ids=ids_BL[:1, :shared], past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(ids_BL) * beams)
    rest = pad_left(ids_BL[:, shared:], mask_BL[:, shared:])
    ids_BL, mask_BL = (
        torch.cat([whole[:, :shared], own], 1) for whole, own in zip((ids_BL, mask_BL), rest, strict=True)
    )
    return {"input_ids": ids_BL, "attention_mask": mask_BL, "past_key_values": cache}


def _shared(ids_BL: Tensor, mask_BL: Tensor) -> int:
    """How many tokens all prompts begin with, leaving each at least one of its own; 0 for a single prompt."""
    if len(ids_BL) == 1:
        return 0
    alike_L = (ids_BL == ids_BL[0]).all(0)
    alike = int(alike_L.long().cumprod(0).sum())
    return min(alike, int(mask_BL.sum(1).min()) - 1)


def compute_target_logits(model: nn.Module, batch: Mapping[str, Tensor], *, pad: int) -> Tensor:
    """(B, T, V): what the model expects at each place of the targets, given the prompt and the targets before it."""
    plain = unwrap(model)
    ids_BL, mask_BL, targets_BT = batch["input_ids"], batch["attention_mask"], batch["targets"]
    if plain.config.is_encoder_decoder:
        before_BT = shift_right(targets_BT, _start(plain), pad)
        found = model(
            input_ids=ids_BL, attention_mask=mask_BL, decoder_input_ids=before_BT, use_cache=False
        ).logits
    else:
        found = _continued(model, plain, *pad_left(ids_BL, mask_BL), targets_BT, pad)
    return torch.as_tensor(found)


def sum_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Summed cross entropy of each example's targets, (B,)."""
    losses_BT = functional.cross_entropy(
        logits_BTV.float().transpose(1, 2), targets_BT, ignore_index=IGNORED, reduction="none"
    )
    return losses_BT.sum(1)


def pad_left(ids_BL: Tensor, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows with all padding moved to the left."""
    order_BL = mask_BL.sort(dim=1, stable=True).indices
    return ids_BL.gather(1, order_BL), mask_BL.gather(1, order_BL)


def shift_right(targets_BT: Tensor, start: int, pad: int) -> Tensor:
    """What the decoder reads: the start token, then all targets but the last."""
    first_B1 = torch.full_like(targets_BT[:, :1], start)
    before_BT = torch.cat([first_B1, targets_BT[:, :-1]], dim=1)
    return before_BT.masked_fill(before_BT == IGNORED, pad)


def _continued(
    model: nn.Module, plain: Any, ids_BL: Tensor, mask_BL: Tensor, targets_BT: Tensor, pad: int
) -> Tensor:
    """Prompts and targets as one text; the head is asked only where a target is to be told."""
    read_BT = targets_BT[:, :-1]
    inputs = {
        "input_ids": torch.cat([ids_BL, read_BT.masked_fill(read_BT == IGNORED, pad)], dim=1),
        "attention_mask": torch.cat([mask_BL, (read_BT != IGNORED).to(mask_BL)], dim=1),
    }
    places = targets_BT.shape[1]
    known = inspect.signature(plain.forward).parameters
    if "position_ids" in known:
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    least = {"logits_to_keep": places} if "logits_to_keep" in known else {}
    found: Tensor = model(**inputs, use_cache=False, **least).logits
    return found[:, -places:]


def _up_to(ids_BT: Tensor, end: int) -> Tensor:
    """IGNORED behind the first end token; trailing columns without any token are left out."""
    ends_BT = ids_BT == end
    behind_BT = (ends_BT.cumsum(1) - ends_BT.long()) > 0
    longest = int((~behind_BT).sum(1).max())
    return ids_BT.masked_fill(behind_BT, IGNORED)[:, :longest]


@contextmanager
def _own_settings_aside(plain: Any) -> Iterator[None]:
    """transformers fills what a GenerationConfig leaves open from the checkpoint's; inside, that one is empty."""
    own = plain.generation_config
    plain.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        plain.generation_config = own


def _start(plain: Any) -> int:
    """The decoder's start token: the config's, else the generation settings'. Raises ModelError M11."""
    own = getattr(plain.config, "decoder_start_token_id", None)
    start = plain.generation_config.decoder_start_token_id if own is None else own
    if start is None:
        message = "names no token that its decoder starts with (decoder_start_token_id)"
        raise ModelError("M11", "model.name", message, "add it to the checkpoint's config.json")
    return int(start)


def unwrap(model: nn.Module) -> Any:
    """The transformers model inside all that calls it; adapters stay in place in its layers."""
    inside = unwrap_to_adapter(model)
    return inside.get_base_model() if hasattr(inside, "get_base_model") else inside


def unwrap_to_adapter(model: nn.Module) -> Any:
    """The model with its adapters inside what only calls it: torch.compile, or the model without padding."""
    inside: Any = getattr(model, "_orig_mod", model)
    return getattr(inside, "module", inside)
