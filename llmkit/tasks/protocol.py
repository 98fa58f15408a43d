"""What a task is. A new task is one module beside this one that keeps the protocol; the rest of llmkit needs no change.

The way of an example, with the member that takes each step:

    row --check--> row and gold --encode--> windows of token ids --decode--> outputs by window
        --answers--> answers by example --score--> scores with intervals;  --records--> predictions/*.jsonl

Most tasks have one window an example; a sentence or a text longer than max_length may need several. Everything from
`decode` on is small, so that scores, intervals, paired tests, slices and several processes come for free.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from llmkit.data.corpus import Corpus
from llmkit.data.encoding.features import Encoded, Features
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Score
from llmkit.recipe.schema import Data

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "Arrays",
    "Baseline",
    "BaselineInputs",
    "Examples",
    "Head",
    "Loss",
    "Plain",
    "Rows",
    "ScoreSheet",
    "Task",
    "TaskSpec",
    "model_inputs",
    "same_names",
    "take",
]

Arrays = Mapping[
    str, NDArray[Any]
]  # each of shape (examples, ...), by example index; object arrays hold lists
Rows = Mapping[str, Sequence[Any]]  # columns of some rows, by the task's names
Loss = Callable[["nn.Module", "dict[str, Tensor]"], "tuple[Tensor, Tensor]"]

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Examples:
    """Rows that passed the task's checks, split in parts, with what the model should answer."""

    corpus: Corpus
    labels: tuple[str, ...]  # class names by number; empty for tasks without classes
    references: Mapping[str, Arrays]  # part -> what the loss and the scores need
    notes: tuple[str, ...] = ()  # counted and said: rows dropped, splits made, near duplicates
    near_duplicates: Mapping[str, NDArray[np.int64]] = field(
        default_factory=dict
    )  # split -> rows like training rows
    label_counts: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict
    )  # split -> how often each class (entity type, ...) occurs


@dataclass(frozen=True)
class ScoreSheet:
    """Scores of one set of predictions."""

    scores: dict[str, Score]
    """Scores by metric."""
    headline: tuple[str, ...] = ()
    """Metrics to show first."""
    details: dict[str, Any] = field(default_factory=dict)
    """What only the report shows, such as the scores of each class (JSON values)."""

    @classmethod
    def of_values(cls, values: Mapping[str, float], predictions: Arrays) -> Self:
        """Make a sheet of scores without intervals."""
        n = len(next(iter(predictions.values())))
        return cls({name: Score(value, None, None, n, "") for name, value in values.items()})

    @property
    def values(self) -> dict[str, float]:
        """The values of the scores by metric."""
        return {name: score.value for name, score in self.scores.items()}


@dataclass(frozen=True)
class BaselineInputs:
    """What a baseline learns from, and what it predicts."""

    examples: Examples
    """All splits; of very large data a sample of the training set."""
    split: str
    """The split to predict."""
    seed: int
    embeddings: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """The base model's embeddings of the training set and of the split, (examples, D) each."""

    @property
    def train_references(self) -> Arrays:
        """References of the training set."""
        return self.examples.references["train"]

    def rows(self, split: str) -> Rows:
        """Columns of a split."""
        return self.examples.corpus.splits[split].columns


@dataclass(frozen=True)
class Baseline:
    """A simpler system that the model is compared with."""

    title: str
    """What a sentence calls it: "The model is better than TITLE by ..."."""
    needs: Literal["examples", "embeddings", "base_model", "lstm"]
    """What it predicts with: the examples alone, the base model's embeddings, the base model itself, or an LSTM."""
    predict: Callable[[BaselineInputs], Arrays] | None = None
    """None where a neural model predicts."""
    needs_validation: bool = False
    """Whether it needs embeddings of the validation set too."""


@dataclass(frozen=True)
class TaskSpec:
    """Fixed facts about a task, which depend on its options and on the checkpoint, never on the data."""

    auto_class: str
    """Name of the transformers class with the right head."""
    columns: Mapping[str, str]
    """Columns that every row must have, each with its default name in the user's files."""
    inputs: Sequence[str]
    """Columns that a prediction needs: what `predict` takes for each example."""
    identity: Sequence[str]
    """Fields of a prediction record that identify its example; `compare` pairs two runs by them."""
    metrics: Sequence[str]
    """Names of the metrics, without `loss`, which every task has."""
    lower_is_better: Collection[str] = frozenset({"loss"})
    """Metrics of which a lower value is better."""
    optional_columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that are read if they exist."""
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    """Baselines by name, in the order in which they are shown."""
    special_tokens: Sequence[str] = ()
    """Tokens that are added to the vocabulary."""
    can_tune: bool = False
    """Whether `tune` sets anything on the validation set."""
    pretrained: bool = False
    """Whether the base model can predict before fine-tuning. It is then a baseline."""
    needs_adapter: bool = False
    """Whether training needs an adapter that stays separate from the base model (model.lora with merge: false)."""
    keeps_line_breaks: bool = False
    """Whether line breaks are part of a prediction, as in a program."""
    max_new_tokens: int = 0
    """Most tokens that `decode` generates per example, over all beams; 0 if it generates no text."""
    validation_metrics: Collection[str] = ()
    """Metrics that need no generated text. Validation generates none if the best model is chosen by one of them."""
    can_calibrate: bool = False
    """Whether probabilities can be calibrated, with a temperature that `tune` found."""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """What `tune` found and what the checkpoint fixes (JSON values). Saved in the model card."""


@dataclass(frozen=True)
class Head:
    """What a task needs of the model's head."""

    config: dict[str, Any]
    """Entries of the checkpoint's config: num_labels, id2label, label2id, problem_type."""
    bias: Sequence[float] | None = None
    """Initial bias of a new head, one number per output; None for 0."""


class Task(Protocol):
    """The parts of a task; an object of it knows the recipe's options and never changes."""

    @property
    def spec(self) -> TaskSpec:
        """Fixed facts about the task, as far as its options and the checkpoint are known."""
        ...

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        """Find the data's faults before any weights are loaded, and fill in missing splits. Raises DataError.

        labels are those of a trained model that is to be scored on this corpus, which then is not split.
        """
        ...

    def bind(self, config: Mapping[str, Any], tokenizer: Any) -> Task:
        """The task knowing the checkpoint that it works with: its config.json and its tokenizer."""
        ...

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        """Describe the head that the model needs.

        Args:
            labels: Class names by number.
            golds: Those of the training set. Without them the head has no initial bias.
        """
        ...

    def encode(
        self,
        rows: Rows,
        references: Arrays,
        tokenizer: Any,
        *,
        max_length: int,
        truncation: bool,
        training: bool = False,
    ) -> Features:
        """Token ids of some rows. golds are those of the same rows; empty for `predict`.

        training: to learn from these rows, not to be scored on them.
        """
        ...

    def augment(self, batch: dict[str, Tensor], draws: NDArray[np.int64]) -> dict[str, Tensor]:
        """The batch with what differs from epoch to epoch (masks). draws (B,): a random number of each example."""
        ...

    def loss(self, references: Arrays, classes: int) -> Loss:
        """The function (model, batch) -> (summed loss, count), golds being those of the training part."""
        ...

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Run the model on a batch and return a few numbers for each window, never logits over a large vocabulary.

        Args:
            model: The model under the task's head.
            batch: Columns of the windows, (B, ...) each.
            validating: Return only what `spec.validation_metrics` need, and generate no text.
        """
        ...

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """The answer to each example, from what `decode` said of its windows."""
        ...

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        """What can be set once training is over (thresholds, a temperature), from the validation rows; JSON values."""
        ...

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        """Score the predictions.

        Args:
            golds: What is correct.
            answers: What the model predicts for the same examples.
            labels: Class names by number.
            resampling: Settings of the confidence intervals; None for values alone, as during validation.
            metrics: Metrics that the user asked for, which are shown first.
        """
        ...

    def difference(
        self,
        references: Arrays,
        first: Arrays,
        second: Arrays,
        metric: str,
        labels: Sequence[str],
        *,
        resampling: Resampling,
    ) -> Difference:
        """first minus second on the same examples, paired."""
        ...

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_] | None:
        """Which examples are answered rightly as a whole; None where an answer is only more or less right."""
        ...

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        """One JSON object an example, for predictions/*.jsonl and (without golds) for `predict`.

        `prediction` and `probability` are always there.
        """
        ...

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        """(golds, answers) that gave these records, as far as `difference` and `right` need them."""
        ...

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The most instructive mistakes among these records, worst first."""
        ...

    def beginnings(self, rows: Rows) -> Sequence[tuple[list[int], int]]:
        """Where free writing is the point: some (token ids, tokens to write) for the report's samples; else none."""
        ...


class Plain:
    """What most tasks leave as it is."""

    def bind(self, config: Mapping[str, Any], tokenizer: Any) -> Self:
        return self

    def augment(self, batch: dict[str, Tensor], draws: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def beginnings(self, rows: Rows) -> Sequence[tuple[list[int], int]]:
        return []


def same_names(*columns: str) -> dict[str, str]:
    """Columns whose default name in files is the task's own name."""
    return {name: name for name in columns}


def model_inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a model's forward takes, without the labels: its own loss is never used."""
    return {name: batch[name] for name in MODEL_INPUTS if name in batch}


def take(arrays: Arrays, index: NDArray[np.int64]) -> Arrays:
    """Golds or answers of these examples alone."""
    return {name: values[index] for name, values in arrays.items()}
