"""What all parts of the soak test share: a folder per run, the uninterrupted run of each case, and the results."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from llmkit import tasks
from tests.soak import forks
from tests.soak.cases import Case, draw_case
from tests.soak.outcome import Outcome, list_differences, read_outcome, record

__all__ = ["Result", "Uninterrupted", "Workspace", "no_fault"]


@dataclass
class Result:
    """One line of the table.

    Attributes:
        name: Name of the part.
        of: Number of trials.
        good: Number of trials that ended as expected.
        faults: One line per trial that did not.
        counts: Numbers of trials by kind.
        largest: Largest difference of weights, if rounding errors are allowed.
        seconds: Duration.
    """

    name: str
    of: int = 0
    good: int = 0
    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    largest: float | None = None
    seconds: float = 0.0

    def add(self, faults: Sequence[str], count: int = 1) -> None:
        self.of += count
        self.good += 0 if faults else count
        self.faults += faults

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def join(self, other: Result) -> None:
        """Add the result of another job of the same part."""
        self.of, self.good, self.faults = (
            self.of + other.of,
            self.good + other.good,
            self.faults + other.faults,
        )
        self.counts = {
            k: self.counts.get(k, 0) + other.counts.get(k, 0) for k in {**self.counts, **other.counts}
        }
        self.seconds += other.seconds
        if other.largest is not None:
            self.largest = max(self.largest or 0.0, other.largest)

    def __str__(self) -> str:
        about = [f"{count} {what}" for what, count in self.counts.items()]
        about += [] if self.largest is None else [f"weights differ by at most {self.largest:.1e}"]
        return f"{self.name:<36} {self.good:>4} of {self.of:<4} {self.seconds:>6.0f} s  {', '.join(about)}"


@dataclass(frozen=True)
class Uninterrupted:
    """An uninterrupted run, and how long it took."""

    outcome: Outcome
    folder: Path
    seconds: float


def no_fault(rank: int) -> None:
    """The hook of a run without a fault."""


@dataclass
class Workspace:
    """The workspace of one job.

    Attributes:
        folder: An empty folder.
        models: The folder with the checkpoints.
        seed: Random seed.
        say: Prints a line of progress.
        uninterrupted: The uninterrupted runs so far.
    """

    folder: Path
    models: Path
    seed: int
    say: Callable[[str], None]
    uninterrupted: dict[tuple[str, int], Uninterrupted] = field(default_factory=dict)

    @cached_property
    def rng(self) -> random.Random:
        return random.Random(f"{self.seed} {self.folder.name}")

    def cases(self, count: int, *, no_dropout: bool = False) -> list[Case]:
        """Return this many cases, with the tasks in turn."""
        names = tasks.names()
        first = self.rng.randrange(len(names))
        order = [names[(first + number) % len(names)] for number in range(count)]
        return [self.case(number, task, no_dropout=no_dropout) for number, task in enumerate(order)]

    def case(self, number: int, task: str, *, no_dropout: bool = False) -> Case:
        return draw_case(number, task, self.rng, self.folder, self.models, no_dropout=no_dropout)

    def new_folder(self, case: Case) -> Path:
        """Create a folder for one run of the case."""
        number = sum(1 for _ in case.recipe.parent.glob("run-*"))
        folder = case.recipe.parent / f"run-{number}"
        folder.mkdir()
        return folder

    def start(
        self, case: Case, folder: Path, *changes: str, processes: int = 1, hook: forks.Hook = no_fault
    ) -> forks.Child:
        """Start or resume the run of a case in this folder, with its own cache."""
        for path in folder.glob("rank-*"):
            path.unlink()

        def prepare(rank: int) -> None:
            os.environ["LLMKIT_CACHE"] = str(folder / "cache")
            record(folder, rank)
            hook(rank)

        return forks.start(case.command(folder, *changes), folder, processes=processes, hook=prepare)

    def run_uninterrupted(self, case: Case, *changes: str, processes: int = 1) -> Uninterrupted:
        """Return the uninterrupted run of a case, which is run only once."""
        key = " ".join([str(case.recipe), *changes]), processes
        if key not in self.uninterrupted:
            folder, started = self.new_folder(case), time.monotonic()
            code = self.start(case, folder, *changes, processes=processes).wait()
            assert code == 0, (case, read_output(folder))
            self.uninterrupted[key] = Uninterrupted(read_outcome(folder), folder, time.monotonic() - started)
        return self.uninterrupted[key]

    def finish(self, case: Case, folder: Path, *changes: str, processes: int = 1) -> list[str]:
        """Resume a run to its end; return the differences from the uninterrupted run, or the failure, as lines."""
        code = self.start(case, folder, *changes, processes=processes).wait()
        if code:
            return [
                f"{describe(case, folder)}: the last resume ended with {code}: {read_output(folder)[-300:]}"
            ]
        different = list_differences(
            read_outcome(folder), self.run_uninterrupted(case, *changes, processes=processes).outcome
        )
        return [f"{describe(case, folder)}: {', '.join(different)} differ"] if different else []


def describe(case: Case, folder: Path) -> str:
    return f"{case.task} {folder.parent.parent.name}/{folder.parent.name}/{folder.name}"


def read_output(folder: Path) -> str:
    return (folder / "output.txt").read_text(encoding="utf-8", errors="replace")


def cycle_cases(cases: Sequence[Case]) -> Iterator[Case]:
    while True:
        yield from cases
