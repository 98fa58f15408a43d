"""Texts written by a model: greedy or beam search over a batch, token for token what each prompt alone gives.

    written_BT = generate(model, batch, Search(max_new_tokens=64), end=eos, pad=pad)

Decoder-only models read their prompts padded on the left, so that the next token of each stands at the same place;
positions count real tokens only. Encoder-decoder models begin with their own start token. A batch has `input_ids` and
`attention_mask` (B, L), padded on the right as everywhere else, and `targets` (B, T) where texts are given.
Shapes: B examples, L tokens read, T tokens written, V vocabulary.
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
from transformers import GenerationConfig

from llmkit.errors import ModelError, Problem

__all__ = ["Search", "adapted", "generate", "left_padded", "logits", "nats", "shifted", "unwrapped"]

IGNORED = -100  # no token here; what torch's cross entropy leaves out


@dataclass(frozen=True)
class Search:
    """How the next token is chosen; all by probability, nothing drawn at random."""

    max_new_tokens: int
    num_beams: int = 1
    no_repeat_ngram_size: int = 0
    length_penalty: float = 1.0


def generate(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    search: Search,
    *,
    end: int,
    pad: int,
    first: int | None = None,
) -> Tensor:
    """Token ids (B, T) up to and with the end token, IGNORED behind it; T <= max_new_tokens.

    first: the id that every text begins with (a language in mBART, <s> in BART). Of the checkpoint's own generation
    settings only the decoder's start token is kept: sampling, penalties and length limits never come in unasked.
    """
    plain = unwrapped(model)
    ids_BL, mask_BL = batch["input_ids"], batch["attention_mask"]
    if not plain.config.is_encoder_decoder:
        ids_BL, mask_BL = left_padded(ids_BL, mask_BL)
    before = 1 if plain.config.is_encoder_decoder else ids_BL.shape[1]
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        max_new_tokens=search.max_new_tokens,
        num_beams=search.num_beams,
        no_repeat_ngram_size=search.no_repeat_ngram_size,
        length_penalty=search.length_penalty,
        eos_token_id=end,
        pad_token_id=pad,
        suppress_tokens=None if pad == end else [pad],  # it says nothing, but Marian would write it
        decoder_start_token_id=_start(plain) if plain.config.is_encoder_decoder else None,
        forced_bos_token_id=first,
    )
    with _own_settings_aside(plain):
        found = plain.generate(input_ids=ids_BL, attention_mask=mask_BL, generation_config=config)
    return _up_to(found[:, before:], end)


def logits(model: nn.Module, batch: Mapping[str, Tensor], *, pad: int) -> Tensor:
    """(B, T, V): what the model expects at each place of the targets, given the prompt and the targets before it."""
    plain = unwrapped(model)
    ids_BL, mask_BL, targets_BT = batch["input_ids"], batch["attention_mask"], batch["targets"]
    if plain.config.is_encoder_decoder:
        before_BT = shifted(targets_BT, _start(plain), pad)
        found = model(
            input_ids=ids_BL, attention_mask=mask_BL, decoder_input_ids=before_BT, use_cache=False
        ).logits
    else:
        found = _continued(model, plain, *left_padded(ids_BL, mask_BL), targets_BT, pad)
    return torch.as_tensor(found)


def nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Summed cross entropy of each example's targets, (B,)."""
    losses_BT = functional.cross_entropy(
        logits_BTV.float().transpose(1, 2), targets_BT, ignore_index=IGNORED, reduction="none"
    )
    return losses_BT.sum(1)


def left_padded(ids_BL: Tensor, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows with all padding moved to the left."""
    order_BL = mask_BL.sort(dim=1, stable=True).indices
    return ids_BL.gather(1, order_BL), mask_BL.gather(1, order_BL)


def shifted(targets_BT: Tensor, start: int, pad: int) -> Tensor:
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
        raise ModelError(Problem("M11", "model.name", message, "add it to the checkpoint's config.json"))
    return int(start)


def unwrapped(model: nn.Module) -> Any:
    """The transformers model inside all that calls it; adapters stay in place in its layers."""
    inside = adapted(model)
    return inside.get_base_model() if hasattr(inside, "get_base_model") else inside


def adapted(model: nn.Module) -> Any:
    """The model with its adapters inside what only calls it: torch.compile, or the model without padding."""
    inside: Any = getattr(model, "_orig_mod", model)
    return getattr(inside, "module", inside)
