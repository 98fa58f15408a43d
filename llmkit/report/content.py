"""From the content of a report (plain JSON) to its sections; what the content lacks, the report leaves out.

    sections({"scores": {"accuracy": {...}}, "baselines": {}})  ->  [Section("scores", ...)]

Every function below reads one part of the content and returns one section, or None when that part is empty;
how the result came about (data, speed, recipe) is in `provenance`. `report.json` is the content itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmkit.report import provenance
from llmkit.report.format import MISSING, count, interval, number, p_value, percent, shorten, words
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

__all__ = ["MOST_CLASSES", "facts", "headline", "sections"]

OWN = "This model"
MOST_CLASSES = 20  # a confusion matrix beyond this is wallpaper; the most confused pairs say more
MOST_EVALUATIONS = 30  # rows of the table
LONGEST_TEXT = 600  # characters of an example shown


def sections(content: Content) -> list[Section]:
    """The chapters that this content can fill, in reading order."""
    makers = [
        _scores,
        _baselines,
        _curves,
        _per_class,
        _confusion,
        _calibration,
        _errors,
        provenance.lengths,
        provenance.notes,
        provenance.data,
        provenance.speed,
        provenance.environment,
        provenance.recipe,
        provenance.repeat,
    ]
    return [section for maker in makers if (section := maker(content)) is not None]


def headline(content: Content) -> dict[str, Content]:
    """The scores shown first: those named, or the first three."""
    scores = content.get("scores") or {}
    named = [name for name in content.get("headline") or [] if name in scores]
    return {name: scores[name] for name in named or list(scores)[:3]}


def facts(content: Content) -> dict[str, str]:
    """What the page is about, in a line below its title."""
    named = {name: content.get(name) for name in ("task", "model", "run", "created")}
    named["created"] = (named["created"] or "").replace("T", " ").replace("Z", " UTC")
    return {words(name): str(value) for name, value in named.items() if value}


def _scores(content: Content) -> Section | None:
    scores = content.get("scores") or {}
    rows = [
        (Cell(words(name)), *score_cells(score), count_cell(score.get("n")), Cell(score.get("method") or ""))
        for name, score in scores.items()
    ]
    table = Table("All scores on the test rows", ("Score", "Value", "Interval", "n", "Method"), rows)
    return Section("scores", "Scores", tables=[table]) if rows else None


def _baselines(content: Content) -> Section | None:
    baselines, comparisons = content.get("baselines") or {}, content.get("comparisons") or []
    if not baselines and not comparisons:
        return None
    systems = {OWN: content.get("scores") or {}} | {words(name): own for name, own in baselines.items()}
    shared = [name for name in systems[OWN] if any(name in own for own in baselines.values())]
    first = [name for name in headline(content) if name in shared]
    tables = [_against(name, systems) for name in first]
    tables += _others([name for name in shared if name not in first], systems)
    tables += _differences(comparisons)
    lines = [item["sentence"] for item in comparisons if item.get("sentence")]
    return Section("baselines", "Against baselines", lines, tables=tables)


def _against(name: str, systems: Mapping[str, Content]) -> Table:
    """The model and the baselines on one axis, so that one sees whether the intervals overlap."""
    scores = {system: own[name] for system, own in systems.items() if name in own}
    axis = Axis.over(scores.values())
    rows = [
        (Cell(system), *score_cells(score), Cell("", bar=axis.bar(score, own=system == OWN)))
        for system, score in scores.items()
    ]
    return Table(words(name), ("System", "Value", "Interval"), rows, axis)


def _others(names: Sequence[str], systems: Mapping[str, Content]) -> list[Table]:
    """The scores that are not shown first, all in one table."""
    rows = [(Cell(words(name)), *(score_cell(own.get(name)) for own in systems.values())) for name in names]
    return [Table("Other scores", ("Score", *systems), rows, folded=True)] if rows else []


def _differences(comparisons: Sequence[Content]) -> list[Table]:
    if not comparisons:
        return []
    axis = Axis.over([item["difference"] for item in comparisons], zero=True)
    rows = [
        (
            Cell(words(item["baseline"])),
            Cell(words(item["metric"])),
            *score_cells(item["difference"]),
            Cell(p_value(item["difference"].get("p_value")), numeric=True),
            Cell("", bar=axis.bar(item["difference"], zero=True, own=True)),
        )
        for item in comparisons
    ]
    head = ("Baseline", "Score", "Difference", "Interval", "p")
    return [Table("Model minus baseline on the same rows", head, rows, axis)]


def _curves(content: Content) -> Section | None:
    curves = content.get("curves") or {}
    evaluations, best = curves.get("evaluations") or [], curves.get("best_step")
    if not evaluations and not curves.get("steps"):
        return None
    lines = []
    if best is not None:
        lines.append(f"The model is the one of step {count(best)}, the best on the validation rows.")
    tables = [_evaluations(evaluations, best)] if evaluations else []
    return Section("curves", "Training", lines, plots=["loss", "metrics"], tables=tables)


def _evaluations(evaluations: Sequence[Content], best: int | None) -> Table:
    """All of them, or when they are many every k-th, the best and the last."""
    every = -(-len(evaluations) // MOST_EVALUATIONS)
    kept = {best, evaluations[-1]["step"]} | {row["step"] for row in evaluations[::every]}
    names = list(dict.fromkeys(name for row in evaluations for name in row if name != "step"))
    rows = [
        (_step(row["step"], best), *(number_cell(row.get(name)) for name in names))
        for row in evaluations
        if row["step"] in kept
    ]
    some = f" ({len(rows)} of {len(evaluations)} evaluations)" if every > 1 else ""
    head = ("Step", *map(words, names))
    return Table(f"Scores on the validation rows{some}", head, rows, folded=len(rows) > 10)


def _step(step: int, best: int | None) -> Cell:
    return Cell(count(step), note="best" if step == best else "", numeric=True)


def _per_class(content: Content) -> Section | None:
    classes = content.get("per_class") or {}
    names = list(dict.fromkeys(name for scores in classes.values() for name in scores))
    rows = [
        (Cell(label), *(_score_or_count(scores.get(name)) for name in names))
        for label, scores in classes.items()
    ]
    table = Table("Scores of each class", ("Class", *map(words, names)), rows)
    return Section("classes", "Each class", tables=[table]) if rows else None


def _score_or_count(value: Any) -> Cell:
    return score_cell(value) if isinstance(value, Mapping) else count_cell(value)


def _confusion(content: Content) -> Section | None:
    confusion = content.get("confusion") or {}
    labels, counts = confusion.get("labels") or [], confusion.get("counts") or []
    if not labels:
        return None
    table = (
        _matrix(labels, counts, confusion.get("intervals"))
        if len(labels) <= MOST_CLASSES
        else _confused(labels, counts)
    )
    return Section("confusion", "Confusions", plots=["confusion"], tables=[table])


def _matrix(
    labels: Sequence[str],
    counts: Sequence[Sequence[int]],
    intervals: Sequence[Sequence[Sequence[float]]] | None,
) -> Table:
    """intervals (C, C, 2): of each cell's share of its row."""
    rows = []
    for line, (label, row) in enumerate(zip(labels, counts, strict=True)):
        shares = [n / (sum(row) or 1) for n in row]
        notes = [f"{100 * share:.0f} %" for share in shares]
        if intervals and sum(row):
            notes = [
                f"{note} ({100 * low:.0f} to {100 * high:.0f})"
                for note, (low, high) in zip(notes, intervals[line], strict=True)
            ]
        cells = [
            Cell(count(n), note, True, shade=share) for n, note, share in zip(row, notes, shares, strict=True)
        ]
        rows.append([Cell(label), *cells, count_cell(sum(row))])
    caption = "Rows: the label in the data. Columns: the prediction. Shares are of the row"
    caption += ", with their interval" if intervals else ""
    return Table(caption, ("Label", *labels, "Total"), rows, heat=True)


def _confused(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Table:
    """The largest cells off the diagonal."""
    wrong = [
        (n, sum(row), labels[gold], labels[guess])
        for gold, row in enumerate(counts)
        for guess, n in enumerate(row)
        if n and gold != guess
    ]
    worst = sorted(wrong, key=lambda item: -item[0])[:MOST_CLASSES]
    rows = [
        (Cell(gold), Cell(guess), count_cell(n), Cell(percent(n / total), numeric=True))
        for n, total, gold, guess in worst
    ]
    caption = f"Most confused pairs, {len(rows)} of {len(wrong):,}"
    return Table(caption, ("Label", "Prediction", "Rows", "Share of the label's rows"), rows)


def _calibration(content: Content) -> Section | None:
    calibration = content.get("calibration") or {}
    measures = [
        (Cell(words(name)), *score_cells(score), Cell(score.get("method") or ""))
        for name, score in calibration.items()
        if isinstance(score, Mapping)
    ]
    bins = [
        (
            Cell(interval(part)),
            number_cell(part.get("confidence")),
            number_cell(part.get("accuracy")),
            count_cell(part["count"]),
        )
        for part in calibration.get("bins") or []
    ]
    trust = "Error of the probabilities (lower is better)"
    tables = [
        Table(trust, ("Measure", "Value", "Interval", "Method"), measures),
        Table(
            "Predictions by confidence", ("Confidence", "Mean", "Accuracy", "Predictions"), bins, folded=True
        ),
    ]
    filled = [table for table in tables if table.rows]
    return Section("calibration", "Calibration", plots=["calibration"], tables=filled) if filled else None


def _errors(content: Content) -> Section | None:
    errors = content.get("errors") or []
    known = {name for error in errors for name, value in error.items() if value is not None}
    names = [name for name in ("text", "label", "prediction", "probability", "place") if name in known]
    rows = [[_error_cell(name, error.get(name)) for name in names] for error in errors]
    table = Table("Wrong predictions, the most confident first", [words(name) for name in names], rows)
    return Section("errors", "Most confident errors", tables=[table]) if rows else None


def _error_cell(name: str, value: Any) -> Cell:
    if name == "probability":
        return Cell(number(value), numeric=True)
    return Cell(MISSING if value is None else shorten(str(value), LONGEST_TEXT), wide=name == "text")
