"""The chapters on how far to trust it: where it is weakest, and whether its probabilities are right."""

from __future__ import annotations

from collections.abc import Mapping

from llmkit.report.format import better, count, interval, number, p_value, phrase, shorten, words
from llmkit.report.tables import (
    Axis,
    Cell,
    Content,
    Section,
    Table,
    count_cell,
    number_cell,
    score_cell,
    score_cells,
)

__all__ = ["calibration", "slices"]

FOLDED = 30  # slices from which the table is shown on demand
LONG = 24  # characters of a slice's value that are shown


def slices(content: Content) -> Section | None:
    """Where the model is weakest, by length, label, language and source."""
    found = content.get("slices") or {}
    every = found.get("slices") or []
    if not every:
        return None
    axis = Axis.over([one["difference"] for one in every], zero=True)
    rows = [
        (
            Cell(f"{words(one['grouping'])}: {shorten(one['value'], LONG)}"),
            count_cell(one["score"]["n"]),
            Cell(words(one["metric"])),
            score_cell(one["score"]),
            *score_cells(one["difference"]),
            Cell(p_value(one["p_holm"]), numeric=True),
            Cell("", bar=axis.bar(one["difference"], zero=True, own=True)),
        )
        for one in every
    ]
    head = ("Slice", "Rows", "Score", "Value", "Minus the rest", "Interval", "p (Holm)")
    table = Table(
        "Each slice against all other rows, the worst first", head, rows, axis, folded=len(rows) > FOLDED
    )
    return Section("slices", "Slices", _slice_lines(found), tables=[table])


def _slice_lines(found: Content) -> list[str]:
    """What is shown to be worse, corrected for all slices at once; lengths count characters, languages are scripts."""
    level = 1 - found["confidence"]
    worse = [
        f"{phrase(one['grouping'])} {one['value']}"
        for one in found["slices"]
        if one["p_holm"] is not None and one["p_holm"] < level and _is_worse(one)
    ]
    shown = f"Worse than the rest, corrected for all slices: {', '.join(worse)}." if worse else ""
    none = "" if worse else "No slice is shown to be worse than the rest, corrected for all slices."
    small = f"{count(found['left_out'])} slices were too small to be judged." if found["left_out"] else ""
    units = "Lengths are in characters; languages are told by their script."
    return [line for line in (shown, none, small, units) if line]


def _is_worse(one: Content) -> bool:
    lower: bool = one["difference"]["value"] < 0
    return lower != bool(better(one["metric"]))


def calibration(content: Content) -> Section | None:
    found = content.get("calibration") or {}
    measures = [
        (Cell(words(name)), *score_cells(score), Cell(score.get("method") or ""))
        for name, score in found.items()
        if isinstance(score, Mapping)
    ]
    bins = [
        (
            Cell(interval(part)),
            number_cell(part.get("confidence")),
            number_cell(part.get("accuracy")),
            count_cell(part["count"]),
        )
        for part in found.get("bins") or []
    ]
    trust = "Error of the probabilities (lower is better)"
    tables = [
        Table(trust, ("Measure", "Value", "Interval", "Method"), measures),
        Table(
            "Predictions by confidence", ("Confidence", "Mean", "Accuracy", "Predictions"), bins, folded=True
        ),
    ]
    filled = [table for table in tables if table.rows]
    if not filled:
        return None
    return Section("calibration", "Calibration", _temperature(content), plots=["calibration"], tables=filled)


def _temperature(content: Content) -> list[str]:
    """What makes the probabilities right, where it was fitted."""
    temperature = (content.get("calibration") or {}).get("temperature")
    if temperature is None:
        return []
    if temperature == 1:
        return ["No temperature was found: the validation rows hold no mistake to learn it from."]
    sure = "too sure" if temperature > 1 else "not sure enough"
    lines = [
        f"The model is {sure} of its answers. Its logits divided by {number(temperature)}, the temperature fitted on "
        "the validation rows, give the calibrated probabilities: `llmkit predict --calibrated`."
    ]
    if content.get("part") == "validation":
        lines.append("The figures are of the same rows, so on new rows expect a little less.")
    return lines
