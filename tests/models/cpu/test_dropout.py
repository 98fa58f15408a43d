"""Cheap dropout has the rate and scale of torch's own and depends only on torch's random state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llmkit.models.cpu.dropout import Dropout, draw_mask, replace_dropout

SHAPE = (1001, 1003)  # not a multiple of 4


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_rate_and_scale(p: float) -> None:
    torch.manual_seed(1)
    mask = draw_mask(torch.empty(SHAPE), p)
    assert sorted(set(mask.flatten().tolist())) == pytest.approx([0, 1 / (1 - p)], rel=1e-4)
    deviation = (p * (1 - p) / mask.numel()) ** 0.5
    assert abs((mask == 0).double().mean() - p) < 5 * deviation


def test_neighbouring_elements_are_independent() -> None:
    torch.manual_seed(2)
    dropped = (draw_mask(torch.empty(SHAPE), 0.25) == 0).double().flatten()
    for distance in (1, 2, 3, 4, SHAPE[1]):
        both = (dropped[distance:] * dropped[:-distance]).mean()
        assert abs(both - 0.0625) < 5 * (0.0625 / dropped.numel()) ** 0.5


def test_probabilities_0_and_1_are_exact() -> None:
    ones = torch.ones(5)
    assert torch.equal(draw_mask(ones, 1.0), torch.zeros(5)) and torch.equal(draw_mask(ones, 0.0), ones)


def test_masks_depend_only_on_the_random_state() -> None:
    layer, ones = Dropout(0.5), torch.ones(40)
    torch.manual_seed(3)
    first, second = layer(ones), layer(ones)
    torch.manual_seed(3)
    assert torch.equal(layer(ones), first) and not torch.equal(first, second)


def test_the_gradient_has_the_mask_of_the_forward() -> None:
    ones = torch.ones(40, requires_grad=True)
    out = Dropout(0.5)(ones)
    out.sum().backward()
    assert ones.grad is not None and torch.equal(ones.grad, out.detach())


def test_replacing_dropout_keeps_names_settings_and_evaluation() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.3)))
    names = list(model.state_dict())
    replace_dropout(model)
    assert [m.p for m in model.modules() if type(m) is Dropout] == [0.2, 0.3]
    assert list(model.state_dict()) == names
    inputs = torch.randn(2, 3)
    assert torch.equal(model.eval()(inputs), model[0](inputs))
