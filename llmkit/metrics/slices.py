"""Find where a system is weakest: the score of each slice of the examples, compared with all other examples.

    groupings = {"domain": group_by_value(domains), "length": group_by_quartile(lengths)}
    compare_slices(lambda index: measure(rows[index], [metric])[metric.name], groupings, len(rows))

A slice and the other examples have nothing in common, so their difference has the interval of two independent samples
(see `independent`) and the p-value that belongs to it. Among forty slices, two are "significantly" worse by chance
alone: read `p_holm`, which is adjusted for all slices. If half of the examples have a value, the other examples are
the other half, and the two comparisons are the same. Clusters (see `clusters`) that extend over a slice and the other
examples make the two dependent, which the intervals do not take into account.
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

__all__ = [
    "Grouping",
    "Measure",
    "Slice",
    "SliceComparison",
    "compare_slices",
    "group_by_quartile",
    "group_by_value",
]

SMALLEST = 10  # fewest examples in a slice, and outside it
MOST = 20  # slices per grouping; the largest are compared
QUARTERS = 4

Grouping = Mapping[str, Ints]  # name of a slice -> the indices of its examples
Measure = Callable[
    [Ints], Score | None
]  # indices of examples -> their score; None if it is undefined for them


@dataclass(frozen=True)
class Slice:
    """The score of the examples for which `grouping` is `value`, compared with all other examples.

    Args:
        grouping: What the examples are grouped by, such as "length".
        value: The value of the grouping, such as "3 to 41".
        score: Score of the slice.
        rest: Score of all other examples.
        difference: Slice minus rest.
        p_value: Two-sided p-value of "there is no difference"; None without an interval.
        p_holm: The p-value adjusted for all slices that were compared.
    """

    grouping: str
    value: str
    score: Score
    rest: Score
    difference: independent.Difference
    p_value: float | None
    p_holm: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the slice as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class SliceComparison:
    """The slices, worst first, and the number of slices that were left out: too small, or too many in one grouping."""

    slices: tuple[Slice, ...]
    left_out: int

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return {"slices": [each.to_json() for each in self.slices], "left_out": self.left_out}


def compare_slices(
    measure: Measure | Mapping[str, Measure],
    groupings: Mapping[str, Grouping],
    n: int,
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
) -> SliceComparison:
    """Compare each slice of n examples with all other examples.

    Slices with fewer than 10 examples inside or outside, and all but the 20 largest slices of a grouping, are counted
    but not compared.

    Args:
        measure: Computes the score of some examples, with an interval of the given confidence. A mapping has one
            function per grouping.
        groupings: The slices of each grouping, by name.
        n: Number of examples.
        higher_is_better: Decides which slice comes first: the one that falls behind the others by most.
        confidence: Coverage of the intervals.

    Returns:
        The slices with differences, and p-values adjusted for all of them (Holm).
    """
    slices: list[Slice] = []
    left_out = 0
    for name, grouping in groupings.items():
        score_examples = measure[name] if isinstance(measure, Mapping) else measure
        largest = sorted(grouping.items(), key=lambda item: -len(item[1]))
        compared = [
            _compare_slice(score_examples, name, value, index, n, confidence)
            for value, index in largest[:MOST]
        ]
        slices += [each for each in compared if each is not None]
        left_out += len(grouping) - sum(each is not None for each in compared)
    adjusted = iter(paired.holm([each.p_value for each in slices if each.p_value is not None]))
    slices = [each if each.p_value is None else replace(each, p_holm=next(adjusted)) for each in slices]
    sign = 1 if higher_is_better else -1
    return SliceComparison(tuple(sorted(slices, key=lambda each: sign * each.difference.value)), left_out)


def _compare_slice(
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


def group_by_value(values: Sequence[Any]) -> Grouping:
    """Group examples by the value of a column (N,); numbers with more than 20 different values by quartile.

    Missing values (None) form the slice "(none)".
    """
    numbers = {value for value in values if _is_number(value)}
    if len(numbers) > MOST and all(value is None or _is_number(value) for value in values):
        return group_by_quartile([math.nan if value is None else float(value) for value in values])
    indices: dict[str, list[int]] = {}
    for index, value in enumerate(values):
        indices.setdefault("(none)" if value is None else str(value), []).append(index)
    return {name: np.array(index, np.int64) for name, index in indices.items()}


def group_by_quartile(numbers: Sequence[float] | Floats) -> Grouping:
    """Group examples into quarters by a number (N,), named by their range ("3 to 41"). Equal numbers stay together.

    Numbers that are not finite form the slice "(none)".
    """
    sizes = np.asarray(numbers, np.float64)
    if not np.isfinite(sizes).any():
        return {}
    inner = np.quantile(sizes[np.isfinite(sizes)], np.arange(1, QUARTERS) / QUARTERS)
    quarter = np.where(np.isfinite(sizes), np.searchsorted(inner, sizes, side="left"), QUARTERS)
    indices: dict[str, Ints] = {}
    for number in np.unique(quarter):
        index = np.flatnonzero(quarter == number)
        low, high = (f"{end:g}" for end in (sizes[index].min(), sizes[index].max()))
        name = low if low == high else f"{low} to {high}"
        indices["(none)" if number == QUARTERS else name] = index
    return indices


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
