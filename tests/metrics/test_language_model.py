"""Perplexity and its kin, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmkit.metrics import language_model


def test_scores_are_those_of_the_sums() -> None:
    found = language_model.of_sums(np.array([2.0, 4.0]), np.array([3, 1]), np.array([8, 4]), np.array([1, 1]))
    assert found.values() == pytest.approx(
        {"loss": 1.5, "perplexity": math.exp(1.5), "bits_per_byte": 0.5 / math.log(2), "token_accuracy": 0.5}
    )


def test_without_hits_there_is_no_accuracy() -> None:
    found = language_model.of_sums(np.array([2.0]), np.array([3]), np.array([8]))
    assert list(found.values()) == ["loss", "perplexity", "bits_per_byte"]


def test_less_is_better_but_of_accuracy() -> None:
    ones = np.ones(1)
    found = language_model.of_sums(ones, ones.astype(int), ones.astype(int), ones.astype(int))
    assert [metric.higher_is_better for metric in found.metrics] == [False, False, False, True]
