"""Learning rate schedule, and the parameters that get weight decay."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llmkit.engine.optim import Schedule, build_adamw, build_parameter_groups


@pytest.mark.parametrize(
    ("kind", "step", "rate"),
    [
        ("linear", 1, 0.1),
        ("linear", 10, 1.0),
        ("linear", 11, 1.0),
        ("linear", 56, 0.5),
        ("linear", 100, 1 / 90),
        ("cosine", 11, 1.0),
        ("cosine", 56, 0.5),
        ("cosine", 100, (1 + math.cos(math.pi * 89 / 90)) / 2),
        ("constant", 1, 0.1),
        ("constant", 100, 1.0),
    ],
)
def test_learning_rate_at_exact_steps(kind: Any, step: int, rate: float) -> None:
    assert Schedule(1.0, 100, 10, kind).learning_rate(step) == pytest.approx(rate)


def test_without_warmup_the_first_step_has_the_peak_rate() -> None:
    assert Schedule(0.3, 10, 0, "linear").learning_rate(1) == 0.3


def test_matrices_get_weight_decay_and_vectors_do_not(make_model: Any) -> None:
    model = make_model()
    decayed, kept = build_parameter_groups(model, 0.1)
    assert decayed["params"] == [model.layer.weight]
    assert decayed["weight_decay"] == 0.1
    assert kept["params"] == [model.layer.bias]
    assert kept["weight_decay"] == 0.0


def test_frozen_parameters_are_not_optimized(make_model: Any) -> None:
    model = make_model()
    model.layer.weight.requires_grad = False
    assert [len(group["params"]) for group in build_adamw(model, 0.1).param_groups] == [0, 1]
