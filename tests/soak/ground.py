"""What all parts of the soak share: a folder for each run, each case's unbroken run, and the results' table."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from llmkit import tasks
from tests.soak import warm
from tests.soak.cases import Case, draw
from tests.soak.outcome import Outcome, differences, outcome, record

__all__ = ["Ground", "Result", "Whole", "nothing"]


@dataclass
class Result:
    """One line of the table: `good` of `of` ended as they should; a fault is a line that says which did not."""

    name: str
    of: int = 0
    good: int = 0
    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    largest: float | None = None  # difference of weights, where rounding is allowed
    seconds: float = 0.0

    def add(self, faults: Sequence[str], count: int = 1) -> None:
        self.of += count
        self.good += 0 if faults else count
        self.faults += faults

    def counted(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def join(self, other: Result) -> None:
        """Another piece of the same part."""
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
class Whole:
    """The run that nobody interrupts, and how long it took."""

    outcome: Outcome
    folder: Path
    seconds: float


def nothing(rank: int) -> None:
    """The hook of a run without faults."""


@dataclass
class Ground:
    """What a piece stands on: folder is its own and empty, models holds the checkpoints; say hears of each trial."""

    folder: Path
    models: Path
    seed: int
    say: Callable[[str], None]
    wholes: dict[tuple[str, int], Whole] = field(default_factory=dict)

    @cached_property
    def rng(self) -> random.Random:
        return random.Random(f"{self.seed} {self.folder.name}")

    def cases(self, count: int, *, still: bool = False) -> list[Case]:
        """So many, the tasks taken in turn."""
        names = tasks.names()
        first = self.rng.randrange(len(names))
        turn = [names[(first + number) % len(names)] for number in range(count)]
        return [self.case(number, task, still=still) for number, task in enumerate(turn)]

    def case(self, number: int, task: str, *, still: bool = False) -> Case:
        return draw(number, task, self.rng, self.folder, self.models, still=still)

    def new_folder(self, case: Case) -> Path:
        """For one run of the case."""
        number = sum(1 for _ in case.recipe.parent.glob("run-*"))
        folder = case.recipe.parent / f"run-{number}"
        folder.mkdir()
        return folder

    def start(
        self, case: Case, folder: Path, *changes: str, processes: int = 1, hook: warm.Hook = nothing
    ) -> warm.Child:
        """Begin the case's run in this folder, or go on with it; it has a cache of its own."""
        for path in folder.glob("rank-*"):
            path.unlink()

        def prepared(rank: int) -> None:
            os.environ["LLMKIT_CACHE"] = str(folder / "cache")
            record(folder, rank)
            hook(rank)

        return warm.start(case.command(folder, *changes), folder, processes=processes, hook=prepared)

    def whole(self, case: Case, *changes: str, processes: int = 1) -> Whole:
        key = " ".join([str(case.recipe), *changes]), processes
        if key not in self.wholes:
            folder, began = self.new_folder(case), time.monotonic()
            code = self.start(case, folder, *changes, processes=processes).wait()
            assert code == 0, (case, said(folder))
            self.wholes[key] = Whole(outcome(folder), folder, time.monotonic() - began)
        return self.wholes[key]

    def finish(self, case: Case, folder: Path, *changes: str, processes: int = 1) -> list[str]:
        """Resume to the end; what differs from the unbroken run, or that it failed: the faults to be told."""
        code = self.start(case, folder, *changes, processes=processes).wait()
        if code:
            return [f"{name_of(case, folder)}: the last resume ended with {code}: {said(folder)[-300:]}"]
        found = differences(outcome(folder), self.whole(case, *changes, processes=processes).outcome)
        return [f"{name_of(case, folder)}: {', '.join(found)} differ"] if found else []


def name_of(case: Case, folder: Path) -> str:
    return f"{case.task} {folder.parent.parent.name}/{folder.parent.name}/{folder.name}"


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text(encoding="utf-8", errors="replace")


def in_turn(cases: Sequence[Case]) -> Iterator[Case]:
    while True:
        yield from cases
