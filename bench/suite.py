"""What is measured: variants that do the same work, figures of a run, and goals for ratios within a round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = [
    "Clock",
    "Figure",
    "Goal",
    "Record",
    "Round",
    "Settings",
    "Suite",
    "Variant",
    "between",
    "each_example",
    "mfu",
    "only",
    "peak",
    "ratio",
    "until",
    "whole",
]

Clock = Literal["wall", "cpu"]
Value = Callable[["Record", Clock], float | None]  # None: this run has no such figure


@dataclass(frozen=True)
class Record:
    """One run of a variant. gflops: matrix products of the machine around it, a second by the clock and a second of
    the processor; marks: seconds from its start, likewise."""

    suite: str
    variant: str
    round: int
    threads: int
    size: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    foreign: float
    gflops: tuple[float, float]
    said: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, int, int, int]:
        return self.suite, self.variant, self.round, self.threads, self.size

    def at(self, mark: str, clock: Clock) -> float | None:
        marks = self.said.get("marks", {})
        return marks[mark][clock == "cpu"] if mark in marks else None


Round = Mapping[str, Record]  # by variant


@dataclass(frozen=True)
class Settings:
    """How the suites were asked for; folder: where prepared data and outputs go."""

    folder: Path
    threads: int
    size: int | None  # None: each suite's own

    def run_folder(self, suite: Suite, variant: Variant, number: int) -> Path:
        """Of one run: what it printed, and what it wrote until it is measured."""
        kind = f"{suite.name}-{self.threads}-{suite.size}"
        return self.folder / "runs" / kind / variant.name.replace(" ", "-").replace("/", "-") / str(number)


@dataclass(frozen=True)
class Variant:
    """A command; {round} and {out} in it become the round's number and a fresh folder."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class Figure:
    """A column of the table. scale: what the value is multiplied by to be in the unit."""

    name: str
    unit: str
    value: Value
    scale: float = 1.0


@dataclass(frozen=True)
class Goal:
    """A bound on the median over the rounds."""

    text: str
    value: Callable[[Round, Clock], float | None]
    bound: float
    at_least: bool
    unit: str = "x"

    def met(self, found: float) -> bool:
        return found >= self.bound if self.at_least else found <= self.bound


@dataclass(frozen=True)
class Suite:
    """rounds: enough of them; each has a seed of its own. facts: sentences from the outputs of all rounds (outputs by
    variant, one mapping a round)."""

    name: str
    about: str
    size: int
    variants: Sequence[Variant]
    figures: Sequence[Figure]
    goals: Sequence[Goal] = ()
    rounds: int = 3
    facts: Callable[[Sequence[Mapping[str, Any]]], list[str]] = field(default=lambda _rounds: [])


def whole(record: Record, clock: Clock) -> float:
    """Seconds of the whole process, start-up included."""
    return record.cpu_seconds if clock == "cpu" else record.wall_seconds


def peak(record: Record, _clock: Clock) -> float:
    """Bytes."""
    return float(record.peak_bytes)


def until(mark: str) -> Value:
    """Seconds from the command to a mark."""
    return lambda record, clock: record.at(mark, clock)


def between(first: str, last: str) -> Value:
    """Seconds from one mark to another."""

    def of(record: Record, clock: Clock) -> float | None:
        begun, ended = record.at(first, clock), record.at(last, clock)
        return None if begun is None or ended is None else ended - begun

    return of


def each_example(seconds: Value) -> Value:
    """Seconds an example, for variants that do not all take as many."""

    def of(record: Record, clock: Clock) -> float | None:
        found = seconds(record, clock)
        return None if found is None else found / record.said["examples"]

    return of


def mfu(seconds: Value, flops_each: float) -> Value:
    """Useful operations (those of `flops_each` per example) as a share of what matrix products alone reach here."""

    def of(record: Record, clock: Clock) -> float | None:
        found = each_example(seconds)(record, clock)
        return None if found is None else flops_each / found / (1e9 * record.gflops[clock == "cpu"])

    return of


def ratio(value: Value, over: str, of: str) -> Callable[[Round, Clock], float | None]:
    """How many times as much one variant takes as another, within a round."""

    def found(runs: Round, clock: Clock) -> float | None:
        if over not in runs or of not in runs:
            return None
        above, below = value(runs[over], clock), value(runs[of], clock)
        return None if above is None or not below else above / below

    return found


def only(value: Value, of: str) -> Callable[[Round, Clock], float | None]:
    """The figure of one variant."""
    return lambda runs, clock: value(runs[of], clock) if of in runs else None
