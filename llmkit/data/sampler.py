"""The order of the training examples: a pure function of (seed, epoch).

Step k of an epoch takes places k*G to (k+1)*G of that epoch's permutation, G being the recipe's batch size. Nothing
is drawn from a running generator, so a resume at any update costs nothing and every process computes the same plan.
The last update of an epoch holds what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmkit.base.seeds import derive

__all__ = ["PlannedStep", "derive_example_seeds", "plan_steps", "shuffle_epoch", "steps_per_epoch"]


@dataclass(frozen=True)
class PlannedStep:
    """The examples of one optimizer update. step counts from 1 over the whole run, epoch from 0."""

    step: int
    epoch: int
    indices: NDArray[np.int64]


def steps_per_epoch(examples: int, batch_size: int) -> int:
    return -(-examples // batch_size)


def shuffle_epoch(examples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation of this epoch."""
    return np.random.default_rng(derive(seed, "order", epoch)).permutation(examples)


def derive_example_seeds(seed: int, epoch: int | None, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """A random number of each of these examples in this epoch, in [0, 2**63).

    epoch None: in every evaluation, whatever the seed, so that two runs are scored on the same.
    """
    seed, when = (0, "evaluation") if epoch is None else (seed, epoch)
    return np.array([derive(seed, "example", when, int(index)) for index in indices], np.int64)


def plan_steps(
    examples: int, batch_size: int, seed: int, *, total: int, done: int = 0
) -> Iterator[PlannedStep]:
    """Updates done+1 to total."""
    per_epoch = steps_per_epoch(examples, batch_size)
    epoch, permutation = -1, np.empty(0, np.int64)
    for number in range(done, total):
        if number // per_epoch != epoch:
            epoch = number // per_epoch
            permutation = shuffle_epoch(examples, seed, epoch)
        first = number % per_epoch * batch_size
        yield PlannedStep(number + 1, epoch, permutation[first : first + batch_size])
