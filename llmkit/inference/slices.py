"""The test rows in slices: by a column, or by what llmkit knows of every row (length, label, language, source)."""

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

__all__ = ["BUILT_IN", "Judged", "check", "slices"]

BUILT_IN = ("length", "label", "language", "source")
DRAWS = 500  # of the bootstrap behind a slice's interval: forty slices are eighty scores


@dataclass(frozen=True)
class Judged:
    """Rows of one part, what they ask for, and what a model answered."""

    task: Task
    rows: Split
    references: Arrays
    predictions: Arrays
    labels: Sequence[str]


def slices(
    judged: Judged, metric: str, names: Sequence[str] = (), *, resampling: Resampling
) -> dict[str, Any]:
    """The slices of these groupings by `metric`, worst first; without names the built-in ones that divide the rows.

    A grouping is a column of the rows, else length (characters of the inputs), label, language (by script) or source
    (file). Of a label the score is the share of its examples that are right, where each example has one label: macro
    scores and correlations say nothing within a label.
    """
    groupings = {name: _grouping(judged, name) for name in names or BUILT_IN}
    if not names:
        groupings = {name: grouping for name, grouping in groupings.items() if len(grouping) > 1}
    resampling = replace(resampling, resamples=min(DRAWS, resampling.resamples))
    metrics = {name: "accuracy" if _of_labels(judged, name) else metric for name in groupings}
    found = compare_slices(
        {name: _measure(judged, metrics[name], resampling) for name in groupings},
        groupings,
        len(judged.rows),
        higher_is_better=metric not in judged.task.spec.lower_is_better,
        confidence=resampling.confidence,
    ).to_json()
    for one in found["slices"]:
        one["metric"] = metrics[one["grouping"]]
    return {**found, "confidence": resampling.confidence}


def check(task: Task, rows: Split, names: Sequence[str]) -> None:
    """Raises RecipeError U01 for what is neither a column of the rows nor built in."""
    built_in = [name for name in BUILT_IN if name != "label" or "accuracy" in task.spec.metrics]
    known = list(dict.fromkeys((*built_in, *rows.columns)))
    fix = f"choose from {shorten_list(known, 20)}"
    raise_if(
        [
            ErrorDetail("U01", f"--slice {name}", f"is no column of the rows{suggest(name, known)}", fix)
            for name in names
            if name not in known
        ],
        RecipeError,
    )


def _grouping(judged: Judged, name: str) -> Grouping:
    """A column of that name comes first: it may know the language or the source better than we do."""
    if _of_labels(judged, name):
        return group_by_value([judged.labels[number] for number in judged.references["labels"]])
    if name in judged.rows.columns:
        return group_by_value(judged.rows.columns[name])
    if name == "source":
        return group_by_value([judged.rows.files[number] for number in judged.rows.file_index])
    if name == "language":
        return group_by_value([detect_script(text) for text in _texts(judged)])
    return (
        group_by_quartile([len(text) for text in _texts(judged)]) if name == "length" else {}
    )  # else: no labels


def _of_labels(judged: Judged, name: str) -> bool:
    """Whether the slices are those of the gold label, each example having one."""
    return name == "label" and "accuracy" in judged.task.spec.metrics


def _texts(judged: Judged) -> list[str]:
    """The inputs of each row as one text, whether they are texts or words."""
    columns = judged.rows.columns
    names = [name for name in judged.task.spec.inputs if name in columns] or [
        next(iter(judged.task.spec.columns))
    ]
    return [" ".join(map(_text, inputs)) for inputs in zip(*(columns[name] for name in names), strict=True)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else " ".join(map(str, value))


def _measure(judged: Judged, metric: str, resampling: Resampling) -> Measure:
    """The score of some examples. Accuracy, which is mostly asked for, needs no draws."""
    task, references, predictions = judged.task, judged.references, judged.predictions
    right = task.correct(references, predictions) if metric == "accuracy" else None
    if right is not None:
        return lambda index: wilson_score(int(right[index].sum()), len(index), resampling.confidence)

    def score(index: Ints) -> Score | None:
        sheet = task.score(
            take(references, index),
            take(predictions, index),
            judged.labels,
            resampling=resampling,
            metrics=(metric,),
        )
        return sheet.scores.get(metric)

    return score
