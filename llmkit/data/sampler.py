"""Order the training examples as a pure function of (seed, epoch).

Step k of an epoch takes the positions k*B to (k+1)*B of that epoch's permutation, where B is the recipe's batch size.
No running generator is involved, so resuming at any step costs nothing and every process computes the same plan. The
last step of an epoch takes the examples that are left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmkit.base.seeds import derive_seed

__all__ = ["PlannedStep", "derive_example_seeds", "plan_steps", "shuffle_epoch", "steps_per_epoch"]


@dataclass(frozen=True)
class PlannedStep:
    """The examples of one optimizer step.

    Attributes:
        step: The number of the step in the whole run, from 1.
        epoch: The number of the epoch, from 0.
        indices: The indices of the examples, at most the batch size.
    """

    step: int
    epoch: int
    indices: NDArray[np.int64]


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Return the number of steps in an epoch, the last of which may be smaller."""
    return -(-examples // batch_size)


def shuffle_epoch(examples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the permutation of the examples for an epoch."""
    return np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(examples)


def derive_example_seeds(seed: int, epoch: int | None, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Derive a seed in [0, 2**63) for each of these examples in an epoch.

    With epoch None the seeds are those of every evaluation. They do not depend on `seed`, so that different runs are
    evaluated with the same random choices.
    """
    seed, when = (0, "evaluation") if epoch is None else (seed, epoch)
    return np.array([derive_seed(seed, "example", when, int(index)) for index in indices], np.int64)


def plan_steps(
    examples: int, batch_size: int, seed: int, *, total: int, done: int = 0
) -> Iterator[PlannedStep]:
    """Yield the steps done+1 to total of a run."""
    per_epoch = steps_per_epoch(examples, batch_size)
    epoch, permutation = -1, np.empty(0, np.int64)
    for number in range(done, total):
        if number // per_epoch != epoch:
            epoch = number // per_epoch
            permutation = shuffle_epoch(examples, seed, epoch)
        first = number % per_epoch * batch_size
        yield PlannedStep(number + 1, epoch, permutation[first : first + batch_size])
