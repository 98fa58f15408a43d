"""A run is a folder, and every later command takes the folder.

runs/sentiment/20261122-141502-3f2a1b/
    recipe.yaml        resolved, written before the first step
    environment.json   versions, device, threads, processes, command
    log.jsonl          one line a step, evaluation, checkpoint
    checkpoints/       all that a resume needs
    stopped.json       only while the run waits for --resume: why, and the command
    model/             opens with plain transformers
    predictions/       one line an example, in the order of the data
    scores.json  report.json  report.md  report.html  plots/
    seed-1/  seed-2/   with several seeds: a run for each; then model/ and predictions/ above are one seed's
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmkit.base import files
from llmkit.base.errors import ErrorDetail, RunError, suggest

__all__ = ["RUNS", "Run", "find_runs", "make_run_path"]

RUNS = Path("runs")
OF_SEED = re.compile(r"seed-(\d+)")


@dataclass(frozen=True)
class Run:
    """The layout of a run folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def stopped(self) -> Path:
        """There while a signal or train.max_hours has stopped it: schedulers look for it."""
        return self.path / "stopped.json"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    def predictions(self, part: str) -> Path:
        return self.path / "predictions" / f"{part}.jsonl"

    def of_seed(self, seed: int) -> Run:
        """The run of one of several seeds: a run folder in this one."""
        return Run(self.path / f"seed-{seed}")

    @property
    def seeds(self) -> dict[int, Run]:
        """The runs of several seeds that were begun so far, by their seeds; empty for a run of one seed."""
        named = {path: OF_SEED.fullmatch(path.name) for path in self.path.glob("seed-*")}
        found = {int(match[1]): Run(path) for path, match in named.items() if match}
        return {seed: run for seed, run in sorted(found.items()) if run.exists}

    @property
    def exists(self) -> bool:
        return self.recipe.is_file()

    @property
    def finished(self) -> bool:
        """The report is written last."""
        return self.report.is_file()

    def read_report(self) -> dict[str, Any]:
        """Raises RunError R05 when the report is damaged."""
        try:
            content: dict[str, Any] = json.loads(self.report.read_text(encoding="utf-8"))
        except ValueError as error:
            problem = ErrorDetail(
                "R05", str(self.report), f"is damaged ({error})", "remove it and use --resume"
            )
            raise RunError.of(problem) from error
        return content

    def read_log(self) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").split("\n")[:-1]  # a killed run may leave half a line
        return [json.loads(line) for line in lines]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer; a second one is refused with RunError R03, not made to wait."""
        from filelock import FileLock, Timeout

        files.create_folder(self.path)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                files.remove_leftovers(self.path)
                files.remove_leftovers(self.checkpoints)
                yield
        except Timeout:
            raise RunError(
                "R03",
                str(self.path),
                "another process is writing this run",
                "wait for it, or choose --out",
            ) from None

    @staticmethod
    def open(path: Path) -> Run:
        """The finished or unfinished run in this folder. Raises RunError R01 when there is none."""
        run = Run(path)
        if not run.exists:
            near = [str(other.path) for other in find_runs(path.parent if path.parent.exists() else RUNS)]
            raise RunError(
                "R01",
                str(path),
                f"is no run folder (it has no recipe.yaml){suggest(str(path), near)}",
                "`llmkit runs list` shows the runs",
            )
        return run


def make_run_path(name: str, digest: str, parent: Path = RUNS) -> Path:
    """A folder name that sorts by time and tells recipes apart: runs/NAME/DATE-TIME-DIGEST."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return files.find_free_path(parent / name / f"{stamp}-{digest[:6]}")


def find_runs(parent: Path = RUNS) -> list[Run]:
    """All runs below this folder, oldest first; those of several seeds as the one run that they belong to."""
    found = [Run(path.parent) for path in parent.rglob("recipe.yaml")] if parent.is_dir() else []
    return sorted((run for run in found if not _is_of_seed(run)), key=lambda run: run.path.name)


def _is_of_seed(run: Run) -> bool:
    return bool(OF_SEED.fullmatch(run.path.name)) and Run(run.path.parent).exists
