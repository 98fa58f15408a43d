"""Sections on predictions by class: scores, thresholds and confusions; and predicted numbers against references."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from llmkit.report.format import count, number, percent, words
from llmkit.report.report import Confusion, Report
from llmkit.report.tables import Cell, Section, Table, count_cell, number_cell, score_cell

__all__ = ["MAX_CLASSES", "MAX_CLASSES_WITH_SHARES", "confusion", "per_class", "scatter", "thresholds"]

MAX_CLASSES_WITH_SHARES = (
    8  # classes of a confusion matrix that is shown as a table with shares; above, as a picture
)
MAX_CLASSES = 20  # classes of a confusion matrix; above, only the most frequent confusions are shown
FOLDED = 30  # classes above which the table of classes is shown on demand
RANGES = 5  # ranges of references in the table beside the scatter plot


def per_class(report: Report) -> Section | None:
    """Make the section with the scores of each class, label, relation or entity type."""
    classes, limits = report.details.per_class or {}, report.details.thresholds or {}
    metrics = list(dict.fromkeys(name for item in classes.values() for name in item.scores))
    with_thresholds = any(label in limits for label in classes)
    rows = [
        (
            Cell(label),
            *(score_cell(item.scores.get(name)) for name in metrics),
            count_cell(item.support),
            *([number_cell(limits.get(label))] if with_thresholds else []),
        )
        for label, item in classes.items()
    ]
    (one, several), lines = report.wording.class_names, []
    if with_thresholds:
        lines = [
            f"A {one} is predicted when its probability reaches its threshold, which gave the best F1 of this {one} "
            f"on the validation set. {several.capitalize()} with fewer than 5 examples there share the threshold that "
            "is best for all."
        ]
    head = (words(one), *map(words, metrics), "Support", *(["Threshold"] if with_thresholds else []))
    table = Table(f"Scores of each {one} on the {report.split} set", head, rows, folded=len(rows) > FOLDED)
    return Section("classes", f"Scores by {one}", lines, tables=[table]) if rows else None


def thresholds(report: Report) -> Section | None:
    """Make the section on questions without an answer. Thresholds of labels are shown beside the labels' scores."""
    threshold = (report.details.thresholds or {}).get("no answer")
    if threshold is None:
        return None
    line = (
        'The prediction is "no answer" when its score exceeds the score of the best span by more than '
        f"{number(threshold)} (in logits). This threshold gave the best F1 on the validation set."
    )
    return Section("thresholds", "No-answer threshold", [line])


def confusion(report: Report) -> Section | None:
    """Make the section with the confusion matrix, or for many classes the most frequent confusions."""
    content = report.details.confusion
    if content is None or not content.labels:
        return None
    large = len(content.labels) > MAX_CLASSES_WITH_SHARES
    tables = [_show_confused_pairs(content)] if large else []
    if len(content.labels) <= MAX_CLASSES:
        tables.append(_show_matrix(content, report, folded=large))
    tables = [table for table in tables if table.rows]  # a model without errors has no confused pairs
    if not tables:
        return None
    return Section("confusion", "Confusion matrix", plots=["confusion"], tables=tables, large=large)


def _show_matrix(content: Confusion, report: Report, *, folded: bool) -> Table:
    rows = []
    for line, (label, counts) in enumerate(zip(content.labels, content.counts, strict=True)):
        total = sum(counts)
        shares = [n / (total or 1) for n in counts]
        notes = [f"{100 * share:.0f} %" for share in shares]
        if content.intervals and total:
            notes = [
                f"{note} ({100 * low:.0f} to {100 * high:.0f})"
                for note, (low, high) in zip(notes, content.intervals[line], strict=True)
            ]
        cells = [
            Cell(count(n), note, True, shade=share)
            for n, note, share in zip(counts, notes, shares, strict=True)
        ]
        rows.append([Cell(label), *cells, count_cell(total)])
    caption = "Rows: reference. Columns: prediction. Percentages are shares of the row"
    caption += f" ({report.interval_name})" if content.intervals else ""
    return Table(caption, ("Reference", *content.labels, "Total"), rows, folded=folded, heat=True)


def _show_confused_pairs(content: Confusion) -> Table:
    """Show the largest cells off the diagonal."""
    confused = [
        (n, sum(counts), content.labels[reference], content.labels[prediction])
        for reference, counts in enumerate(content.counts)
        for prediction, n in enumerate(counts)
        if n and reference != prediction
    ]
    worst = sorted(confused, key=lambda item: -item[0])[:MAX_CLASSES]
    rows = [
        (Cell(reference), Cell(prediction), count_cell(n), Cell(percent(n / total), numeric=True))
        for n, total, reference, prediction in worst
    ]
    head = ("Reference", "Prediction", "Examples", "Share of the reference")
    return Table(f"Most frequent confusions ({len(rows)} of {len(confused):,})", head, rows)


def scatter(report: Report) -> Section | None:
    """Make the section on predicted numbers against their references."""
    points = report.details.scatter
    if points is None or not points.references:
        return None
    rows = [
        (
            Cell(f"{number(low)} to {number(high)}"),
            count_cell(len(inside)),
            number_cell(fmean(predicted for _, predicted in inside) if inside else None),
            number_cell(
                fmean(abs(predicted - reference) for reference, predicted in inside) if inside else None
            ),
        )
        for low, high, inside in _split_by_reference(points.references, points.predicted)
    ]
    head = ("Reference", "Examples", "Mean prediction", "Mean absolute error")
    table = Table("Predictions by reference", head, rows)
    shown, total = len(points.references), max((score.n for score in report.scores.values()), default=0)
    lines = [f"The first {count(shown)} of {count(total)} examples are shown."] if total > shown else []
    return Section("scatter", "Predictions and references", lines, plots=["scatter"], tables=[table])


def _split_by_reference(
    references: Sequence[float], predicted: Sequence[float]
) -> list[tuple[float, float, list[tuple[float, float]]]]:
    """Return (low, high, pairs whose reference lies there) of equal ranges; the last holds the highest reference."""
    low, high = min(references), max(references)
    if low == high:
        return [(low, high, list(zip(references, predicted, strict=True)))]
    inside: list[list[tuple[float, float]]] = [[] for _ in range(RANGES)]
    for pair in zip(references, predicted, strict=True):
        inside[min(RANGES - 1, int(RANGES * (pair[0] - low) / (high - low)))].append(pair)
    edges = [low + (high - low) * i / RANGES for i in range(RANGES + 1)]
    return list(zip(edges[:-1], edges[1:], inside, strict=True))
