"""Block-diagonal attention over concatenated texts, sorted by length, with an optional shared prefix.

transformers calls `attend` by its NAME for models whose config says so. The attention mask's place holds the length of
the shared prefix and the further length of each text, as a tensor (1, 1, 1, 1 + texts), because transformers passes on
a four-dimensional tensor unchanged.

Without dropout, texts of one length go to torch's attention together, without padding. With dropout, torch's attention
is slow on a CPU, because it draws a full random number per element. Here texts of similar length are padded to the
longest of their group, and elementwise operations run on all texts at once, because starting an operation costs more
than a short text's share of it.

Shapes: T tokens of all texts, H heads, K head width; N texts of a group, L its length; P padded tokens of all groups, S
scores of all groups (N H L L each).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

from llmkit.models.cpu.dropout import draw_mask

__all__ = ["NAME", "attend"]

NAME = "llmkit_grouped"

MIN_SHARE = 0.75  # a text joins a group when it has at least this share of the tokens of the longest
NO_TOKEN = -1


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
    """Compute attention, with the signature that transformers requires.

    Args:
        module: The attention layer; its `is_causal` decides whether attention is causal.
        query: Queries (1, H, T, K).
        key: Keys, of the same shape, with H or fewer heads.
        value: Values, shaped like the keys.
        attention_mask: The lengths, as the module describes.
        dropout: The dropout probability of the attention weights.
        scaling: The factor of the scores; None: 1 / sqrt(K).

    Returns:
        The outputs (1, T, H, K), and None in the place of the attention weights.
    """
    prefix, *lengths = attention_mask.flatten().tolist()
    heads_per_key = query.shape[1] // key.shape[1]
    if heads_per_key > 1:
        key, value = (rows.repeat_interleave(heads_per_key, dim=1) for rows in (key, value))
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    causal = bool(getattr(module, "is_causal", False))
    rows = [heads.squeeze(0).transpose(0, 1) for heads in (query, key, value)]
    if dropout:
        assert not prefix, "with dropout the texts cannot share a prefix"
        plan = make_plan(tuple(lengths), query.shape[1], causal)
        return _Attention.apply(*rows, plan, scaling, dropout)[None], None  # type: ignore[no-untyped-call]
    return _attend_without_dropout(rows, prefix, lengths, causal, scaling)[None], None


AttentionInterface.register(NAME, attend)


def _attend_without_dropout(
    rows: list[Tensor], prefix: int, lengths: list[int], causal: bool, scaling: float
) -> Tensor:
    """Compute attention one text length at a time. Three (T, H, K) in, one out."""
    outputs = []
    if prefix:
        prefix_q, prefix_k, prefix_v = (_split_texts(part[:prefix], prefix) for part in rows)
        outputs.append(_attend_texts(prefix_q, prefix_k, prefix_v, causal, scaling))
    counts = [(length, len(list(texts))) for length, texts in groupby(lengths)]
    splits = [length * texts for length, texts in counts]
    for (length, _), *group in zip(
        counts, *(torch.split(part[prefix:], splits) for part in rows), strict=True
    ):
        q, k, v = (_split_texts(part, length) for part in group)
        if prefix:
            k, v = (
                torch.cat([shared.expand(len(q), -1, -1, -1), rest], dim=2)
                for shared, rest in ((prefix_k, k), (prefix_v, v))
            )
        outputs.append(_attend_texts(q, k, v, causal, scaling))
    return torch.cat(outputs)


def _split_texts(rows_THK: Tensor, length: int) -> Tensor:
    """Split the rows of texts of one length into (N, H, L, K)."""
    return rows_THK.reshape(-1, length, *rows_THK.shape[1:]).transpose(1, 2)


def _attend_texts(q: Tensor, k: Tensor, v: Tensor, causal: bool, scaling: float) -> Tensor:
    """Compute attention of the last L tokens of each text: (N, H, L, K) to (N L, H, K)."""
    length, total = q.shape[2], k.shape[2]
    if total > length:  # torch's own causal mask would be that of the first L tokens
        mask = torch.ones(length, total, dtype=torch.bool).tril(total - length)
        out = functional.scaled_dot_product_attention(q, k, v, scale=scaling, attn_mask=mask)
    else:
        out = functional.scaled_dot_product_attention(q, k, v, scale=scaling, is_causal=causal)
    return out.transpose(1, 2).flatten(0, 1)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Positions of tokens in the padded groups, for one sequence of text lengths.

    The padded tokens form a matrix (P H, K), ordered by group, text, head and place in the text. The input is a matrix
    (T H, K), ordered by token and head.

    Attributes:
        shapes: N H and L of each group.
        into: The input row of each padded row; any row where there is no token.
        pads: The padded rows without a token.
        back: The padded row of each input row.
        bias: (S,), -inf where a token must not attend to another, else 0.
    """

    shapes: tuple[tuple[int, int], ...]
    into: Tensor
    pads: Tensor
    back: Tensor
    bias: Tensor

    def matrices(self, rows: Tensor) -> list[Tensor]:
        """Return a view (N H, L, K) of each group's padded rows."""
        parts = torch.split(rows, [batch * length for batch, length in self.shapes])
        return [part.view(*shape, -1) for part, shape in zip(parts, self.shapes, strict=True)]

    def squares(self, scores_S: Tensor) -> list[Tensor]:
        """Return a view (N H, L, L) of each group's scores."""
        parts = torch.split(scores_S, [batch * length**2 for batch, length in self.shapes])
        return [part.view(*shape, shape[1]) for part, shape in zip(parts, self.shapes, strict=True)]


@lru_cache(maxsize=1)  # the layers of a model need the same plan one after another
def make_plan(lengths: tuple[int, ...], heads: int, causal: bool) -> _Plan:
    """Plan the padded groups of texts of the given lengths, sorted from the shortest."""
    shapes, sources, biases, first = [], [], [], 0
    for longest, sizes in _group_lengths(lengths):
        sizes_N, places_L = torch.tensor(sizes), torch.arange(longest)
        is_token_NL = places_L < sizes_N[:, None]
        tokens_NL = (first + sizes_N.cumsum(0) - sizes_N)[:, None] + places_L
        rows_NHL = tokens_NL[:, None] * heads + torch.arange(heads)[:, None]
        sources.append(rows_NHL.masked_fill(~is_token_NL[:, None], NO_TOKEN).flatten())
        visible_NLL = is_token_NL[:, None, :].expand(-1, longest, -1)
        if causal:
            visible_NLL = visible_NLL & (places_L <= places_L[:, None])
        bias_NLL = torch.zeros(visible_NLL.shape).masked_fill_(~visible_NLL, -torch.inf)
        biases.append(bias_NLL[:, None].expand(-1, heads, -1, -1).flatten())
        shapes.append((len(sizes) * heads, longest))
        first += sum(sizes)
    into = torch.cat(sources)
    real = (into != NO_TOKEN).nonzero().squeeze(1)
    back = torch.empty_like(real)
    back[into[real]] = real
    pads = (into == NO_TOKEN).nonzero().squeeze(1)
    return _Plan(tuple(shapes), into.clamp(min=0), pads, back, torch.cat(biases))


def _group_lengths(lengths: tuple[int, ...]) -> list[tuple[int, list[int]]]:
    """Group similar lengths; return (longest, lengths) of each group, shortest group first."""
    groups: list[tuple[int, list[int]]] = []
    for length in reversed(lengths):
        if groups and length >= MIN_SHARE * groups[-1][0]:
            groups[-1][1].insert(0, length)
        else:
            groups.append((length, [length]))
    return groups[::-1]


class _Attention(torch.autograd.Function):
    """softmax(scaling Q K^T) V within each text, with dropout on the softmax. Q, K, V and the result are (T, H, K)."""

    @staticmethod
    def forward(
        ctx: Any, q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, plan: _Plan, scaling: float, p: float
    ) -> Tensor:
        q, k, v = (
            rows.reshape(-1, rows.shape[2]).index_select(0, plan.into) for rows in (q_THK, k_THK, v_THK)
        )
        bias_S = plan.bias.to(q.dtype)
        scores_S, weights_S = torch.empty_like(bias_S), torch.empty_like(bias_S)
        parts = zip(
            *map(plan.matrices, (q, k)), *map(plan.squares, (bias_S, scores_S, weights_S)), strict=True
        )
        for q_NLK, k_NLK, bias_NLL, scores_NLL, weights_NLL in parts:
            torch.baddbmm(bias_NLL, q_NLK, k_NLK.mT, alpha=scaling, out=scores_NLL)
            torch.softmax(scores_NLL, -1, out=weights_NLL)
        kept_S = draw_mask(scores_S, p)
        out = torch.empty_like(v)
        torch.mul(weights_S, kept_S, out=scores_S)
        for w_NLL, v_NLK, out_NLK in zip(
            plan.squares(scores_S), plan.matrices(v), plan.matrices(out), strict=True
        ):
            torch.bmm(w_NLL, v_NLK, out=out_NLK)
        ctx.save_for_backward(q, k, v, weights_S, kept_S)
        ctx.plan, ctx.scaling = plan, scaling
        return out.index_select(0, plan.back).view(q_THK.shape)

    @staticmethod
    def backward(ctx: Any, d_out_THK: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights_S, kept_S = ctx.saved_tensors
        plan: _Plan = ctx.plan
        d_out = d_out_THK.reshape(-1, q.shape[1]).index_select(0, plan.into).index_fill_(0, plan.pads, 0)
        d_q, d_k, d_v = torch.empty_like(q), torch.empty_like(q), torch.empty_like(q)
        d_weights_S = torch.empty_like(weights_S)
        parts = zip(
            *map(plan.matrices, (v, d_v, d_out)),
            *map(plan.squares, (weights_S * kept_S, d_weights_S)),
            strict=True,
        )
        for v_NLK, d_v_NLK, d_out_NLK, dropped_NLL, d_weights_NLL in parts:
            torch.bmm(dropped_NLL.mT, d_out_NLK, out=d_v_NLK)
            torch.bmm(d_out_NLK, v_NLK.mT, out=d_weights_NLL)
        d_weights_S.mul_(kept_S).mul_(ctx.scaling)
        parts = zip(
            *map(plan.matrices, (q, k, d_q, d_k)), *map(plan.squares, (weights_S, d_weights_S)), strict=True
        )
        for q_NLK, k_NLK, d_q_NLK, d_k_NLK, weights_NLL, d_weights_NLL in parts:
            d_scores_NLL = torch._softmax_backward_data(d_weights_NLL, weights_NLL, -1, weights_NLL.dtype)
            torch.bmm(d_scores_NLL, k_NLK, out=d_q_NLK)
            torch.bmm(d_scores_NLL.mT, q_NLK, out=d_k_NLK)
        gradients = (rows.index_select(0, plan.back).view(d_out_THK.shape) for rows in (d_q, d_k, d_v))
        return *gradients, None, None, None
