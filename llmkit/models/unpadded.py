"""A model that computes no padding: its layers see the texts of a batch one behind another, as a single row.

    model = Unpadded(model)  # if can(model)
    model(input_ids=..., attention_mask=...)  # what the plain model gives, wherever there is a text

Linear layers and norms need no change for that; only the attention has to know where a text ends, and transformers lets
one register a function for it (`grouped_attention`). Embeddings and heads of encoders see the batch as ever, since they
are cheap: hooks pack what enters the stack of layers, and put back what leaves it. A language model's tokens are packed
before its embeddings, and what its layers say is put back before its head.

For training on a CPU. Shapes: B texts, L tokens (padded), T tokens of all texts, D hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llmkit.models.grouped_attention import NAME

__all__ = ["Unpadded", "can"]

# Model types, and where in their base model the layers are; tests/models/test_unpadded.py compares each with itself.
ENCODERS = {
    "albert": "encoder",
    "bert": "encoder",
    "distilbert": "transformer",
    "electra": "encoder",
    "roberta": "encoder",
}
CAUSAL = ("gpt2", "llama")  # under a head over the vocabulary


def can(model: Any) -> bool:
    """Whether this is known to give what the padded model gives; for all others the plain model is the way."""
    plain = _plain(model)
    if plain.config.model_type in CAUSAL:
        return plain.get_output_embeddings() is not None
    return plain.config.model_type in ENCODERS and not getattr(plain.config, "is_decoder", False)


def _plain(model: Any) -> Any:
    """Without peft's wrapper; adapters stay in place in the layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@dataclass(frozen=True)
class _Layout:
    """The padded batch's shape (B, L), where in it each token of the row stands (T,), and the texts' lengths in it."""

    shape: torch.Size
    places_T: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """The lengths in the place of an attention mask: transformers hands on a tensor of four dimensions as it is."""
        return self.lengths[None, None, None]

    def pack(self, batch: Tensor) -> Tensor:
        """(B, L, ...) to (1, T, ...)."""
        return batch.flatten(0, 1).index_select(0, self.places_T)[None]

    def unpack(self, row_1TD: Tensor) -> Tensor:
        """Back to (B, L, D), 0 at padded places."""
        room = row_1TD.new_zeros(self.shape.numel(), row_1TD.shape[2])
        return room.index_copy(0, self.places_T, row_1TD.squeeze(0)).view(*self.shape, -1)


class Unpadded(nn.Module):
    """A model for which `can` says yes. `module` is the plain one, with its adapters if it has some."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        assert can(module)
        self.module = module

    def forward(self, **inputs: Any) -> Any:
        mask = inputs.get("attention_mask")
        if mask is None or mask.ndim != 2:  # packed documents have their own ways
            return self.module(**inputs)
        plain, layout = _plain(self.module), _layout(mask)
        run = _causal if plain.config.model_type in CAUSAL else _encoder
        before = plain.config._attn_implementation
        plain.config._attn_implementation = NAME
        try:
            return run(self.module, plain, inputs, layout)
        finally:
            plain.config._attn_implementation = before


def _encoder(model: nn.Module, plain: Any, inputs: dict[str, Any], layout: _Layout) -> Any:
    stack = getattr(plain.base_model, ENCODERS[plain.config.model_type])

    def unpack(_: nn.Module, __: Any, output: Any) -> Any:
        output.last_hidden_state = layout.unpack(output.last_hidden_state)
        return output

    with _hooked(stack, layout.pack), _removed(stack.register_forward_hook(unpack)):
        return model(**{**inputs, "attention_mask": layout.mask})


def _causal(model: nn.Module, plain: Any, inputs: dict[str, Any], layout: _Layout) -> Any:
    """The head sees the padded batch at the places asked for."""
    positions_BL = inputs.get("position_ids")
    if positions_BL is None:
        positions_BL = torch.arange(layout.shape[1]).expand(layout.shape)
    chosen = inputs.get("logits_to_keep", 0)
    places = slice(-chosen or None, None) if isinstance(chosen, int) else chosen
    row = {"input_ids": layout.pack(inputs["input_ids"]), "position_ids": layout.pack(positions_BL)}
    with _hooked(plain.get_output_embeddings(), lambda states_1TD: layout.unpack(states_1TD)[:, places]):
        return model(**row, attention_mask=layout.mask, use_cache=False)


@contextmanager
def _hooked(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, the module gets its first input, its hidden states, changed."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    with _removed(
        module.register_forward_pre_hook(before, with_kwargs=True, prepend=True)
    ):  # before `heads`'
        yield


@contextmanager
def _removed(hook: Any) -> Iterator[None]:
    try:
        yield
    finally:
        hook.remove()


def _layout(mask_BL: Tensor) -> _Layout:
    """Texts sorted by length, so that those of about one length stand side by side; without those of no token."""
    lengths_B = mask_BL.sum(1)
    order_B = lengths_B.argsort(stable=True)
    places_BL = torch.arange(mask_BL.numel()).view_as(mask_BL)[order_B]
    sorted_B = lengths_B[order_B]
    return _Layout(mask_BL.shape, places_BL[mask_BL[order_B].bool()], sorted_B[sorted_B > 0])
