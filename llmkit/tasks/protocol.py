"""The interface of a task, and the values that pass through it.

A new task is one module beside this one whose class has the members of `Task`; nothing else in llmkit changes. An
example takes this way through the members:

    row --check--> row and reference --encode--> windows of token ids --decode--> outputs by window
        --predictions--> predictions by example --score--> scores with intervals;  --records--> predictions/*.jsonl

Most tasks have one window per example; a text longer than max_length may need several. Everything from `decode` on is
small, so intervals, paired tests, slices and distributed evaluation need no support from the task.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from llmkit.data.corpus import Corpus
from llmkit.data.encoding.features import Encoded, Features
from llmkit.data.reading.row_forms import RecognizeForm
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Score
from llmkit.recipe.schema import Data
from llmkit.report.wording import Wording

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "MAX_ERRORS",
    "Arrays",
    "Baseline",
    "BaselineInputs",
    "Examples",
    "Head",
    "Loss",
    "Record",
    "Rows",
    "ScoreSheet",
    "Task",
    "TaskData",
    "TaskEvaluation",
    "TaskModel",
    "TaskSpec",
    "model_inputs",
    "same_names",
    "take",
]

Arrays = Mapping[str, NDArray[Any]]  # (examples, ...) each, by example index; object arrays hold lists
Rows = Mapping[str, Sequence[Any]]  # columns of some rows, under the task's names
Record = dict[str, Any]  # one prediction as a JSON object
Loss = Callable[["nn.Module", "dict[str, Tensor]"], "tuple[Tensor, Tensor]"]  # (model, batch) -> (sum, count)

MAX_ERRORS = 20  # records that the report shows of `worst_errors`
MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Examples:
    """Rows that passed the task's checks, by split, and what is correct for them."""

    corpus: Corpus
    labels: tuple[str, ...]
    """Class names by number; empty for tasks without classes."""
    references: Mapping[str, Arrays]
    """By split: what the loss and the scores need."""
    notes: tuple[str, ...] = ()
    """What the checks did and found: rows dropped, splits made, near-duplicates."""
    near_duplicates: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """By split: rows that nearly repeat a row of an earlier split."""
    label_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By split: how often each class (entity type, ...) occurs."""


@dataclass(frozen=True)
class Head:
    """What a task needs of the model's head."""

    config: dict[str, Any]
    """Entries of the model's config: num_labels, id2label, label2id, problem_type."""
    bias: Sequence[float] | None = None
    """Initial bias of a new head, one number per output; None for 0."""


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
    def from_values(cls, values: Mapping[str, float], predictions: Arrays) -> Self:
        """Make a sheet of scores without intervals."""
        size = len(next(iter(predictions.values())))
        return cls({name: Score(value, None, None, size, "") for name, value in values.items()})

    @property
    def values(self) -> dict[str, float]:
        """Values of the scores by metric."""
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
    """Facts about a task, which depend on its options and the base model, never on the data."""

    auto_class: str
    """Name of the transformers class with the right head."""
    columns: Mapping[str, str]
    """Columns that every row must have, each with its default name in the user's files."""
    inputs: Sequence[str]
    """Columns that a prediction needs: what `predict` takes for each example."""
    identity: Sequence[str]
    """Fields of a record that identify its example; `compare` pairs the records of two runs by them."""
    metrics: Sequence[str]
    """Names of the metrics, without `loss`, which every task has."""
    wording: Wording
    """How the report and the model card speak of the task."""
    lower_is_better: Collection[str] = frozenset({"loss"})
    """Metrics of which a lower value is better."""
    optional_columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that are read if they exist."""
    recognize: RecognizeForm | None = None
    """Recognizes other forms of rows than `columns` describes; None when the task reads one form."""
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    """Baselines by name, in the order in which they are shown."""
    special_tokens: Sequence[str] = ()
    """Tokens that are added to the vocabulary."""
    can_tune: bool = False
    """Whether `tune` sets anything on the validation set."""
    pretrained: bool = False
    """Whether the base model can predict before fine-tuning. It is then a baseline."""
    shown_by_head: bool = True
    """Whether `predict` takes a model that llmkit has not trained for one of this task if its head fits."""
    needs_adapter: bool = False
    """Whether training needs an adapter that stays separate from the base model (model.lora with merge: false)."""
    keeps_line_breaks: bool = False
    """Whether line breaks are part of a prediction, as in a program."""
    writes_samples: bool = False
    """Whether the report shows texts that the model generates from the beginnings of some examples."""
    max_new_tokens: int = 0
    """Most tokens that `decode` generates per example, over all beams; 0 if it generates no text."""
    validation_metrics: Collection[str] = ()
    """Metrics that need no generated text. Validation generates none if the best model is chosen by one of them."""
    can_calibrate: bool = False
    """Whether probabilities can be calibrated, with a temperature that `tune` found."""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """What `tune` found and what the base model fixes (JSON values). Saved in the model card."""


class TaskData(Protocol):
    """From rows to examples to token ids, and from predictions to records."""

    @property
    def spec(self) -> TaskSpec:
        """Facts about the task, as far as its options and the base model are known."""
        ...

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        """Find all errors in the data before any weights are loaded, and make missing splits.

        Args:
            corpus: The rows, under the task's column names.
            data: The recipe's data section.
            seed: Seed of the splits.
            labels: Labels of a trained model that is evaluated on these rows; no splits are made then.

        Raises:
            DataError: With all errors.
        """
        ...

    def encode(
        self,
        rows: Rows,
        references: Arrays,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        truncation: bool,
        training: bool = False,
    ) -> Features:
        """Encode some rows as windows of token ids.

        Args:
            rows: Columns of the rows.
            references: What is correct for the same rows; empty for `predict`.
            tokenizer: The tokenizer of the model.
            max_length: Longest window, in tokens.
            truncation: Truncate longer texts; otherwise they are errors.
            training: Whether the model learns from these rows, rather than being evaluated on them.
        """
        ...

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield one record per example, for predictions/*.jsonl and, without references, for `predict`.

        Each has `prediction` and `probability`, which may be None.
        """
        ...

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        """Return the references and predictions behind records, as far as `difference` and `correct` need them."""
        ...


class TaskModel(Protocol):
    """What runs with the model: its head, its loss, and decoding."""

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task for one base model.

        Args:
            config: The model's config.json.
            tokenizer: Its tokenizer.

        Raises:
            ModelError: When the model does not fit the task.
        """
        ...

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        """Describe the head that the model needs.

        Args:
            labels: Class names by number.
            references: Those of the training set. Without them the head has no initial bias.
        """
        ...

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        """Apply what differs from epoch to epoch, such as masks.

        Args:
            batch: Columns of the windows, (B, ...) each.
            seeds: A random number per window, (B,).
        """
        ...

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        """Return the loss function, which sums over a batch and counts the targets.

        Args:
            references: Those of the training set, for class weights.
            num_classes: Number of labels.
        """
        ...

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Run the model on a batch and return a few numbers per window, never logits over a large vocabulary.

        Args:
            model: The model under the task's head.
            batch: Columns of the windows, (B, ...) each.
            validating: Return only what `spec.validation_metrics` need, and generate no text.
        """
        ...


class TaskEvaluation(Protocol):
    """From the model's outputs to predictions, scores and errors."""

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """Merge the outputs of windows into one prediction per example.

        Args:
            outputs: What `decode` returned, (windows, ...) each.
            encoded: The windows.
            rows: The rows that they come from.
            calibrated: Calibrate probabilities with the fitted temperature; see `spec.can_calibrate`.
        """
        ...

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        """Return settings that are fitted on the validation set after training, such as thresholds (JSON values)."""
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
        """Score predictions.

        Args:
            references: What is correct.
            predictions: What the model predicts for the same examples.
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
        """Return the score of the first predictions minus that of the second, paired by example."""
        ...

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_] | None:
        """Return which examples are predicted correctly; None where a prediction is only more or less good."""
        ...

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the most instructive errors among records, worst first, with the fields that the report shows."""
        ...


class Task(TaskData, TaskModel, TaskEvaluation, Protocol):
    """A task. An object of it holds the recipe's options and never changes."""


def same_names(*columns: str) -> dict[str, str]:
    """Return columns whose default name in files is the task's own name."""
    return {name: name for name in columns}


def model_inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what the model's forward takes, without labels: its own loss is never used."""
    return {name: batch[name] for name in MODEL_INPUTS if name in batch}


def take(arrays: Arrays, index: NDArray[np.int64]) -> Arrays:
    """Select references or predictions of some examples."""
    return {name: values[index] for name, values in arrays.items()}
