"""Padding-free training on a CPU: the texts of a batch are concatenated into one row, and attention is block-diagonal.

    if is_supported(model):
        model = Unpadded(model)
    model(input_ids=..., attention_mask=...)  # the padded model's outputs at all tokens that are not padding

Linear layers and norms work on the concatenated row as they are. Only attention must know where a text ends;
transformers allows registering a function for it (`grouped_attention`). Encoders compute embeddings and heads on the
padded batch, which is cheap: hooks concatenate the input of the stack of layers and pad its output again. Causal
language models are concatenated before the embeddings and padded again before the head. Their shared prefix (a system
message, for instance) is computed once: no token attends to a later one, so the prefix has the same states in every
text, and its gradient is the sum over all texts.

Shapes: B texts, L tokens (padded), P tokens of the shared prefix, T tokens of the concatenated row, D hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from llmkit.models.cpu.grouped_attention import NAME

__all__ = ["Unpadded", "is_supported"]

# Model types, with the attribute of the base model that holds the layers; tests/models/cpu/test_unpadded.py compares
# each type with its padded model.
ENCODERS = {
    "albert": "encoder",
    "bert": "encoder",
    "distilbert": "transformer",
    "electra": "encoder",
    "roberta": "encoder",
}
CAUSAL = ("gpt2", "llama")  # under a head over the vocabulary

MIN_SHARED = 8  # tokens of a shared prefix from which computing it once saves time


def is_supported(model: nn.Module) -> bool:
    """Return whether the model is of a type whose padding-free outputs are tested to equal the padded ones."""
    plain = _unwrap(model)
    if plain.config.model_type in CAUSAL:
        return plain.get_output_embeddings() is not None
    return plain.config.model_type in ENCODERS and not getattr(plain.config, "is_decoder", False)


def _unwrap(model: nn.Module) -> Any:
    """Return the model without peft's wrapper; adapters stay in its layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]


@dataclass(frozen=True)
class _Layout:
    """Positions of the tokens of a padded batch in the concatenated row.

    Attributes:
        places_T: The position in the flattened batch of each token of the row.
        back_BL: The position in the row of each token of the batch; T at padding.
        lengths: The lengths of the texts in the order of the row, without the shared prefix.
        shared: The number of tokens of the shared prefix, which comes first in the row.
    """

    places_T: Tensor
    back_BL: Tensor
    lengths: Tensor
    shared: int = 0

    @classmethod
    def of(cls, mask_BL: Tensor, shared: int = 0) -> _Layout:
        """Compute the layout: texts sorted by length, so that similar lengths are neighbours, without empty texts."""
        lengths_B = mask_BL.sum(1)
        order_B = lengths_B.argsort(stable=True)
        numbers_BL = mask_BL.cumsum(1) - 1  # the number of each token in its text
        is_prefix_BL = mask_BL.bool() & (numbers_BL < shared)
        is_own_BL = mask_BL.bool() & (numbers_BL >= shared)
        places_BL = torch.arange(mask_BL.numel()).view_as(mask_BL)
        places_T = torch.cat([places_BL[0][is_prefix_BL[0]], places_BL[order_B][is_own_BL[order_B]]])
        back_BL = torch.full_like(mask_BL, len(places_T))
        back_BL[is_prefix_BL] = numbers_BL[is_prefix_BL]
        back_BL.view(-1)[places_T[shared:]] = torch.arange(shared, len(places_T))
        sorted_B = lengths_B[order_B] - shared
        return cls(places_T, back_BL, sorted_B[sorted_B > 0], shared)

    @property
    def mask(self) -> Tensor:
        """`shared` and the lengths as an attention mask: transformers passes on a four-dimensional tensor unchanged."""
        return torch.cat([torch.tensor([self.shared]), self.lengths])[None, None, None]

    def pack(self, batch: Tensor) -> Tensor:
        """Concatenate the texts of a padded batch: (B, L, ...) to (1, T, ...)."""
        return batch.flatten(0, 1).index_select(0, self.places_T)[None]

    def unpack(self, row_1TD: Tensor, places: slice | Tensor = slice(None)) -> Tensor:
        """Pad the row again: (1, T, D) to (B, L, D), 0 at padding; or only the given places of L."""
        back = self.back_BL[:, places]
        zero_1D = row_1TD.new_zeros(1, row_1TD.shape[2])
        return torch.cat([row_1TD.squeeze(0), zero_1D]).index_select(0, back.flatten()).view(*back.shape, -1)


class Unpadded(nn.Module):
    """A padding-free wrapper. `module` is the model, with its adapter if it has one; `is_supported` must be true."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        assert is_supported(module)
        self.module = module
        has_dropout = any(isinstance(part, nn.Dropout) and part.p > 0 for part in module.modules())
        # With dropout the prefix differs from text to text, so it cannot be shared.
        self.can_share = not has_dropout and not getattr(_unwrap(module).config, "attention_dropout", 0) > 0

    def forward(self, **inputs: Any) -> Any:
        mask = inputs.get("attention_mask")
        if mask is None or mask.ndim != 2:  # packed documents bring masks of their own
            return self.module(**inputs)
        plain = _unwrap(self.module)
        if plain.config.model_type in CAUSAL:
            run, layout = _run_causal, _Layout.of(mask, _count_shared(inputs) if self.can_share else 0)
        else:
            run, layout = _run_encoder, _Layout.of(mask)
        before = plain.config._attn_implementation
        plain.config._attn_implementation = NAME
        try:
            return run(self.module, plain, inputs, layout)
        finally:
            plain.config._attn_implementation = before


def _run_encoder(model: nn.Module, plain: Any, inputs: dict[str, Any], layout: _Layout) -> Any:
    """Run an encoder whose stack of layers computes the concatenated row."""
    stack = getattr(plain.base_model, ENCODERS[plain.config.model_type])

    def unpack(_: nn.Module, __: Any, output: Any) -> Any:
        output.last_hidden_state = layout.unpack(output.last_hidden_state)
        return output

    with _change_input(stack, layout.pack), _removing(stack.register_forward_hook(unpack)):
        return model(**{**inputs, "attention_mask": layout.mask})


def _run_causal(model: nn.Module, plain: Any, inputs: dict[str, Any], layout: _Layout) -> Any:
    """Run a causal language model on the concatenated row; its head computes the padded batch at `logits_to_keep`."""
    keep = inputs.get("logits_to_keep", 0)
    places = slice(-keep or None, None) if isinstance(keep, int) else keep
    row = {name: layout.pack(values) for name, values in _get_token_inputs(inputs).items()}
    with _change_input(plain.get_output_embeddings(), lambda states_1TD: layout.unpack(states_1TD, places)):
        return model(**row, attention_mask=layout.mask, use_cache=False)


def _get_token_inputs(inputs: dict[str, Any]) -> dict[str, Tensor]:
    """Return the token ids and positions, (B, L) each."""
    ids_BL, positions_BL = inputs["input_ids"], inputs.get("position_ids")
    if positions_BL is None:
        positions_BL = torch.arange(ids_BL.shape[1]).expand(ids_BL.shape)
    return {"input_ids": ids_BL, "position_ids": positions_BL}


def _count_shared(inputs: dict[str, Any]) -> int:
    """Return the length of the prefix of all texts, leaving each text a token of its own; 0 when it saves no time."""
    mask_BL = inputs["attention_mask"]
    order_BL = (1 - mask_BL).sort(dim=1, stable=True).indices
    aligned_2BL = torch.stack([values.gather(1, order_BL) for values in _get_token_inputs(inputs).values()])
    prefix = (aligned_2BL == aligned_2BL[:, :1]).all(0).all(0).long().cumprod(0).sum()
    shared = min(int(prefix), int(mask_BL.sum(1).min()) - 1)
    return shared if shared >= MIN_SHARED and len(mask_BL) > 1 else 0


@contextmanager
def _change_input(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Change the first input of a module, its hidden states, inside the block."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    # Prepended, because the hook of `heads` must see the padded batch.
    with _removing(module.register_forward_pre_hook(before, with_kwargs=True, prepend=True)):
        yield


@contextmanager
def _removing(hook: RemovableHandle) -> Iterator[None]:
    """Remove the hook at the end of the block."""
    try:
        yield
    finally:
        hook.remove()
