"""The chapters on each class: its scores, what it is taken for, and numbers against numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from llmkit.report.format import count, number, percent, words
from llmkit.report.tables import Cell, Content, Section, Table, count_cell, number_cell, score_cell
from llmkit.report.wording import Wording

__all__ = ["FEW_CLASSES", "MOST_CLASSES", "confusion", "per_class", "scatter", "thresholds"]

FEW_CLASSES = 8  # up to which the page has room for a confusion matrix with shares; more are a picture
MOST_CLASSES = 20  # a confusion matrix beyond this is wallpaper; the most confused pairs say more
FOLDED = 30  # rows of the table of classes from which it is shown on demand
RANGES = 5  # of the scores in the data, in the table beside the scatter plot


def per_class(content: Content, wording: Wording) -> Section | None:
    own = content.get("thresholds") or {}
    classes = {
        label: {**scores, **({"threshold": own[label]} if label in own else {})}
        for label, scores in (content.get("per_class") or {}).items()
    }
    names = list(dict.fromkeys(name for scores in classes.values() for name in scores))
    rows = [
        (Cell(label), *(_score_or_number(scores.get(name)) for name in names))
        for label, scores in classes.items()
    ]
    one, lines = wording.class_names[0], []
    if "threshold" in names:
        lines = [
            f"A {one} is given where its probability reaches its threshold, which gave the best F1 of this "
            f"{one} on the validation rows; each {one} with fewer than 5 rows there has the one that is best for all."
        ]
    table = Table(f"Scores of each {one}", (words(one), *map(words, names)), rows, folded=len(rows) > FOLDED)
    return Section("classes", f"Each {one}", lines, tables=[table]) if rows else None


def _score_or_number(value: Any) -> Cell:
    """A score with its interval, a threshold, or a count."""
    if isinstance(value, Mapping):
        return score_cell(value)
    return number_cell(value) if isinstance(value, float) else count_cell(value)


def thresholds(content: Content) -> Section | None:
    """When a question has no answer; the thresholds of labels stand beside the labels' scores."""
    threshold = (content.get("thresholds") or {}).get("no answer")
    if threshold is None:
        return None
    line = (
        'The answer is "no answer" where its score lies above that of the best span by more than '
        f"{number(threshold)} (in logits). This threshold gave the best F1 on the validation rows."
    )
    return Section("thresholds", "When there is no answer", [line])


def confusion(content: Content) -> Section | None:
    found = content.get("confusion") or {}
    labels, counts = found.get("labels") or [], found.get("counts") or []
    if not labels:
        return None
    wide = len(labels) > FEW_CLASSES
    tables = [_confused(labels, counts)] if wide else []
    if len(labels) <= MOST_CLASSES:
        tables.append(_matrix(labels, counts, found.get("intervals"), folded=wide))
    tables = [table for table in tables if table.rows]  # a model without a mistake confuses nothing
    return (
        Section("confusion", "Confusions", plots=["confusion"], tables=tables, large=wide) if tables else None
    )


def _matrix(
    labels: Sequence[str],
    counts: Sequence[Sequence[int]],
    intervals: Sequence[Sequence[Sequence[float]]] | None,
    *,
    folded: bool,
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
    return Table(caption, ("Label", *labels, "Total"), rows, folded=folded, heat=True)


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


def scatter(content: Content) -> Section | None:
    """A task that answers with a number: where the answers lie against the data."""
    points = content.get("scatter") or {}
    gold, predicted = points.get("gold") or [], points.get("predicted") or []
    if not gold:
        return None
    rows = [
        (
            Cell(f"{number(low)} to {number(high)}"),
            count_cell(len(inside)),
            number_cell(fmean(guess for _, guess in inside) if inside else None),
            number_cell(fmean(abs(guess - score) for score, guess in inside) if inside else None),
        )
        for low, high, inside in _ranges(gold, predicted)
    ]
    head = ("Score in the data", "Rows", "Mean prediction", "Mean distance")
    table = Table("Predictions by the score in the data", head, rows)
    every = max((score.get("n") or 0 for score in (content.get("scores") or {}).values()), default=0)
    lines = [f"Of the first {count(len(gold))} of {count(every)} rows."] if every > len(gold) else []
    return Section("scatter", "Predictions against the data", lines, plots=["scatter"], tables=[table])


def _ranges(
    gold: Sequence[float], predicted: Sequence[float]
) -> list[tuple[float, float, list[tuple[float, float]]]]:
    """(low, high, the pairs whose score in the data lies there), the highest score in the last."""
    low, high = min(gold), max(gold)
    if low == high:
        return [(low, high, list(zip(gold, predicted, strict=True)))]
    inside: list[list[tuple[float, float]]] = [[] for _ in range(RANGES)]
    for score, guess in zip(gold, predicted, strict=True):
        inside[min(RANGES - 1, int(RANGES * (score - low) / (high - low)))].append((score, guess))
    edges = [low + (high - low) * i / RANGES for i in range(RANGES + 1)]
    return list(zip(edges[:-1], edges[1:], inside, strict=True))
