"""The soak test: interrupt runs in many ways, resume them, and compare the results.

Usage: python -m tests.soak short|long [PART ...]

Prints a table. The exit code is 1 if anything differs from an uninterrupted run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.soak import forks
from tests.soak.cases import write_checkpoints
from tests.soak.disk import fill_disks, flip_bytes, lose_state
from tests.soak.evaluation import compare_predictions
from tests.soak.kills import kill_runs
from tests.soak.numbers import exhaust_memory, spoil_numbers
from tests.soak.stops import change_processes, signal_runs
from tests.soak.workspace import Result, Workspace

__all__ = ["main"]

Job = tuple[str, Callable[[Workspace], Result]]

SHORT: list[Job] = [
    ("kills-1", partial(kill_runs, count=20, cases=13, processes=1)),
    ("kills-2", partial(kill_runs, count=5, cases=2, processes=2)),
    ("forgotten", lose_state),
    ("signals", partial(signal_runs, count=8, cases=1)),
    ("numbers", partial(spoil_numbers, count=6, cases=1)),
    ("memory", partial(exhaust_memory, count=2, cases=1)),
    ("disk", partial(fill_disks, levels=4)),
    ("flips", partial(flip_bytes, places=1)),
    ("elastic", partial(change_processes, count=1)),
    ("evaluation", compare_predictions),
]
LONG: list[Job] = [
    *[("kills-1", partial(kill_runs, count=25, cases=5, processes=1))] * 8,
    *[("kills-2", partial(kill_runs, count=10, cases=3, processes=2))] * 5,
    *[("signals", partial(signal_runs, count=10, cases=3))] * 4,
    *[("numbers", partial(spoil_numbers, count=10, cases=5))] * 2,
    *[("memory", partial(exhaust_memory, count=10, cases=5))] * 2,
    ("elastic", partial(change_processes, count=13)),
    ("disk", partial(fill_disks, levels=12)),
    ("flips", partial(flip_bytes, places=3)),
    ("forgotten", lose_state),
    ("evaluation", compare_predictions),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("size", choices=["short", "long"])
    parser.add_argument("parts", nargs="*", help="parts to run (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="random seed")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="number of jobs to run at the same time"
    )
    parser.add_argument(
        "--folder", type=Path, help="folder for the runs, which is kept (default: a temporary folder)"
    )
    parser.add_argument("--json", type=Path, help="also write the results to this JSON file")
    options = parser.parse_args()
    forks.import_everything()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    write_checkpoints(folder / "models")
    jobs = SHORT if options.size == "short" else LONG
    selected = [job for job in jobs if not options.parts or job[0] in options.parts]
    results: dict[str, Result] = {}
    for name, result in _run_all(selected, folder, options.seed, options.jobs):
        results[name].join(result) if name in results else results.update({name: result})
    print(*results.values(), *(fault for result in results.values() for fault in result.faults), sep="\n")
    if options.json:
        options.json.write_text(json.dumps({name: asdict(result) for name, result in results.items()}))
    if not options.folder:
        shutil.rmtree(folder)
    return int(any(result.faults for result in results.values()))


def _run_all(jobs: list[Job], folder: Path, seed: int, limit: int) -> Iterator[tuple[str, Result]]:
    """Run each job in its own fork, `limit` of them at a time. Yields the results in the order of the jobs."""
    waiting, running, files = list(enumerate(jobs)), [], []
    while waiting or running:
        while waiting and len(running) < limit:
            number, (name, part) = waiting.pop(0)
            job_folder = folder / f"{name}-{number}"
            job_folder.mkdir()
            files.append((name, job_folder / "result.json"))
            running.append(forks.Child(partial(_run_job, part, job_folder, folder / "models", seed)))
        running = [child for child in running if child.poll() is None]
        time.sleep(0.1)
    for name, file in files:
        missing = Result(name, faults=[f"{file.parent} has no result"])
        yield name, Result(**json.loads(file.read_text())) if file.exists() else missing


def _run_job(part: Callable[[Workspace], Result], folder: Path, models: Path, seed: int) -> int:
    started = time.monotonic()
    result = part(Workspace(folder, models, seed, partial(_print_line, folder.name)))
    result.seconds = time.monotonic() - started
    (folder / "result.json").write_text(json.dumps(asdict(result)))
    return 0


def _print_line(name: str, line: str) -> None:
    print(f"{name:<14} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
