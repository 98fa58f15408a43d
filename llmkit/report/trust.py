"""Sections on how far to trust the model: where it is weakest, and whether its probabilities are right."""

from __future__ import annotations

from llmkit.report.format import better, count, interval, number, p_value, phrase, shorten, words
from llmkit.report.report import Report, Slice, Slices
from llmkit.report.tables import (
    Axis,
    Cell,
    Section,
    Table,
    count_cell,
    number_cell,
    score_cell,
    score_cells,
)

__all__ = ["calibration", "slices"]

FOLDED = 30  # slices above which the table is shown on demand
LONG = 24  # characters of a slice's value that are shown


def slices(report: Report) -> Section | None:
    """Make the section on where the model is weakest: by length, label, language and source."""
    content = report.slices
    if content is None or not content.slices:
        return None
    axis = Axis.over([item.difference for item in content.slices], zero=True)
    rows = [
        (
            Cell(f"{words(item.grouping)}: {shorten(item.value, LONG)}"),
            count_cell(item.score.n),
            Cell(words(item.metric)),
            score_cell(item.score),
            *score_cells(item.difference),
            Cell(p_value(item.p_holm), numeric=True),
            Cell("", bar=axis.bar(item.difference, zero=True, own=True)),
        )
        for item in content.slices
    ]
    head = ("Slice", "n", "Score", "Value", "Difference", report.interval_name, "p (Holm)")
    caption = "Each slice minus all other examples, worst first"
    table = Table(caption, head, rows, axis, folded=len(rows) > FOLDED)
    return Section("slices", "Slices", _describe_slices(content), tables=[table])


def _describe_slices(content: Slices) -> list[str]:
    """Name the slices that are significantly worse, corrected for all slices at once."""
    level = 1 - content.confidence
    worse = [
        f"{phrase(item.grouping)} {item.value}"
        for item in content.slices
        if item.p_holm is not None and item.p_holm < level and _is_worse(item)
    ]
    lines = ["No slice is significantly worse than all other examples (Holm-corrected)."]
    if worse:
        lines = [f"Significantly worse than all other examples (Holm-corrected): {', '.join(worse)}."]
    if content.left_out:
        were = "slice was" if content.left_out == 1 else "slices were"
        lines.append(f"{count(content.left_out)} {were} too small to compare.")
    return [*lines, "Lengths are in characters. Languages are detected by their script."]


def _is_worse(item: Slice) -> bool:
    is_lower = item.difference.value < 0
    return is_lower != bool(better(item.metric))


def calibration(report: Report) -> Section | None:
    """Make the section on how well probabilities match accuracy."""
    content = report.details.calibration
    if content is None:
        return None
    scores = [
        (Cell(words(name)), *score_cells(score), Cell(score.method)) for name, score in content.scores.items()
    ]
    bins = [
        (
            Cell(interval(part)),
            number_cell(part.confidence),
            number_cell(part.accuracy),
            count_cell(part.count),
        )
        for part in content.bins
    ]
    tables = [
        Table(
            "Calibration error (lower is better)", ("Score", "Value", report.interval_name, "Method"), scores
        ),
        Table(
            "Predictions by confidence",
            ("Confidence", "Mean confidence", "Accuracy", "Predictions"),
            bins,
            folded=True,
        ),
    ]
    lines = _describe_temperature(content.temperature, report.split)
    return Section(
        "calibration",
        "Calibration",
        lines,
        plots=["calibration"],
        tables=[table for table in tables if table.rows],
    )


def _describe_temperature(temperature: float | None, split: str) -> list[str]:
    """Say how the model is miscalibrated, and how to calibrate its probabilities."""
    if temperature is None:
        return []
    if temperature == 1:
        return ["No temperature was fitted, because the model makes no error on the validation set."]
    word = "overconfident" if temperature > 1 else "underconfident"
    lines = [
        f"The model is {word}. Dividing its logits by {number(temperature)}, the temperature fitted on the validation "
        "set, calibrates its probabilities, as llmkit predict --calibrated does."
    ]
    if split == "validation":
        lines.append("These figures are from the same set, so expect slightly larger errors on new data.")
    return lines
