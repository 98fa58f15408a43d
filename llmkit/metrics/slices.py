"""Where is a system weakest? The score of each slice of the examples, and how far it lies from that of the rest.

    groupings = {"domain": by_value(domains), "length": by_size(lengths)}
    compare(lambda index: measure(rows[index], [metric])[metric.name], groupings, len(rows))

A slice and the rest have no example in common, so their difference has the interval of two independent samples (see
`independent`), and its p-value goes with that interval. Who looks at forty slices finds two that are "significantly"
worse by luck alone: read `p_holm`, which is adjusted for all slices at once. Of a value that half of the examples have
the rest is the other half, told twice. Clusters (see `clusters`) that reach over a slice and the rest tie the two
together, which the intervals do not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from llmkit.metrics import independent, paired
from llmkit.metrics.score import Floats, Ints, Score

__all__ = ["Grouping", "Slice", "SliceComparison", "compare_slices", "group_by_quartile", "group_by_value"]

SMALLEST = 10  # examples of a slice, and of the rest
MOST = 20  # slices of a grouping, the largest
QUARTERS = 4

Grouping = Mapping[str, Ints]  # name of a slice -> the numbers of its examples
Measure = Callable[[Ints], Score | None]  # None where these examples have no such score


@dataclass(frozen=True)
class Slice:
    """The examples for which `grouping` is `value`: their score, that of all others, and slice minus rest."""

    grouping: str
    value: str
    score: Score
    rest: Score
    difference: independent.Difference
    p_value: float | None
    p_holm: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SliceComparison:
    """The slices, the worst first, and how many were too small (or too many of one grouping) to be judged."""

    slices: tuple[Slice, ...]
    left_out: int

    def to_json(self) -> dict[str, Any]:
        return {"slices": [found.to_json() for found in self.slices], "left_out": self.left_out}


def compare_slices(
    measure: Measure | Mapping[str, Measure],
    groupings: Mapping[str, Grouping],
    n: int,
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
) -> SliceComparison:
    """Every slice of n examples against the rest; slices below 10 examples, or with fewer left, are counted only.

    measure scores the examples of these numbers, with an interval of that confidence; a mapping has one of its own
    for each grouping. p_holm is adjusted over all slices; the one that falls behind the rest by most comes first.
    """
    judged: list[Slice] = []
    left_out = 0
    for name, grouping in groupings.items():
        own = measure[name] if isinstance(measure, Mapping) else measure
        largest = sorted(grouping.items(), key=lambda item: -len(item[1]))
        made = [_slice(own, name, value, index, n, confidence) for value, index in largest[:MOST]]
        judged += [one for one in made if one is not None]
        left_out += len(grouping) - sum(one is not None for one in made)
    sign = 1 if higher_is_better else -1
    return SliceComparison(
        tuple(sorted(_adjusted(judged), key=lambda one: sign * one.difference.value)), left_out
    )


def _slice(
    measure: Measure, grouping: str, value: str, index: Ints, n: int, confidence: float
) -> Slice | None:
    others = np.setdiff1d(np.arange(n), index)
    if min(len(index), len(others)) < SMALLEST:
        return None
    score, rest = measure(index), measure(others)
    if score is None or rest is None:
        return None
    difference = independent.difference(score, rest)
    p_value = independent.p_value(difference, confidence)
    return Slice(grouping, value, score, rest, difference, p_value, None)


def _adjusted(judged: Sequence[Slice]) -> list[Slice]:
    """With Holm's p-values; a slice without one is no test."""
    tested = [one.p_value for one in judged if one.p_value is not None]
    adjusted = iter(paired.holm(tested))
    return [one if one.p_value is None else replace(one, p_holm=next(adjusted)) for one in judged]


def group_by_value(values: Sequence[Any]) -> Grouping:
    """The examples of each value of a column (N,); numbers with more than 20 values by their size."""
    known = {value for value in values if _is_number(value)}
    if len(known) > MOST and all(value is None or _is_number(value) for value in values):
        return group_by_quartile([math.nan if value is None else float(value) for value in values])
    found: dict[str, list[int]] = {}
    for number, value in enumerate(values):
        found.setdefault("(none)" if value is None else str(value), []).append(number)
    return {name: np.array(numbers, np.int64) for name, numbers in found.items()}


def group_by_quartile(numbers: Sequence[float] | Floats) -> Grouping:
    """Quarters of the examples by a number (N,), named by their ends: "3 to 41". Equal numbers stay together."""
    sizes = np.asarray(numbers, np.float64)
    if not np.isfinite(sizes).any():
        return {}
    inner = np.quantile(sizes[np.isfinite(sizes)], np.arange(1, QUARTERS) / QUARTERS)
    quarter = np.where(np.isfinite(sizes), np.searchsorted(inner, sizes, side="left"), QUARTERS)
    found: dict[str, Ints] = {}
    for number in np.unique(quarter):
        index = np.flatnonzero(quarter == number)
        found["(none)" if number == QUARTERS else _ends(sizes[index])] = index
    return found


def _ends(sizes: Floats) -> str:
    low, high = (f"{end:g}" for end in (sizes.min(), sizes.max()))
    return low if low == high else f"{low} to {high}"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
