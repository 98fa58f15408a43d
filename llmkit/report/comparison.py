"""The chapters of a report on two runs, one beside the other on the same rows. Other reports lack them."""

from __future__ import annotations

from collections.abc import Sequence

from llmkit.report.format import better, count, p_value, words
from llmkit.report.provenance import COSTS
from llmkit.report.tables import Axis, Cell, Content, Section, Table, count_cell, score_cells

__all__ = ["comparison"]


def comparison(content: Content) -> list[Section]:
    """Nothing for a report on one run."""
    runs = content.get("compared") or []
    if not runs:
        return []
    found = [
        Section("scores", "Scores", tables=[_beside(name, runs) for name in content["differences"]]),
        Section("differences", "Differences", tables=[_differences(content)]),
        Section("curves", "Training", plots=["losses"]),
        Section("speed", "Speed and memory", tables=[_costs(runs)]),
        Section("samples", "What they write", tables=_samples(runs)),
    ]
    return [section for section in found if section.plots or section.tables]


def _beside(name: str, runs: Sequence[Content]) -> Table:
    """Both on one axis, so that one sees whether the intervals overlap."""
    scores = [run["scores"][name] for run in runs]
    axis = Axis.over(scores)
    rows = [
        (
            Cell(run["run"], path=True),
            *score_cells(score),
            Cell("", bar=axis.bar(score, own=run is runs[-1])),
        )
        for run, score in zip(runs, scores, strict=True)
    ]
    caption = f"{words(name)} ({better(name)})" if better(name) else words(name)
    return Table(caption, ("Run", "Value", "Interval"), rows, axis)


def _differences(content: Content) -> Table:
    first, second = (run["run"] for run in content["compared"])
    differences = content["differences"]
    axis = Axis.over(differences.values(), zero=True)
    rows = [
        (
            Cell(words(name), note=better(name)),
            *score_cells(difference),
            Cell(p_value(difference["p_holm"]), numeric=True),
            count_cell(difference["examples_needed"]),
            Cell("", bar=axis.bar(difference, zero=True, own=True)),
        )
        for name, difference in differences.items()
    ]
    caption = f"{second} minus {first} on the same {count(content['n'])} rows"
    return Table(caption, ("Score", "Difference", "Interval", "p (Holm)", "Examples to see it"), rows, axis)


def _costs(runs: Sequence[Content]) -> Table:
    rows = [
        (Cell(name), *(Cell(form(run["train"][key]), numeric=True) for run in runs))
        for key, (name, form) in COSTS.items()
        if all(run["train"].get(key) is not None for run in runs)
    ]
    return Table("What each took", ("Measure", *(run["run"] for run in runs)), rows)


def _samples(runs: Sequence[Content]) -> list[Table]:
    """What language models went on with, from the same beginnings."""
    known = [run["samples"] for run in runs if run.get("samples")]
    if len(known) < len(runs):
        return []
    rows = [
        (Cell(one[0]["beginning"]), *(Cell(sample["text"], wide=True) for sample in one))
        for one in zip(*known, strict=False)
    ]
    return [
        Table(
            "Beginnings of rows, and what each goes on with",
            ("Beginning", *(run["run"] for run in runs)),
            rows,
        )
    ]
