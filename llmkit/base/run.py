"""The run folder: its layout, its lock, and how to find one.

A run is a folder, and every later command takes that folder.

runs/sentiment/20261122-141502-3f2a1b/
    recipe.yaml        the recipe with every default, written before the first step
    environment.json   versions, device, threads, processes, command
    log.jsonl          one line per step, evaluation and checkpoint
    checkpoints/       everything needed to resume
    stopped.json       exists only while the run waits for --resume: the reason and the command
    model/             loads with plain transformers
    predictions/       one line per example, in the order of the data
    scores.json  report.json  report.md  report.html  plots/
    seed-1/  seed-2/   with several seeds: one run folder each; model/ and predictions/ above are copies of one of them
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

from filelock import FileLock, Timeout

from llmkit.base import files
from llmkit.base.errors import RunError, suggest

__all__ = ["RUNS", "Run", "find_runs", "make_run_path"]

RUNS = Path("runs")
SEED_FOLDER = re.compile(r"seed-(\d+)")


@dataclass(frozen=True)
class Run:
    """The paths and the state of a run folder.

    Attributes:
        path: The run folder.
    """

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
        """The file that exists while the run is stopped by a signal or train.max_hours. Schedulers check for it."""
        return self.path / "stopped.json"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    def predictions(self, split: str) -> Path:
        """Return the file with the predictions of a split."""
        return self.path / "predictions" / f"{split}.jsonl"

    def of_seed(self, seed: int) -> Run:
        """Return the run of one seed, a folder inside this run of several seeds."""
        return Run(self.path / f"seed-{seed}")

    @property
    def seeds(self) -> dict[int, Run]:
        """The runs of the single seeds that were started, by seed; empty if this is a run of one seed."""
        matches = {path: SEED_FOLDER.fullmatch(path.name) for path in self.path.glob("seed-*")}
        runs = {int(match[1]): Run(path) for path, match in matches.items() if match}
        return {seed: run for seed, run in sorted(runs.items()) if run.exists}

    @property
    def exists(self) -> bool:
        return self.recipe.is_file()

    @property
    def finished(self) -> bool:
        """Whether the run has a report, which is written last."""
        return self.report.is_file()

    def read_report(self) -> dict[str, Any]:
        """Return the content of report.json. Raises RunError R05 if the file is damaged."""
        try:
            content: dict[str, Any] = json.loads(self.report.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(
                "R05",
                str(self.report),
                f"the report is damaged ({error})",
                "delete the file and run the command again with --resume",
            ) from error
        return content

    def read_log(self) -> list[dict[str, Any]]:
        """Return the lines of log.jsonl. The unfinished last line of a killed run is left out."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the run folder for writing, and remove what a killed process left behind.

        Raises:
            RunError: R03 if another process holds the lock. The second process does not wait.
        """
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
                "wait for it, or choose another --out",
            ) from None

    @staticmethod
    def open(path: Path) -> Run:
        """Return the run in this folder, finished or not. Raises RunError R01 if the folder is not a run folder."""
        run = Run(path)
        if not run.exists:
            paths = [str(other.path) for other in find_runs(path.parent if path.parent.exists() else RUNS)]
            raise RunError(
                "R01",
                str(path),
                f"not a run folder (recipe.yaml is missing){suggest(str(path), paths)}",
                "choose one of the runs that `llmkit runs list` shows",
            )
        return run


def make_run_path(name: str, digest: str, parent: Path = RUNS) -> Path:
    """Return a new run folder: runs/NAME/DATE-TIME-DIGEST, so that names sort by time and differ between recipes."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return files.find_free_path(parent / name / f"{stamp}-{digest[:6]}")


def find_runs(parent: Path = RUNS) -> list[Run]:
    """Return all runs below this folder, oldest first. A run of several seeds counts as one run."""
    if not parent.is_dir():
        return []
    runs = [Run(path.parent) for path in parent.rglob("recipe.yaml")]
    whole = [
        run
        for run in runs
        if not (SEED_FOLDER.fullmatch(run.path.name) and Run(run.path.parent).exists)  # a run of one seed
    ]
    return sorted(whole, key=lambda run: run.path.name)
