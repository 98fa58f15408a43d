"""The Markdown table of a file of results: medians and ranges, goals, and what the outputs say."""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from bench.results import Results
from bench.suite import Clock, Figure, Goal, Record, Round, Settings, Suite

__all__ = ["BUSY", "CLOCKS", "markdown", "number", "write"]

BUSY = 0.05  # share of the machine that others used; above it a run is marked
CLOCKS: dict[Clock, str] = {"wall": "the clock", "cpu": "the processor"}


def write(results: Results, settings: Settings) -> None:
    """Beside the results, with the same name."""
    from llmkit.base import files

    kinds = dict.fromkeys((run.suite, run.threads, run.size) for run in results.records)
    parts = []
    for name, threads, size in kinds:
        known = replace(settings, threads=threads, size=size)
        suite = importlib.import_module(f"bench.suites.{name}").suite(known)
        facts = results.facts.get(f"{name} {threads} {size}", [])
        parts.append(markdown(suite, results.of(name, threads, size), facts))
    machine = results.machine
    head = (
        f"# {results.path.stem}\n\n{machine['processor']}, {machine['cores']} cores; Python {machine['python']}, "
        f"torch {machine['torch']}, transformers {machine['transformers']}.\n"
    )
    files.write_text(results.path.with_suffix(".md"), "\n".join([head, *parts]))


def markdown(suite: Suite, runs: Sequence[Record], facts: Sequence[str]) -> str:
    """One suite's section. With one thread seconds are those of the processor, which a busy machine blurs least."""
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
        *_figures(suite, rounds, clock),
        "",
        *_goals(suite.goals, rounds, clock),
        *(f"- {fact}" for fact in facts),
        *(
            ["", f"\\* others used more than {BUSY:.0%} of the machine in one of its runs."]
            if _busy(runs)
            else []
        ),
        "",
    ]
    return "\n".join(lines)


def _figures(suite: Suite, rounds: Sequence[Round], clock: Clock) -> list[str]:
    heads = [f"{figure.name} ({figure.unit})" for figure in suite.figures]
    lines = [_row(["variant", *heads]), _row(["---"] + ["--:"] * len(heads))]
    for variant in suite.variants:
        runs = [found[variant.name] for found in rounds if variant.name in found]
        if runs:
            star = "\\*" if _busy(runs) else ""
            lines.append(
                _row([variant.name + star, *(_cell(figure, runs, clock) for figure in suite.figures)])
            )
    return lines


def _goals(goals: Sequence[Goal], rounds: Sequence[Round], clock: Clock) -> list[str]:
    if not goals:
        return []
    lines = [_row(["goal", "asked", "median", "rounds", ""]), _row(["---", "--:", "--:", "---", "---"])]
    for goal in goals:
        asked = f"{'>=' if goal.at_least else '<='} {goal.bound:g} {goal.unit}"
        found = [value for each in rounds if (value := goal.value(each, clock)) is not None]
        if not found:
            lines.append(_row([goal.text, asked, "", "", "not measured"]))
            continue
        middle = statistics.median(found)
        verdict = "met" if goal.met(middle) else "missed"
        each_round = ", ".join(map(number, found))
        lines.append(_row([goal.text, asked, f"{number(middle)} {goal.unit}", each_round, verdict]))
    return [*lines, ""]


def _cell(figure: Figure, runs: Sequence[Record], clock: Clock) -> str:
    """The median, and the range of several runs."""
    found = [value * figure.scale for run in runs if (value := figure.value(run, clock)) is not None]
    if not found:
        return ""
    span = f" [{number(min(found))}, {number(max(found))}]" if len(found) > 1 else ""
    return number(statistics.median(found)) + span


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _busy(runs: Sequence[Record]) -> bool:
    return any(run.foreign > BUSY for run in runs)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
