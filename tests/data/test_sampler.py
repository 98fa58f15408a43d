"""The order of the examples is a pure function of (seed, epoch)."""

from __future__ import annotations

import numpy as np

from llmkit.data.sampler import derive_example_seeds, plan_steps, shuffle_epoch, steps_per_epoch


def test_each_epoch_contains_every_example_once() -> None:
    plan = list(plan_steps(23, 5, 1, total=10))
    assert steps_per_epoch(23, 5) == 5
    for epoch in range(2):
        seen = np.concatenate([step.indices for step in plan if step.epoch == epoch])
        assert sorted(seen.tolist()) == list(range(23))
    assert [len(step.indices) for step in plan[:5]] == [5, 5, 5, 5, 3]


def test_a_resumed_plan_equals_the_rest_of_the_whole_plan() -> None:
    whole = [(step.step, step.epoch, step.indices.tolist()) for step in plan_steps(23, 5, 1, total=12)]
    for done in range(12):
        resumed = [
            (step.step, step.epoch, step.indices.tolist())
            for step in plan_steps(23, 5, 1, total=12, done=done)
        ]
        assert resumed == whole[done:]


def test_the_order_differs_between_epochs_and_seeds() -> None:
    assert not np.array_equal(shuffle_epoch(50, 1, 0), shuffle_epoch(50, 1, 1))
    assert not np.array_equal(shuffle_epoch(50, 1, 0), shuffle_epoch(50, 2, 0))
    assert np.array_equal(shuffle_epoch(50, 1, 0), shuffle_epoch(50, 1, 0))


def test_example_seeds_differ_by_epoch_and_seed_but_not_in_evaluation() -> None:
    rows = np.arange(4)
    training = {tuple(derive_example_seeds(seed, epoch, rows)) for seed in (1, 2) for epoch in (0, 1)}
    evaluation = {tuple(derive_example_seeds(seed, None, rows)) for seed in (1, 2)}
    assert (len(training), len(evaluation)) == (4, 1)
    assert derive_example_seeds(1, 0, rows[2:]).tolist() == derive_example_seeds(1, 0, rows)[2:].tolist()
    assert not training & evaluation
