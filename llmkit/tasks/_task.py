"""What a task is. A new task is one module beside this one that keeps the protocol; the rest of llmkit needs no change.

Everything a task's functions return is per example and small, so that scores, intervals, paired tests, slices and
several processes come for free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from llmkit.data.corpus import Corpus
from llmkit.data.encode import Features
from llmkit.metrics.paired import Difference
from llmkit.metrics.score import Score
from llmkit.recipe.schema import Data, Evaluate

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Arrays", "Examples", "Sheet", "Task"]

Arrays = Mapping[str, NDArray[Any]]  # each of shape (examples, ...), by example index


@dataclass(frozen=True)
class Examples:
    """Rows that passed the task's checks, split in parts, with what the model should answer."""

    corpus: Corpus
    labels: tuple[str, ...]  # class names by number; empty for tasks without classes
    golds: Mapping[str, Arrays]  # part -> columns that the loss and the scores need
    notes: tuple[str, ...] = ()  # counted and said: rows dropped, splits made, near duplicates
    near_duplicates: Mapping[str, NDArray[np.int64]] = field(
        default_factory=dict
    )  # part -> rows like training rows


@dataclass(frozen=True)
class Sheet:
    """The scores of one set of predictions, and the details that only the report shows (JSON values)."""

    scores: dict[str, Score]
    headline: tuple[str, ...]
    details: dict[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """The parts of a task. `options` is always an instance of `Options`."""

    Options: type[BaseModel]
    """The recipe's task section beside `name`."""
    auto_class: str
    """Name of the transformers class with the right head."""
    columns: Mapping[str, str]
    """Columns that the task reads, with their usual names in files."""
    metrics: Sequence[str]
    """Names of its scores, beside `loss`."""

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        """Find the data's faults before any weights are loaded, and fill in missing splits. Raises DataError.

        labels are those of a trained model that is to be scored on this corpus, which then is not split.
        """
        ...

    def encode(
        self, rows: Mapping[str, Sequence[Any]], tokenizer: Any, *, max_length: int, truncation: bool
    ) -> Features:
        """Token ids of some rows."""
        ...

    def loss(
        self, options: Any, golds: Arrays, classes: int
    ) -> Callable[[nn.Module, dict[str, Tensor]], tuple[Tensor, Tensor]]:
        """The function (model, batch) -> (summed loss, count), golds being those of the training part."""
        ...

    def decode(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """A few numbers for each example of the batch, never its logits over a large vocabulary."""
        ...

    def values(self, golds: Arrays, outputs: Arrays, classes: int) -> dict[str, float]:
        """The scores without intervals: what validation watches."""
        ...

    def score(
        self, golds: Arrays, outputs: Arrays, labels: Sequence[str], *, evaluate: Evaluate, seed: int
    ) -> Sheet:
        """The scores with intervals. Raises UserError E01 for a metric the task doesn't know."""
        ...

    def baselines(self, examples: Examples, part: str, seed: int) -> dict[str, Arrays]:
        """What simple methods, trained on the same rows, would answer: name -> outputs."""
        ...

    def difference(
        self,
        golds: Arrays,
        first: Arrays,
        second: Arrays,
        metric: str,
        labels: Sequence[str],
        *,
        evaluate: Evaluate,
        seed: int,
    ) -> Difference:
        """first minus second on the same examples, paired."""
        ...

    def records(
        self,
        rows: Mapping[str, Sequence[Any]],
        outputs: Arrays,
        labels: Sequence[str],
        golds: Arrays | None = None,
    ) -> Iterator[dict[str, Any]]:
        """One JSON object an example, for predictions/*.jsonl and (without golds) for `predict`."""
        ...

    def from_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        """(golds, outputs) that gave these records, as far as `difference` needs them."""
        ...

    def worst(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The most instructive mistakes among these records, worst first."""
        ...
