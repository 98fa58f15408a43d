"""Summed losses agree with plain loops and with torch's mean reduction."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from llmkit.engine import losses

doubles = partial(torch.tensor, dtype=torch.float64)
drawn = partial(torch.randn, dtype=torch.float64)


def test_classification_loss_equals_that_of_a_plain_loop() -> None:
    logits = doubles([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    labels = torch.tensor([0, 1])
    summed, count = losses.classification(logits, labels)
    expected = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        expected += math.log(sum(math.exp(value) for value in row)) - row[label]
    assert summed.item() == pytest.approx(expected, rel=1e-12)
    assert count.item() == 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_classification_loss_equals_torch(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, labels, weights = drawn(9, 3), torch.randint(0, 3, (9,)), doubles([0.5, 1.0, 3.0])
    summed, count = losses.classification(logits, labels, weights_C=weights, label_smoothing=smoothing)
    theirs = torch.nn.functional.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing)
    assert (summed / count).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_without_class_weights_the_count_is_the_number_of_examples() -> None:
    torch.manual_seed(0)
    logits, labels = drawn(9, 3), torch.randint(0, 3, (9,))
    summed, count = losses.classification(logits, labels, label_smoothing=0.1)
    assert count.item() == 9
    theirs = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert (summed / count).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_squared_errors_are_summed() -> None:
    summed, count = losses.squared_error(torch.tensor([1.0, 4.0, -1.0]), torch.tensor([0.0, 2.0, -1.0]))
    assert (summed.item(), count.item()) == (5.0, 3.0)
    torch.manual_seed(0)
    predictions, labels = drawn(9), drawn(9)
    summed, count = losses.squared_error(predictions, labels)
    assert (summed / count).item() == pytest.approx(
        functional.mse_loss(predictions, labels).item(), rel=1e-12
    )


def test_multi_label_loss_counts_every_label_of_every_example_once() -> None:
    torch.manual_seed(0)
    logits, labels = drawn(7, 4), (torch.rand(7, 4) < 0.3).double()
    summed, count = losses.multi_label(logits, labels)
    assert count.item() == 28
    theirs = functional.binary_cross_entropy_with_logits(logits, labels)
    assert (summed / count).item() == pytest.approx(theirs.item(), rel=1e-12)
    right = losses.multi_label(torch.tensor([[50.0, -50.0]]), torch.tensor([[1.0, 0.0]]))[0]
    wrong = losses.multi_label(torch.tensor([[50.0, -50.0]]), torch.tensor([[0.0, 1.0]]))[0]
    assert (right.item(), wrong.item()) == (pytest.approx(0, abs=1e-6), pytest.approx(100))


def test_tokens_without_a_label_do_not_contribute() -> None:
    torch.manual_seed(0)
    logits, labels = drawn(3, 5, 4), torch.randint(0, 4, (3, 5))
    labels[0, :2] = labels[2, 3:] = -100
    summed, count = losses.tokens(logits, labels)
    assert count.item() == 11
    theirs = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert (summed / count).item() == pytest.approx(theirs.item(), rel=1e-12)
    other = logits.clone()
    other[0, :2] += 100
    assert torch.equal(losses.tokens(other, labels)[0], summed)


def test_a_batch_without_labels_adds_zero() -> None:
    """A mean would be NaN."""
    summed, count = losses.tokens(drawn(2, 3, 4), torch.full((2, 3), -100))
    assert (summed.item(), count.item()) == (0.0, 0.0)


def test_span_loss_is_the_mean_of_both_ends() -> None:
    """The sum divided by the number of windows equals the loss of BertForQuestionAnswering."""
    torch.manual_seed(0)
    start, end = drawn(6, 8), drawn(6, 8)
    starts, ends = torch.randint(0, 8, (6,)), torch.randint(0, 8, (6,))
    summed, count = losses.span(start, end, starts, ends)
    theirs = (functional.cross_entropy(start, starts) + functional.cross_entropy(end, ends)) / 2
    assert count.item() == 6
    assert (summed / count).item() == pytest.approx(theirs.item(), rel=1e-12)


LOGITS, LABELS = drawn(12, 3, generator=torch.Generator().manual_seed(1)), torch.eye(3).repeat(4, 1)
CASES = {
    "classification": lambda rows: losses.classification(LOGITS[rows], torch.arange(12)[rows] % 3),
    "weighted": lambda rows: losses.classification(
        LOGITS[rows],
        torch.arange(12)[rows] % 3,
        weights_C=doubles([0.1, 1.0, 5.0]),
        label_smoothing=0.1,
    ),
    "squared_error": lambda rows: losses.squared_error(LOGITS[rows, 0], LOGITS[rows, 1]),
    "multi_label": lambda rows: losses.multi_label(LOGITS[rows], LABELS[rows]),
    "tokens": lambda rows: losses.tokens(
        LOGITS[rows][:, None].repeat(1, 2, 1),
        torch.stack([torch.arange(12) % 3, torch.full((12,), -100)], 1)[rows],
    ),
    "span": lambda rows: losses.span(
        LOGITS[rows], LOGITS[rows] * 2, torch.arange(12)[rows] % 3, torch.arange(12)[rows] % 2
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_sums_and_counts_of_slices_add_up_to_those_of_the_batch(
    case: Callable[[slice], tuple[Tensor, Tensor]],
) -> None:
    whole, count = case(slice(None))
    parts = [case(slice(start, stop)) for start, stop in ((0, 1), (1, 8), (8, 12))]
    assert sum(part.item() for part, _ in parts) == pytest.approx(whole.item(), rel=1e-12)
    assert sum(part.item() for _, part in parts) == pytest.approx(count.item(), rel=1e-12)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_bf16_logits_are_summed_in_float32(
    case: Callable[[slice], tuple[Tensor, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded = LOGITS.bfloat16()
    monkeypatch.setitem(globals(), "LOGITS", rounded)
    loss = case(slice(None))[0]
    monkeypatch.setitem(globals(), "LOGITS", rounded.float())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(case(slice(None))[0].item(), rel=1e-6)
