"""Write the Markdown table of a results file: medians and ranges, goals, and facts about the outputs."""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from bench.results import Results
from bench.suite import Clock, Figure, Goal, Record, Round, Settings, Suite

__all__ = ["BUSY", "CLOCKS", "format_number", "format_suite", "write"]

BUSY = 0.05  # a run is marked if other processes used more than this fraction of the machine
CLOCKS: dict[Clock, str] = {"wall": "real time", "cpu": "CPU time"}


def write(results: Results, settings: Settings) -> None:
    """Write the table next to the results, under the same name."""
    from llmkit.base import files

    kinds = dict.fromkeys((run.suite, run.threads, run.size) for run in results.records)
    sections = []
    for name, threads, size in kinds:
        suite_settings = replace(settings, threads=threads, size=size)
        suite = importlib.import_module(f"bench.suites.{name}").suite(suite_settings)
        facts = results.facts.get(f"{name} {threads} {size}", [])
        sections.append(format_suite(suite, results.select(name, threads, size), facts))
    machine = results.machine
    head = (
        f"# {results.path.stem}\n\n{machine['processor']}, {machine['cores']} cores; Python {machine['python']}, "
        f"torch {machine['torch']}, transformers {machine['transformers']}.\n"
    )
    files.write_text(results.path.with_suffix(".md"), "\n".join([head, *sections]))


def format_suite(suite: Suite, runs: Sequence[Record], facts: Sequence[str]) -> str:
    """Return the section of one suite.

    With one thread the times are CPU times, which depend least on other processes.
    """
    threads = runs[0].threads
    clock: Clock = "cpu" if threads == 1 else "wall"
    rounds = [
        {run.variant: run for run in group}
        for _, group in groupby(sorted(runs, key=lambda run: run.round), key=lambda run: run.round)
    ]
    lines = [
        f"## {suite.name}",
        "",
        f"{suite.about} {suite.size:,} examples, {threads} thread(s), {len(rounds)} round(s); "
        f"seconds of {CLOCKS[clock]}.",
        "",
        *_format_figures(suite, rounds, clock),
        "",
        *_format_goals(suite.goals, rounds, clock),
        *(f"- {fact}" for fact in facts),
    ]
    if _is_busy(runs):
        lines += ["", f"\\* Other processes used more than {BUSY:.0%} of the machine during a run."]
    return "\n".join([*lines, ""])


def _format_figures(suite: Suite, rounds: Sequence[Round], clock: Clock) -> list[str]:
    headings = [f"{figure.name} ({figure.unit})" for figure in suite.figures]
    lines = [_format_row(["variant", *headings]), _format_row(["---"] + ["--:"] * len(headings))]
    for variant in suite.variants:
        runs = [results[variant.name] for results in rounds if variant.name in results]
        if runs:
            star = "\\*" if _is_busy(runs) else ""
            cells = [_format_cell(figure, runs, clock) for figure in suite.figures]
            lines.append(_format_row([variant.name + star, *cells]))
    return lines


def _format_goals(goals: Sequence[Goal], rounds: Sequence[Round], clock: Clock) -> list[str]:
    if not goals:
        return []
    lines = [
        _format_row(["goal", "target", "median", "rounds", ""]),
        _format_row(["---", "--:", "--:", "---", "---"]),
    ]
    for goal in goals:
        target = f"{'>=' if goal.at_least else '<='} {goal.bound:g} {goal.unit}"
        values = [value for results in rounds if (value := goal.value(results, clock)) is not None]
        if not values:
            lines.append(_format_row([goal.text, target, "", "", "not measured"]))
            continue
        median = statistics.median(values)
        verdict = "met" if goal.is_met(median) else "missed"
        all_rounds = ", ".join(map(format_number, values))
        lines.append(
            _format_row([goal.text, target, f"{format_number(median)} {goal.unit}", all_rounds, verdict])
        )
    return [*lines, ""]


def _format_cell(figure: Figure, runs: Sequence[Record], clock: Clock) -> str:
    """Return the median and, for several runs, the range."""
    values = [value * figure.scale for run in runs if (value := figure.value(run, clock)) is not None]
    if not values:
        return ""
    span = f" [{format_number(min(values))}, {format_number(max(values))}]" if len(values) > 1 else ""
    return format_number(statistics.median(values)) + span


def format_number(value: float) -> str:
    """Return a number with three significant digits, or with all digits before the decimal point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _is_busy(runs: Sequence[Record]) -> bool:
    return any(run.other_load > BUSY for run in runs)


def _format_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
