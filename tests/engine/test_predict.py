"""Predictions come back by example index, each once, whatever the batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from llmkit.engine.predict import _in_order, predict


@pytest.mark.parametrize("budget", [1, 12, 10_000])
def test_outputs_stand_in_the_order_of_the_examples(
    session: Any, make_model: Any, toy: Any, budget: int
) -> None:
    model = make_model()
    outputs = predict(session, model, replace(toy.batches, budget=budget), toy.decode)
    assert np.array_equal(outputs["values"], toy.values.numpy())
    with torch.no_grad():
        assert np.array_equal(outputs["prediction"], model.eval()(toy.values).argmax(-1).numpy())


def test_dropout_is_off(session: Any, make_model: Any, toy: Any) -> None:
    model = make_model().train()
    first = predict(session, model, toy.batches, lambda m, b: {"logits": m(b["values"])})
    second = predict(session, model, toy.batches, lambda m, b: {"logits": m(b["values"])})
    assert np.array_equal(first["logits"], second["logits"])


def test_progress_counts_up_to_all_examples(session: Any, make_model: Any, toy: Any) -> None:
    heard: list[tuple[int, int]] = []
    predict(
        session, make_model(), toy.batches, toy.decode, done=lambda done, total: heard.append((done, total))
    )
    assert heard[-1] == (24, 24)


@pytest.mark.parametrize("indices", [[0, 1, 1], [0, 1]])
def test_a_double_or_missing_example_is_noticed(indices: list[int]) -> None:
    with pytest.raises(AssertionError, match="missing or came twice"):
        _in_order([(np.array(indices), {"x": np.zeros(len(indices))})], 3)
