"""The loop: right sums, bad numbers stopped before the update, dropout a function of the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from llmkit.data.sampler import updates
from llmkit.engine.optim import Schedule, adamw
from llmkit.engine.train import Step, train
from llmkit.errors import TrainingError

SCHEDULE = Schedule(1e-2, 6, 0, "constant")


def steps_of(
    session: Any, model: Any, toy: Any, *, total: int = 6, done: int = 0, **changes: Any
) -> list[Step]:
    settings = {"schedule": SCHEDULE, "max_grad_norm": None, **changes}
    optimizer = changes.pop("optimizer", None) or adamw(model, 0.0)
    settings.pop("optimizer", None)
    loss = settings.pop("loss", toy.loss)
    ready, ready_optimizer = session.accelerator.prepare(model, optimizer)
    return list(
        train(
            session,
            ready,
            ready_optimizer,
            toy.batches,
            loss,
            updates(24, 8, 1, total=total, done=done),
            **settings,
        )
    )


def test_loss_and_norm_are_those_of_the_whole_update(session: Any, make_model: Any, toy: Any) -> None:
    model, plain = make_model(), make_model()
    model.dropout.p = plain.dropout.p = 0.0
    first = next(iter(updates(24, 8, 1, total=1))).indices
    expected = torch.nn.functional.cross_entropy(plain(toy.values[first]), toy.labels[first])
    expected.backward()
    norm = torch.sqrt(sum(p.grad.square().sum() for p in plain.parameters()))
    step = steps_of(session, model, toy, total=1)[0]
    assert step.loss == pytest.approx(expected.item(), rel=1e-6)
    assert step.grad_norm == pytest.approx(norm.item(), rel=1e-6)
    assert step.examples == 8
    assert step.tokens == toy.batches.lengths[first].sum() <= step.padded_tokens


def test_clipping_scales_the_gradient_to_the_norm_asked_for(session: Any, make_model: Any, toy: Any) -> None:
    model = make_model()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    step = steps_of(
        session,
        model,
        toy,
        total=1,
        max_grad_norm=1e-3,
        optimizer=optimizer,
        schedule=Schedule(1.0, 1, 0, "constant"),
    )[0]
    moved = torch.sqrt(sum((p - b).square().sum() for p, b in zip(model.parameters(), before, strict=True)))
    assert step.grad_norm > 1e-3  # reported as it was before clipping
    assert moved.item() == pytest.approx(1e-3, rel=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_number_stops_before_the_update(session: Any, make_model: Any, toy: Any, value: float) -> None:
    model = make_model()
    bad = next(iter(updates(24, 8, 1, total=1))).indices[3]
    toy.values[bad] = value
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.dropout.p = 0.0
    with pytest.raises(TrainingError) as caught:
        steps_of(session, model, toy)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    line = caught.value.lines()[0]
    assert line.startswith("error[T01] step 1: the loss is")
    assert str(bad) in line


def test_a_bad_gradient_stops_too(session: Any, make_model: Any, toy: Any) -> None:
    def loss(model: Any, batch: Any) -> Any:
        summed, count = toy.loss(model, batch)
        zero = model.layer.weight.flatten()[0] * 0
        return summed + torch.sqrt(zero) * 1.0, count  # finite value, infinite slope at zero

    with pytest.raises(TrainingError, match="gradient's norm is"):
        steps_of(session, make_model(), toy, loss=loss)


def test_dropout_is_a_function_of_the_step_not_of_what_ran_before(
    session: Any, make_model: Any, toy: Any
) -> None:
    whole = [step.loss for step in steps_of(session, make_model(), toy)]
    model = make_model()
    optimizer = adamw(model, 0.0)
    first = [step.loss for step in steps_of(session, model, toy, total=3, optimizer=optimizer)]
    torch.rand(17)  # somebody draws numbers in between
    rest = [step.loss for step in steps_of(session, model, toy, done=3, optimizer=optimizer)]
    assert first + rest == whole
    other = make_model()
    torch.manual_seed(99)
    assert [step.loss for step in steps_of(session, other, toy)] == whole


def test_learning_rate_follows_the_schedule(session: Any, make_model: Any, toy: Any) -> None:
    schedule = Schedule(1e-2, 6, 2, "linear")
    rates = [step.learning_rate for step in steps_of(session, make_model(), toy, schedule=schedule)]
    assert np.allclose(rates, [0.005, 0.01, 0.01, 0.0075, 0.005, 0.0025])
