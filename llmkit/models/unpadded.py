"""An encoder that computes no padding: its layers see the texts of a batch one behind another, as a single row.

    model = Unpadded(model)  # if can(model.config)
    model(input_ids=..., attention_mask=...)  # what the plain model gives, but 0 at padded places

Embeddings and head are the model's own and see the batch as ever, since they are cheap. Between them, a hook packs what
enters the stack of layers and puts it back in place behind it. Linear layers and norms need no change for that; only
the attention has to know where a text ends. transformers lets one register a function for it, and this one takes all
texts of the same length at once, so that there is neither padding nor a mask.

For training on a CPU: the gradient is written out, and so is dropout (`dropout.keep`). Nothing is computed that torch's
attention would not compute. Shapes: B texts, L tokens (padded), T tokens of all texts, D hidden, H heads, K head width;
N texts of one length.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from llmkit.models.dropout import keep

__all__ = ["Unpadded", "can"]

# Model types, and where in their base model the layers are; tests/models/test_unpadded.py compares each with itself.
STACKS = {
    "albert": "encoder",
    "bert": "encoder",
    "distilbert": "transformer",
    "electra": "encoder",
    "roberta": "encoder",
}
NAME = "llmkit_unpadded"


def can(config: Any) -> bool:
    """Whether this is known to give what the padded model gives; for all others the plain model is the way."""
    return config.model_type in STACKS and not getattr(config, "is_decoder", False)


@dataclass(frozen=True)
class _Layout:
    """Where each token of the row stands in the padded batch (T,), and the texts of each length: (first, N, length)."""

    places_T: Tensor
    groups: tuple[tuple[int, int, int], ...]


class Unpadded(nn.Module):
    """A model of one of the known types, and its adapters if it has some. `module` is the plain one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        plain: Any = module.get_base_model() if hasattr(module, "get_base_model") else module
        assert isinstance(plain, PreTrainedModel) and can(plain.config)
        self._config = plain.config
        self._stack = [getattr(plain.base_model, STACKS[plain.config.model_type])]  # a list: it has its owner

    def forward(self, **inputs: Any) -> Any:
        mask = inputs.get("attention_mask")
        if mask is None or mask.ndim != 2:  # packed documents have their own mask
            return self.module(**inputs)
        with _packed(self._stack[0], self._config, mask):
            return self.module(**inputs)


@contextmanager
def _packed(stack: nn.Module, config: Any, mask_BL: Tensor) -> Iterator[None]:
    """Inside, the stack of layers packs what it gets and unpacks what it gives."""
    layout = _layout(mask_BL)
    before = config._attn_implementation

    def pack(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        states_BLD = args[0] if args else kwargs["hidden_states"]
        states_1TD = states_BLD.flatten(0, 1).index_select(0, layout.places_T)[None]
        return (), {**kwargs, "hidden_states": states_1TD, "attention_mask": layout}

    def unpack(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        states_TD = output.last_hidden_state.squeeze(0)
        room = states_TD.new_zeros(mask_BL.numel(), states_TD.shape[1])
        output.last_hidden_state = room.index_copy(0, layout.places_T, states_TD).view(*mask_BL.shape, -1)
        return output

    hooks = [stack.register_forward_pre_hook(pack, with_kwargs=True), stack.register_forward_hook(unpack)]
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        for hook in hooks:
            hook.remove()


def _layout(mask_BL: Tensor) -> _Layout:
    """Texts sorted by length, so that those of one length stand side by side."""
    lengths_B = mask_BL.sum(1)
    order_B = lengths_B.argsort(stable=True)
    rows = mask_BL[order_B].bool()
    flat_BL = torch.arange(mask_BL.numel(), device=mask_BL.device).view_as(mask_BL)[order_B]
    groups, first = [], 0
    sizes, counts = lengths_B.unique(return_counts=True)
    for length, texts in zip(sizes.tolist(), counts.tolist(), strict=True):
        groups.append((first, texts, length))
        first += texts * length
    return _Layout(flat_BL[rows], tuple(groups))


class _Attention(torch.autograd.Function):
    """softmax(scaling Q K^T) V inside each text, with dropout on the softmax. Q, K, V and the result: (T, H, K)."""

    @staticmethod
    def forward(
        ctx: Any, q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, groups: Any, scaling: float, p: float
    ) -> Tensor:
        out_THK = torch.empty_like(q_THK)
        weights, kept = [], []
        for group in groups:
            q, k, v = (_take(rows, group) for rows in (q_THK, k_THK, v_THK))
            weights.append((q * scaling).bmm(k.mT).softmax(-1))
            kept.append(keep(weights[-1], p) if p else None)
            used = weights[-1] if kept[-1] is None else weights[-1] * kept[-1]
            _put(out_THK, group, used.bmm(v))
        ctx.save_for_backward(q_THK, k_THK, v_THK, *weights, *kept)
        ctx.groups, ctx.scaling = groups, scaling
        return out_THK

    @staticmethod
    def backward(ctx: Any, d_out_THK: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        q_THK, k_THK, v_THK, *rest = ctx.saved_tensors
        d_q_THK, d_k_THK, d_v_THK = (torch.empty_like(q_THK) for _ in range(3))
        half = len(ctx.groups)
        for group, weights, kept in zip(ctx.groups, rest[:half], rest[half:], strict=True):
            q, k, v, d_out = (_take(rows, group) for rows in (q_THK, k_THK, v_THK, d_out_THK))
            used = weights if kept is None else weights * kept
            _put(d_v_THK, group, used.mT.bmm(d_out))
            d_weights = d_out.bmm(v.mT)
            if kept is not None:
                d_weights *= kept
            d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype).mul_(ctx.scaling)
            _put(d_q_THK, group, d_scores.bmm(k))
            _put(d_k_THK, group, d_scores.mT.bmm(q))
        return d_q_THK, d_k_THK, d_v_THK, None, None, None


def _take(rows_THK: Tensor, group: tuple[int, int, int]) -> Tensor:
    """These texts as one batch of matrices, (N H, length, K)."""
    first, texts, length = group
    rows = rows_THK[first : first + texts * length].view(texts, length, *rows_THK.shape[1:])
    return rows.transpose(1, 2).reshape(-1, length, rows_THK.shape[2])


def _put(rows_THK: Tensor, group: tuple[int, int, int], found: Tensor) -> None:
    first, texts, length = group
    target = rows_THK[first : first + texts * length].view(texts, length, *rows_THK.shape[1:])
    target.copy_(found.view(texts, -1, length, rows_THK.shape[2]).transpose(1, 2))


def _attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: _Layout,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What transformers calls: (1, H, T, K) each in, (1, T, H, K) out."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    q_THK, k_THK, v_THK = (heads.squeeze(0).transpose(0, 1) for heads in (query, key, value))
    out = _Attention.apply(q_THK, k_THK, v_THK, attention_mask.groups, scaling, dropout)  # type: ignore[no-untyped-call]
    return out[None], None


AttentionInterface.register(NAME, _attend)
