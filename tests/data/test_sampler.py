"""The order is a pure function of (seed, epoch)."""

from __future__ import annotations

import numpy as np

from llmkit.data.sampler import derive_example_seeds, plan_steps, shuffle_epoch, steps_per_epoch


def test_each_epoch_holds_every_example_once() -> None:
    plan = list(plan_steps(23, 5, 1, total=10))
    assert steps_per_epoch(23, 5) == 5
    for epoch in range(2):
        seen = np.concatenate([update.indices for update in plan if update.epoch == epoch])
        assert sorted(seen.tolist()) == list(range(23))
    assert [len(update.indices) for update in plan[:5]] == [5, 5, 5, 5, 3]


def test_the_rest_of_a_plan_is_the_plan_of_the_rest() -> None:
    whole = [(u.step, u.epoch, u.indices.tolist()) for u in plan_steps(23, 5, 1, total=12)]
    for done in range(12):
        rest = [(u.step, u.epoch, u.indices.tolist()) for u in plan_steps(23, 5, 1, total=12, done=done)]
        assert rest == whole[done:]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    assert not np.array_equal(shuffle_epoch(50, 1, 0), shuffle_epoch(50, 1, 1))
    assert not np.array_equal(shuffle_epoch(50, 1, 0), shuffle_epoch(50, 2, 0))
    assert np.array_equal(shuffle_epoch(50, 1, 0), shuffle_epoch(50, 1, 0))


def test_draws_differ_by_epoch_and_seed_but_in_evaluation_they_are_the_same_for_all() -> None:
    rows = np.arange(4)
    trained = {tuple(derive_example_seeds(seed, epoch, rows)) for seed in (1, 2) for epoch in (0, 1)}
    scored = {tuple(derive_example_seeds(seed, None, rows)) for seed in (1, 2)}
    assert (len(trained), len(scored)) == (4, 1)
    assert derive_example_seeds(1, 0, rows[2:]).tolist() == derive_example_seeds(1, 0, rows)[2:].tolist()
    assert not trained & scored
