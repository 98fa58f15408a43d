"""A model that computes no padding: its layers see the texts of a batch one behind another, as a single row.

    model = Unpadded(model)  # if can(model)
    model(input_ids=..., attention_mask=...)  # what the plain model gives, wherever there is a text

Linear layers and norms need no change for that; only the attention has to know where a text ends, and transformers lets
one register a function for it (`grouped_attention`). Embeddings and heads of encoders see the batch as ever, since they
are cheap: hooks pack what enters the stack of layers, and put back what leaves it. A language model's tokens are packed
before its embeddings, and what its layers say is put back before its head. What all its texts begin with, as the
system's words in a chat, stands there once: no token sees a later one, so these come out the same in every text, and
their gradient is the sum over all texts.

For training on a CPU. Shapes: B texts, L tokens (padded), P shared by all texts, T tokens of all texts, D hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llmkit.models.cpu.grouped_attention import NAME

__all__ = ["Unpadded", "is_supported"]

# Model types, and where in their base model the layers are; tests/models/test_unpadded.py compares each with itself.
ENCODERS = {
    "albert": "encoder",
    "bert": "encoder",
    "distilbert": "transformer",
    "electra": "encoder",
    "roberta": "encoder",
}
CAUSAL = ("gpt2", "llama")  # under a head over the vocabulary

WORTHWHILE = 8  # shared tokens from which computing them once saves time


def is_supported(model: Any) -> bool:
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
    """Where the tokens of a padded batch are in the row.

    places_T: the place in the flat batch that each token of the row is taken from. back_BL: its place in the row for
    each of the batch, T where there is none. lengths: of the texts as they stand in the row, behind `shared` tokens
    that are the beginning of all of them.
    """

    places_T: Tensor
    back_BL: Tensor
    lengths: Tensor
    shared: int = 0

    @property
    def mask(self) -> Tensor:
        """`shared` and the lengths in the place of an attention mask: transformers hands on a tensor of four dimensions
        as it is."""
        return torch.cat([torch.tensor([self.shared]), self.lengths])[None, None, None]

    def pack(self, batch: Tensor) -> Tensor:
        """(B, L, ...) to (1, T, ...)."""
        return batch.flatten(0, 1).index_select(0, self.places_T)[None]

    def unpack(self, row_1TD: Tensor, places: Any = slice(None)) -> Tensor:
        """Back to (B, L, D), 0 at padded places; or only some of its L places."""
        back = self.back_BL[:, places]
        nothing_1D = row_1TD.new_zeros(1, row_1TD.shape[2])
        return (
            torch.cat([row_1TD.squeeze(0), nothing_1D]).index_select(0, back.flatten()).view(*back.shape, -1)
        )


class Unpadded(nn.Module):
    """A model for which `can` says yes. `module` is the plain one, with its adapters if it has some."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        assert is_supported(module)
        self.module = module
        self.draws = _draws(module)

    def forward(self, **inputs: Any) -> Any:
        mask = inputs.get("attention_mask")
        if mask is None or mask.ndim != 2:  # packed documents have their own ways
            return self.module(**inputs)
        plain = _plain(self.module)
        if plain.config.model_type in CAUSAL:
            run, layout = _causal, _layout(mask, 0 if self.draws else _beginning(inputs))
        else:
            run, layout = _encoder, _layout(mask)
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
    chosen = inputs.get("logits_to_keep", 0)
    places = slice(-chosen or None, None) if isinstance(chosen, int) else chosen
    row = {name: layout.pack(part) for name, part in _read(inputs).items()}
    with _hooked(plain.get_output_embeddings(), lambda states_1TD: layout.unpack(states_1TD, places)):
        return model(**row, attention_mask=layout.mask, use_cache=False)


def _read(inputs: dict[str, Any]) -> dict[str, Tensor]:
    """What the model reads at each place, (B, L) each."""
    ids_BL, positions_BL = inputs["input_ids"], inputs.get("position_ids")
    if positions_BL is None:
        positions_BL = torch.arange(ids_BL.shape[1]).expand(ids_BL.shape)
    return {"input_ids": ids_BL, "position_ids": positions_BL}


def _draws(model: nn.Module) -> bool:
    """Whether some dropout would act on each text's beginning otherwise than on another's."""
    inside = any(isinstance(part, nn.Dropout) and part.p > 0 for part in model.modules())
    return inside or getattr(_plain(model).config, "attention_dropout", 0) > 0


def _beginning(inputs: dict[str, Any]) -> int:
    """How many tokens all texts begin with, leaving each one of its own; 0 where that is not worth the while."""
    mask_BL = inputs["attention_mask"]
    order_BL = (1 - mask_BL).sort(dim=1, stable=True).indices
    alike_BL = torch.stack([part.gather(1, order_BL) for part in _read(inputs).values()])
    shared = (alike_BL == alike_BL[:, :1]).all(0).all(0).long().cumprod(0).sum()
    found = min(int(shared), int(mask_BL.sum(1).min()) - 1)
    return found if found >= WORTHWHILE and len(mask_BL) > 1 else 0


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


def _layout(mask_BL: Tensor, shared: int = 0) -> _Layout:
    """Texts sorted by length, so that those of about one length stand side by side; without those of no token."""
    lengths_B = mask_BL.sum(1)
    order_B = lengths_B.argsort(stable=True)
    numbers_BL = mask_BL.cumsum(1) - 1  # of each token in its text
    first_BL = mask_BL.bool() & (numbers_BL < shared)
    own_BL = mask_BL.bool() & (numbers_BL >= shared)
    places_BL = torch.arange(mask_BL.numel()).view_as(mask_BL)
    places_T = torch.cat([places_BL[0][first_BL[0]], places_BL[order_B][own_BL[order_B]]])
    back_BL = torch.full_like(mask_BL, len(places_T))
    back_BL[first_BL] = numbers_BL[first_BL]
    back_BL.view(-1)[places_T[shared:]] = torch.arange(shared, len(places_T))
    sorted_B = lengths_B[order_B] - shared
    return _Layout(places_T, back_BL, sorted_B[sorted_B > 0], shared)
