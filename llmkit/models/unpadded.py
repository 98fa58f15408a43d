"""A model that computes no padding: its layers see the texts of a batch one behind another, as a single row.

    model = Unpadded(model)  # if can(model)
    model(input_ids=..., attention_mask=...)  # what the plain model gives, wherever there is a text

Linear layers and norms need no change for that; only the attention has to know where a text ends. transformers lets one
register a function for it, and this one takes all texts of the same length at once, so that there is neither padding
nor a mask. Embeddings and heads of encoders see the batch as ever, since they are cheap: hooks pack what enters the
stack of layers, and put back what leaves it. A language model's tokens are packed before its embeddings, and what its
layers say is put back before its head.

For training on a CPU. Shapes: B texts, L tokens (padded), T tokens of all texts, D hidden, H heads, K head width;
N texts of one length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

from llmkit.models.dropout import keep

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
NAME = "llmkit_unpadded"

Group = tuple[int, int, int]  # texts of one length: first token in the row, N, length


def can(model: Any) -> bool:
    """Whether this is known to give what the padded model gives; for all others the plain model is the way."""
    plain = _plain(model)
    if plain.config.model_type in CAUSAL:
        return plain.get_output_embeddings() is not None
    return plain.config.model_type in ENCODERS and not plain.config.is_decoder


def _plain(model: Any) -> Any:
    """Without peft's wrapper; adapters stay in place in the layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@dataclass(frozen=True)
class _Layout:
    """The padded batch's shape (B, L), where in it each token of the row stands (T,), and the texts by length."""

    shape: torch.Size
    places_T: Tensor
    groups: tuple[Group, ...]

    @property
    def mask(self) -> Tensor:
        """The groups in the place of an attention mask: transformers hands on a tensor of four dimensions as it is."""
        return torch.tensor(self.groups)[None, None]

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

    with _removed(module.register_forward_pre_hook(before, with_kwargs=True)):
        yield


@contextmanager
def _removed(hook: Any) -> Iterator[None]:
    try:
        yield
    finally:
        hook.remove()


def _layout(mask_BL: Tensor) -> _Layout:
    """Texts sorted by length, so that those of one length stand side by side."""
    lengths_B = mask_BL.sum(1)
    order_B = lengths_B.argsort(stable=True)
    places_BL = torch.arange(mask_BL.numel()).view_as(mask_BL)[order_B]
    groups, first = [], 0
    sizes, counts = lengths_B.unique(return_counts=True)
    for length, texts in zip(sizes.tolist(), counts.tolist(), strict=True):
        groups.append((first, texts, length))
        first += texts * length
    return _Layout(mask_BL.shape, places_BL[mask_BL[order_B].bool()], tuple(groups))


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What transformers calls: (1, H, T, K) each in, keys and values with fewer heads perhaps; (1, T, H, K) out."""
    groups = [tuple(group) for group in attention_mask[0, 0].tolist()]
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = (rows.repeat_interleave(shared, dim=1) for rows in (key, value))
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    causal = bool(getattr(module, "is_causal", False))
    rows = [heads.squeeze(0).transpose(0, 1) for heads in (query, key, value)]
    if dropout:
        return _Attention.apply(*rows, groups, scaling, dropout, causal)[None], None  # type: ignore[no-untyped-call]
    found = []
    for group in groups:
        q, k, v = (_texts(part, group) for part in rows)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scaling)
        found.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(found)[None], None


AttentionInterface.register(NAME, _attend)


class _Attention(torch.autograd.Function):
    """softmax(scaling Q K^T) V inside each text, with dropout on the softmax. Q, K, V and the result: (T, H, K).

    Written out because torch's attention with dropout is slow on a CPU: it draws the expensive way.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q_THK: Tensor,
        k_THK: Tensor,
        v_THK: Tensor,
        groups: Any,
        scaling: float,
        p: float,
        causal: bool,
    ) -> Tensor:
        out_THK = torch.empty(q_THK.shape, dtype=q_THK.dtype)
        weights, kept = [], []
        for group in groups:
            q, k, v = (_matrices(rows, group) for rows in (q_THK, k_THK, v_THK))
            scores = (q * scaling).bmm(k.mT)
            if causal:
                scores += torch.full_like(scores[0], -torch.inf).triu(1)
            weights.append(scores.softmax(-1))
            kept.append(keep(scores, p))
            _put(out_THK, group, (weights[-1] * kept[-1]).bmm(v))
        ctx.save_for_backward(q_THK, k_THK, v_THK, *weights, *kept)
        ctx.groups, ctx.scaling = groups, scaling
        return out_THK

    @staticmethod
    def backward(ctx: Any, d_out_THK: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        q_THK, k_THK, v_THK, *rest = ctx.saved_tensors
        d_q_THK, d_k_THK, d_v_THK = (torch.empty(q_THK.shape, dtype=q_THK.dtype) for _ in range(3))
        half = len(ctx.groups)
        for group, weights, kept in zip(ctx.groups, rest[:half], rest[half:], strict=True):
            q, k, v, d_out = (_matrices(rows, group) for rows in (q_THK, k_THK, v_THK, d_out_THK))
            _put(d_v_THK, group, (weights * kept).mT.bmm(d_out))
            d_weights = d_out.bmm(v.mT).mul_(kept)
            d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype).mul_(ctx.scaling)
            _put(d_q_THK, group, d_scores.bmm(k))
            _put(d_k_THK, group, d_scores.mT.bmm(q))
        return d_q_THK, d_k_THK, d_v_THK, None, None, None, None


def _texts(rows_THK: Tensor, group: Group) -> Tensor:
    """These texts alone, (N, H, length, K); a view."""
    first, texts, length = group
    return rows_THK[first : first + texts * length].view(texts, length, *rows_THK.shape[1:]).transpose(1, 2)


def _matrices(rows_THK: Tensor, group: Group) -> Tensor:
    """As one batch, (N H, length, K)."""
    return _texts(rows_THK, group).reshape(-1, group[2], rows_THK.shape[2])


def _put(rows_THK: Tensor, group: Group, found: Tensor) -> None:
    _texts(rows_THK, group).copy_(found.view(group[1], -1, *found.shape[1:]))
