"""The written gradient and dropout; that it is the attention of each known model is in test_unpadded.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from llmkit.models import grouped_attention
from llmkit.models.dropout import keep


@pytest.mark.parametrize("causal", [False, True])
def test_the_written_gradient_is_that_of_the_attention_with_dropout(causal: bool) -> None:
    torch.manual_seed(5)
    rows = [torch.randn(10, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    groups = ((0, 1, 1), (1, 2, 3), (7, 1, 3))

    def attend(*rows_THK: Tensor) -> Tensor:
        torch.manual_seed(6)
        return grouped_attention._Attention.apply(*rows_THK, groups, 0.7, 0.3, causal)  # type: ignore[no-any-return,no-untyped-call]

    assert torch.autograd.gradcheck(attend, rows)


def test_dropout_acts_on_the_softmax() -> None:
    torch.manual_seed(7)
    q_THK, k_THK, v_THK = torch.randn(3, 4, 2, 3).unbind()
    torch.manual_seed(8)
    found = grouped_attention._Attention.apply(q_THK, k_THK, v_THK, ((0, 1, 4),), 0.5, 0.4, False)  # type: ignore[no-untyped-call]
    torch.manual_seed(8)
    q, k, v = (rows.transpose(0, 1) for rows in (q_THK, k_THK, v_THK))
    weights = (0.5 * q @ k.mT).softmax(-1)
    wanted = (weights * keep(weights, 0.4)) @ v
    torch.testing.assert_close(found, wanted.transpose(0, 1))
