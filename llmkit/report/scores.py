"""The chapters on how good the model is: its scores, what became of its programs, and the baselines beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llmkit.report.format import better, p_value, percent, words
from llmkit.report.tables import Axis, Cell, Content, Section, Table, count_cell, score_cell, score_cells

__all__ = ["baselines", "headline", "scores", "verdicts"]

OWN = "This model"


def headline(content: Content) -> dict[str, Content]:
    """The scores shown first: those named, or the first three."""
    found = content.get("scores") or {}
    named = [name for name in content.get("headline") or [] if name in found]
    return {name: found[name] for name in named or list(found)[:3]}


def scores(content: Content) -> Section | None:
    rows = [
        (
            _name(name),
            *score_cells(score),
            count_cell(score.get("n")),
            Cell(score.get("method") or "", wide=True),
        )
        for name, score in (content.get("scores") or {}).items()
    ]
    caption = f"All scores on the {content.get('part') or 'test'} rows"
    table = Table(caption, ("Score", "Value", "Interval", "n", "Method"), rows)
    return Section("scores", "Scores", tables=[table]) if rows else None


def verdicts(content: Content) -> Section | None:
    """What became of the programs that were run."""
    found = content.get("verdicts") or {}
    total = sum(found.values())
    rows = [
        (Cell(name), count_cell(number), Cell(percent(number / total), numeric=True))
        for name, number in found.items()
    ]
    table = Table("What became of the programs", ("Outcome", "Programs", "Share"), rows)
    return Section("verdicts", "Programs", tables=[table]) if rows else None


def _name(name: str) -> Cell:
    """Of a score; most are better the higher, the others say so."""
    return Cell(words(name), note=better(name))


def baselines(content: Content) -> Section | None:
    found, comparisons = content.get("baselines") or {}, content.get("comparisons") or []
    if not found and not comparisons:
        return None
    systems = {OWN: content.get("scores") or {}} | {words(name): own for name, own in found.items()}
    shared = [name for name in systems[OWN] if any(name in own for own in found.values())]
    first = [name for name in headline(content) if name in shared]
    if first:
        systems = dict(_best_first(systems, first[0]))
    order = list(systems)
    comparisons = sorted(
        comparisons,
        key=lambda item: order.index(name) if (name := words(item["baseline"])) in order else len(order),
    )
    tables = [_against(name, systems) for name in first]
    tables += _others([name for name in shared if name not in first], systems)
    tables += _differences(comparisons)
    lines = [item["sentence"] for item in comparisons if item.get("sentence")]
    return Section("baselines", "Against baselines", lines, tables=tables)


def _best_first(systems: Mapping[str, Content], name: str) -> list[tuple[str, Content]]:
    """The ladder: sorted by this score, those without it last."""

    def place(item: tuple[str, Content]) -> float:
        value = float(item[1].get(name, {"value": math.nan})["value"])
        return math.inf if math.isnan(value) else value if better(name) else -value

    return sorted(systems.items(), key=place)


def _against(name: str, systems: Mapping[str, Content]) -> Table:
    """The model and the baselines on one axis, so that one sees whether the intervals overlap."""
    found = {system: own[name] for system, own in systems.items() if name in own}
    axis = Axis.over(found.values())
    rows = [
        (Cell(system), *score_cells(score), Cell("", bar=axis.bar(score, own=system == OWN)))
        for system, score in found.items()
    ]
    caption = f"{words(name)} ({better(name)})" if better(name) else words(name)
    return Table(caption, ("System", "Value", "Interval"), rows, axis)


def _others(names: Sequence[str], systems: Mapping[str, Content]) -> list[Table]:
    """The scores that are not shown first, all in one table."""
    rows = [(_name(name), *(score_cell(own.get(name)) for own in systems.values())) for name in names]
    return [Table("Other scores", ("Score", *systems), rows, folded=True)] if rows else []


def _differences(comparisons: Sequence[Content]) -> list[Table]:
    if not comparisons:
        return []
    axis = Axis.over([item["difference"] for item in comparisons], zero=True)
    rows = [
        (
            Cell(words(item["baseline"])),
            _name(item["metric"]),
            *score_cells(item["difference"]),
            Cell(p_value(item["difference"].get("p_value")), numeric=True),
            Cell("", bar=axis.bar(item["difference"], zero=True, own=True)),
        )
        for item in comparisons
    ]
    head = ("Baseline", "Score", "Difference", "Interval", "p")
    return [Table("Model minus baseline on the same rows", head, rows, axis)]
