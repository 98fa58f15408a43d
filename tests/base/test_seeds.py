"""Derived seeds: reproducible, different for every use, and in the range that torch and numpy accept."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import torch

from llmkit.base.seeds import derive_seed


def test_derived_seeds_never_change() -> None:
    """A change would make every existing run irreproducible."""
    assert derive_seed(1, "order", 0) == 433034383059858670
    assert derive_seed(2**32 - 1) == 8936145058271613976


def test_derived_seed_does_not_depend_on_pythonhashseed() -> None:
    code = 'from llmkit.base.seeds import derive_seed; print(derive_seed(1, "order", 0))'
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("0", "1")
    }
    assert outputs == {f"{derive_seed(1, 'order', 0)}\n".encode()}


def test_derived_seeds_differ_between_uses() -> None:
    seeds = [
        derive_seed(seed, name, step)
        for seed in range(5)
        for name in ("order", "dropout")
        for step in range(200)
    ]
    assert len(set(seeds)) == len(seeds)
    assert derive_seed(1, "a", "b") != derive_seed(1, "ab") != derive_seed(1, "b", "a")
    assert derive_seed(1, 12) != derive_seed(11, 2)


def test_torch_and_numpy_accept_derived_seeds() -> None:
    for number in range(1000):
        seed = derive_seed(number, "head")
        assert 0 <= seed < 2**63
        torch.manual_seed(seed)
        np.random.default_rng(seed)


def test_derived_seeds_are_uniform_over_the_range() -> None:
    seeds = np.array([derive_seed(number, "x") for number in range(4000)], np.float64) / 2**63
    assert abs(seeds.mean() - 0.5) < 0.025  # five standard errors
    assert abs(seeds.std() - 12**-0.5) < 0.015
