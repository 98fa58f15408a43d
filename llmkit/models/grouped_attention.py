"""Attention inside each text of a row of texts, where those of one length lie side by side.

transformers calls it by its NAME for models whose config says so. It takes all texts of a length at once, so that there
is neither padding nor a mask. Which they are stands in the place of the mask, as a tensor (1, 1, groups, 3), since
transformers hands on a tensor of four dimensions as it is. Shapes: T tokens of all texts, H heads, K head width; N
texts of one length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

from llmkit.models.dropout import keep

__all__ = ["NAME", "Group", "attend"]

NAME = "llmkit_grouped"

Group = tuple[int, int, int]  # first token in the row, N, length


def attend(
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


AttentionInterface.register(NAME, attend)


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
    def backward(ctx: Any, d_out_THK: Tensor) -> tuple[Tensor | None, ...]:
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
