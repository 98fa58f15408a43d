"""The parts of a suite: variants that do the same work, figures of a run, and goals for ratios within a round."""

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
    "compare",
    "compute_mfu",
    "peak_bytes",
    "per_example",
    "seconds_between",
    "seconds_until",
    "total_seconds",
    "value_of",
]

Clock = Literal["wall", "cpu"]
Value = Callable[["Record", Clock], float | None]  # None: the run does not have this figure


@dataclass(frozen=True)
class Record:
    """One run of a variant.

    Attributes:
        suite: Name of the suite.
        variant: Name of the variant.
        round: Number of the round, from 1.
        threads: Number of threads.
        size: Number of examples.
        wall_seconds: Real time of the whole process.
        cpu_seconds: CPU time of the whole process.
        peak_bytes: Peak resident memory.
        other_load: Fraction of the machine's CPU time that other processes used meanwhile.
        gflops: Speed of matrix products on the machine before and after the run, per second of real time and per second
            of CPU time.
        output: The JSON object that the process printed. `marks` holds seconds since its start (real time, CPU time).
    """

    suite: str
    variant: str
    round: int
    threads: int
    size: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    other_load: float
    gflops: tuple[float, float]
    output: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, int, int, int]:
        return self.suite, self.variant, self.round, self.threads, self.size

    def get_mark(self, mark: str, clock: Clock) -> float | None:
        """Return the seconds from the start to a mark; None if the run does not have the mark."""
        marks = self.output.get("marks", {})
        return marks[mark][clock == "cpu"] if mark in marks else None


Round = Mapping[str, Record]  # by variant


@dataclass(frozen=True)
class Settings:
    """Settings of the command line.

    Attributes:
        folder: Folder for prepared data and outputs.
        threads: Number of threads.
        size: Number of examples; None for the default of each suite.
    """

    folder: Path
    threads: int
    size: int | None

    def run_folder(self, suite: Suite, variant: Variant, number: int) -> Path:
        """Return the folder of one run, which holds its printed output and, during the run, its files."""
        kind = f"{suite.name}-{self.threads}-{suite.size}"
        return self.folder / "runs" / kind / variant.name.replace(" ", "-").replace("/", "-") / str(number)


@dataclass(frozen=True)
class Variant:
    """A command to measure. {round} and {out} in it are replaced by the number of the round and an empty folder."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class Figure:
    """A column of the table.

    Attributes:
        name: Heading of the column.
        unit: Unit in the heading.
        value: Returns the value of a run.
        scale: Factor that converts the value to the unit.
    """

    name: str
    unit: str
    value: Value
    scale: float = 1.0


@dataclass(frozen=True)
class Goal:
    """A bound on the median of a value over the rounds.

    Attributes:
        text: What is compared.
        value: Returns the value of a round.
        bound: The bound.
        at_least: Whether the bound is a minimum; else it is a maximum.
        unit: Unit of the value.
    """

    text: str
    value: Callable[[Round, Clock], float | None]
    bound: float
    at_least: bool
    unit: str = "x"

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Suite:
    """A comparison of variants.

    Attributes:
        name: Name on the command line.
        about: What the variants do, for the table.
        size: Number of examples.
        variants: The commands to compare.
        figures: The columns of the table.
        goals: Bounds on figures.
        rounds: Default number of rounds; each round has its own seed.
        facts: Returns sentences about the outputs. It receives one mapping from variant to output per round.
    """

    name: str
    about: str
    size: int
    variants: Sequence[Variant]
    figures: Sequence[Figure]
    goals: Sequence[Goal] = ()
    rounds: int = 3
    facts: Callable[[Sequence[Mapping[str, Any]]], list[str]] = field(default=lambda _rounds: [])


def total_seconds(record: Record, clock: Clock) -> float:
    """Return the seconds of the whole process, start-up included."""
    return record.cpu_seconds if clock == "cpu" else record.wall_seconds


def peak_bytes(record: Record, _clock: Clock) -> float:
    """Return the peak memory in bytes."""
    return float(record.peak_bytes)


def seconds_until(mark: str) -> Value:
    """Return a function that returns the seconds from the start of the process to a mark."""
    return lambda record, clock: record.get_mark(mark, clock)


def seconds_between(first: str, last: str) -> Value:
    """Return a function that returns the seconds from one mark to another."""

    def subtract(record: Record, clock: Clock) -> float | None:
        start, end = record.get_mark(first, clock), record.get_mark(last, clock)
        return None if start is None or end is None else end - start

    return subtract


def per_example(seconds: Value) -> Value:
    """Return a function that divides seconds by the number of examples, which may differ between variants."""

    def divide(record: Record, clock: Clock) -> float | None:
        total = seconds(record, clock)
        return None if total is None else total / record.output["examples"]

    return divide


def compute_mfu(seconds: Value, flops_per_example: float) -> Value:
    """Return a function that returns the model FLOPs utilization.

    This is the speed of the useful operations, as a fraction of the speed of plain matrix products on this machine.
    """

    def divide(record: Record, clock: Clock) -> float | None:
        time = per_example(seconds)(record, clock)
        return None if time is None else flops_per_example / time / (1e9 * record.gflops[clock == "cpu"])

    return divide


def compare(value: Value, numerator: str, denominator: str) -> Callable[[Round, Clock], float | None]:
    """Return a function that returns the ratio of a value between two variants of one round."""

    def divide(runs: Round, clock: Clock) -> float | None:
        if numerator not in runs or denominator not in runs:
            return None
        above, below = value(runs[numerator], clock), value(runs[denominator], clock)
        return None if above is None or not below else above / below

    return divide


def value_of(value: Value, variant: str) -> Callable[[Round, Clock], float | None]:
    """Return a function that returns the value of one variant."""
    return lambda runs, clock: value(runs[variant], clock) if variant in runs else None
