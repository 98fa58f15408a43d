"""The training loop: exact sums, errors before the weights change, dropout as a function of the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from llmkit.base.errors import TrainingError
from llmkit.data.sampler import plan_steps
from llmkit.engine.optim import Schedule, build_adamw
from llmkit.engine.train import Step, train
from tests.float64 import EXACT

SCHEDULE = Schedule(1e-2, 6, 0, "constant")


def run_steps(
    session: Any, model: Any, toy: Any, *, total: int = 6, done: int = 0, **changes: Any
) -> list[Step]:
    settings = {"schedule": SCHEDULE, "max_grad_norm": None, **changes}
    optimizer = changes.pop("optimizer", None) or build_adamw(model, 0.0)
    settings.pop("optimizer", None)
    loss = settings.pop("loss", toy.loss)
    return list(
        train(
            session,
            model,
            session.accelerator.prepare_optimizer(optimizer),
            settings.pop("batches", toy.batches),
            loss,
            plan_steps(24, 8, 1, total=total, done=done),
            **settings,
        )
    )


def test_loss_and_gradient_norm_are_those_of_all_examples_of_the_step(
    session: Any, make_model: Any, toy: Any
) -> None:
    model, plain = make_model(), make_model()
    model.dropout.p = plain.dropout.p = 0.0
    first = next(iter(plan_steps(24, 8, 1, total=1))).indices
    expected = torch.nn.functional.cross_entropy(plain(toy.values[first]), toy.labels[first])
    expected.backward()
    norm = torch.sqrt(sum(p.grad.square().sum() for p in plain.parameters()))
    step = run_steps(session, model, toy, total=1)[0]
    assert step.loss == pytest.approx(expected.item(), rel=1e-12)
    assert step.grad_norm == pytest.approx(norm.item(), rel=1e-12)
    assert step.examples == 8
    assert step.tokens == toy.batches.lengths[first].sum() <= step.padded_tokens


def test_clipping_scales_the_gradient_to_max_grad_norm(session: Any, make_model: Any, toy: Any) -> None:
    model = make_model()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    step = run_steps(
        session,
        model,
        toy,
        total=1,
        max_grad_norm=1e-3,
        optimizer=optimizer,
        schedule=Schedule(1.0, 1, 0, "constant"),
    )[0]
    moved = torch.sqrt(sum((p - b).square().sum() for p, b in zip(model.parameters(), before, strict=True)))
    assert step.grad_norm > 1e-3  # the norm before clipping
    assert moved.item() == pytest.approx(1e-3, rel=1e-10)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error_before_the_weights_change(
    session: Any, make_model: Any, toy: Any, value: float
) -> None:
    model = make_model()
    bad = next(iter(plan_steps(24, 8, 1, total=1))).indices[3]
    toy.values[bad] = value
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.dropout.p = 0.0
    with pytest.raises(TrainingError) as caught:
        run_steps(session, model, toy)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    line = caught.value.lines()[0]
    assert line.startswith("error[T01] step 1: the loss is")
    named = line.partition("training examples ")[2].partition(";")[0].split(", ")
    assert str(bad) in named
    assert len(named) < 8  # only the examples of its micro-batch


class ScarceMemory:
    """A loss that raises an out-of-memory error for more than `limit` examples at once."""

    def __init__(self, toy: Any, limit: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.toy, self.limit, self.error = toy, limit, error

    def __call__(self, model: Any, batch: dict[str, torch.Tensor]) -> Any:
        if len(batch["values"]) > self.limit:
            raise self.error("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes")
        return self.toy.loss(model, batch)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_out_of_memory_halves_the_micro_batches_and_repeats_the_step(
    session: Any, make_model: Any, toy: Any, error: type[Exception]
) -> None:
    plain, scarce = make_model(), make_model()
    plain.dropout.p = scarce.dropout.p = 0.0
    expected = run_steps(session, plain, toy)
    notes: list[str] = []
    steps = run_steps(session, scarce, toy, loss=ScarceMemory(toy, 1, error), note=notes.append)
    assert [s.loss for s in steps] == pytest.approx([s.loss for s in expected], rel=1e-10)
    assert torch.allclose(plain.layer.weight, scarce.layer.weight, **EXACT)
    assert steps[0].micro_batch_tokens < expected[0].micro_batch_tokens
    assert notes[0].startswith("step 1: out of memory with micro-batches of 12 tokens; continuing with 6")


def test_an_example_that_does_not_fit_into_memory_is_an_error(
    session: Any, make_model: Any, toy: Any
) -> None:
    model = make_model()
    before = model.layer.weight.clone()
    with pytest.raises(TrainingError, match=r"T02.*a single example does not fit"):
        run_steps(session, model, toy, loss=ScarceMemory(toy, 0))
    assert torch.equal(before, model.layer.weight)


def test_other_errors_of_the_loss_are_raised_unchanged(session: Any, make_model: Any, toy: Any) -> None:
    def broken(model: Any, batch: Any) -> Any:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run_steps(session, make_model(), toy, loss=broken)


def test_a_step_without_tokens_to_learn_is_an_error(session: Any, make_model: Any, toy: Any) -> None:
    def nothing(model: Any, batch: Any) -> Any:
        return toy.loss(model, batch)[0] * 0, torch.tensor(0.0)

    with pytest.raises(TrainingError, match="T03"):
        run_steps(session, make_model(), toy, loss=nothing)


def test_a_gradient_that_is_not_finite_is_an_error(session: Any, make_model: Any, toy: Any) -> None:
    def loss(model: Any, batch: Any) -> Any:
        summed, count = toy.loss(model, batch)
        zero = model.layer.weight.flatten()[0] * 0
        return summed + torch.sqrt(zero) * 1.0, count  # finite value, infinite gradient at zero

    with pytest.raises(TrainingError, match="gradient's norm is"):
        run_steps(session, make_model(), toy, loss=loss)


def test_dropout_is_a_function_of_the_step(session: Any, make_model: Any, toy: Any) -> None:
    whole = [step.loss for step in run_steps(session, make_model(), toy)]
    model = make_model()
    optimizer = build_adamw(model, 0.0)
    first = [step.loss for step in run_steps(session, model, toy, total=3, optimizer=optimizer)]
    torch.rand(17)  # other code draws random numbers in between
    rest = [step.loss for step in run_steps(session, model, toy, done=3, optimizer=optimizer)]
    assert first + rest == whole
    other = make_model()
    torch.manual_seed(99)
    assert [step.loss for step in run_steps(session, other, toy)] == whole


def test_the_learning_rate_follows_the_schedule(session: Any, make_model: Any, toy: Any) -> None:
    schedule = Schedule(1e-2, 6, 2, "linear")
    rates = [step.learning_rate for step in run_steps(session, make_model(), toy, schedule=schedule)]
    assert np.allclose(rates, [0.005, 0.01, 0.01, 0.0075, 0.005, 0.0025])
