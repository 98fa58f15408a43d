"""Gradient and dropout of grouped attention; test_unpadded.py compares it with the attention of each model type."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from llmkit.models.cpu import grouped_attention
from llmkit.models.cpu.dropout import draw_mask
from tests.float64 import EXACT


@pytest.mark.parametrize("causal", [False, True])
def test_the_gradient_with_dropout_is_correct(causal: bool) -> None:
    torch.manual_seed(5)
    rows = [torch.randn(12, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    plan = grouped_attention.make_plan((1, 3, 4, 4), 2, causal)
    assert plan.shapes == ((2, 1), (6, 4))  # the text of 3 is padded to 4

    def attend(*rows_THK: Tensor) -> Tensor:
        torch.manual_seed(6)
        return grouped_attention._Attention.apply(*rows_THK, plan, 0.7, 0.3)  # type: ignore[no-any-return,no-untyped-call]

    assert torch.autograd.gradcheck(attend, rows)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_equals_that_of_each_text_alone(causal: bool) -> None:
    """At a probability that rounds to 0 nothing is dropped, so the outputs equal torch's attention, text by text."""
    torch.manual_seed(9)
    lengths = (2, 7, 8, 9, 9, 30, 31, 40)
    rows = [torch.randn(sum(lengths), 3, 4, dtype=torch.float64) for _ in range(3)]
    plan = grouped_attention.make_plan(lengths, 3, causal)
    output = grouped_attention._Attention.apply(*rows, plan, 0.5, 1e-9)  # type: ignore[no-untyped-call]
    texts = zip(*(part.split(lengths) for part in rows), strict=True)
    expected = [
        functional.scaled_dot_product_attention(
            *(part.transpose(0, 1) for part in text), is_causal=causal, scale=0.5
        )
        for text in texts
    ]
    torch.testing.assert_close(output, torch.cat([text.transpose(0, 1) for text in expected]), **EXACT)


def test_texts_of_similar_length_form_a_group() -> None:
    assert grouped_attention._group_lengths((3, 4, 5, 75, 99, 100)) == [
        (3, [3]),
        (5, [4, 5]),
        (100, [75, 99, 100]),
    ]


def test_dropout_applies_to_the_attention_weights() -> None:
    torch.manual_seed(7)
    q_THK, k_THK, v_THK = torch.randn(3, 4, 2, 3, dtype=torch.float64).unbind()
    plan = grouped_attention.make_plan((4,), 2, False)
    torch.manual_seed(8)
    output = grouped_attention._Attention.apply(q_THK, k_THK, v_THK, plan, 0.5, 0.4)  # type: ignore[no-untyped-call]
    torch.manual_seed(8)
    q, k, v = (rows.transpose(0, 1) for rows in (q_THK, k_THK, v_THK))
    weights = (0.5 * q @ k.mT).softmax(-1)
    expected = (weights * draw_mask(weights.flatten(), 0.4).view_as(weights)) @ v
    torch.testing.assert_close(output, expected.transpose(0, 1), **EXACT)
