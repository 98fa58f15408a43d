"""Score slices of the examples: by the values of a column, or by length, label, language and source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import ErrorDetail, RecipeError, raise_if, shorten_list, suggest
from llmkit.metrics.intervals import wilson_score
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Ints, Score
from llmkit.metrics.slices import Grouping, Measure, compare_slices, group_by_quartile, group_by_value
from llmkit.tasks.protocol import take
from llmkit.text.scripts import detect_script

if TYPE_CHECKING:
    from llmkit.data.corpus import Split
    from llmkit.tasks.protocol import Arrays, Task

__all__ = ["BUILT_IN", "EvaluatedSplit", "check_groupings", "score_slices"]

BUILT_IN = ("length", "label", "language", "source")
MAX_RESAMPLES = 500  # bootstrap resamples per slice: forty slices need eighty scores


@dataclass(frozen=True)
class EvaluatedSplit:
    """The rows of one split with their references and a model's predictions.

    Attributes:
        task: The task that scores the predictions.
        rows: The columns of the split's examples, with the file that each one comes from.
        references: What is correct, by example.
        predictions: What the model predicted, by example.
        labels: Class names in the order of the model's outputs.
    """

    task: Task
    rows: Split
    references: Arrays
    predictions: Arrays
    labels: Sequence[str]

    def group(self, name: str) -> Grouping:
        """Group the rows. A column of this name takes precedence: it may give the language or source more reliably."""
        if self.is_by_label(name):
            return group_by_value([self.labels[number] for number in self.references["labels"]])
        if name in self.rows.columns:
            return group_by_value(self.rows.columns[name])
        if name == "source":
            return group_by_value([self.rows.files[number] for number in self.rows.file_index])
        if name == "language":
            return group_by_value([detect_script(text) for text in self._join_texts()])
        if name == "length":
            return group_by_quartile([len(text) for text in self._join_texts()])
        return {}  # "label", for a task without labels

    def is_by_label(self, name: str) -> bool:
        """Whether to group by label, which needs one label per example."""
        return name == "label" and "accuracy" in self.task.spec.metrics

    def _join_texts(self) -> list[str]:
        """Join the inputs of each row into one text."""
        columns = self.rows.columns
        names = [name for name in self.task.spec.inputs if name in columns] or [
            next(iter(self.task.spec.columns))
        ]
        rows = zip(*(columns[name] for name in names), strict=True)
        return [
            " ".join(value if isinstance(value, str) else " ".join(map(str, value)) for value in row)
            for row in rows
        ]

    def make_scorer(self, metric: str, resampling: Resampling) -> Measure:
        """Return a function that scores the examples of an index. Accuracy needs no bootstrap."""
        task, references, predictions = self.task, self.references, self.predictions
        correct = task.correct(references, predictions) if metric == "accuracy" else None
        if correct is not None:
            return lambda index: wilson_score(int(correct[index].sum()), len(index), resampling.confidence)

        def score(index: Ints) -> Score | None:
            sheet = task.score(
                take(references, index),
                take(predictions, index),
                self.labels,
                resampling=resampling,
                metrics=(metric,),
            )
            return sheet.scores.get(metric)

        return score


def score_slices(
    evaluated: EvaluatedSplit, metric: str, names: Sequence[str] = (), *, resampling: Resampling
) -> dict[str, Any]:
    """Score the slices of some groupings and compare each slice with all other examples.

    Args:
        evaluated: Examples with references and predictions.
        metric: The metric. Slices by label use accuracy instead, because macro scores and correlations are meaningless
            within one label.
        names: Groupings: a column of the rows, or length (characters of the inputs), label, language (by script) or
            source (file). Without names, all built-in groupings that have several values.
        resampling: Settings of the intervals.

    Returns:
        JSON values: `slices` from worst to best, how many were `left_out`, and the `confidence`.
    """
    groupings = {name: evaluated.group(name) for name in names or BUILT_IN}
    if not names:
        groupings = {name: grouping for name, grouping in groupings.items() if len(grouping) > 1}
    resampling = replace(resampling, resamples=min(MAX_RESAMPLES, resampling.resamples))
    metrics = {name: "accuracy" if evaluated.is_by_label(name) else metric for name in groupings}
    result = compare_slices(
        {name: evaluated.make_scorer(metrics[name], resampling) for name in groupings},
        groupings,
        len(evaluated.rows),
        higher_is_better=metric not in evaluated.task.spec.lower_is_better,
        confidence=resampling.confidence,
    ).to_json()
    for item in result["slices"]:
        item["metric"] = metrics[item["grouping"]]
    return {**result, "confidence": resampling.confidence}


def check_groupings(task: Task, rows: Split, names: Sequence[str]) -> None:
    """Raise RecipeError U01 for a name that is neither a column of the rows nor a built-in grouping."""
    built_in = [name for name in BUILT_IN if name != "label" or "accuracy" in task.spec.metrics]
    choices = list(dict.fromkeys((*built_in, *rows.columns)))
    fix = f"choose from {shorten_list(choices, 20)}"
    raise_if(
        [
            ErrorDetail("U01", f"--slice {name}", f"is not a column of the data{suggest(name, choices)}", fix)
            for name in names
            if name not in choices
        ],
        RecipeError,
    )
