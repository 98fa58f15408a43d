"""`python -m tests.soak short|long [PART ...]`: break runs in every way there is, go on with them, compare.

Prints a table; exit code 1 when anything differs from the run that nobody broke.
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

from tests.soak import warm
from tests.soak.cases import write_checkpoints
from tests.soak.disk import flipped_bytes, forgotten, full_disks
from tests.soak.evaluation import evaluation
from tests.soak.ground import Ground, Result
from tests.soak.kills import kills
from tests.soak.numbers import bad_numbers, out_of_memory
from tests.soak.stops import elastic, signals

__all__ = ["main"]

Piece = tuple[str, Callable[[Ground], Result]]

SHORT: list[Piece] = [
    ("kills-1", partial(kills, count=20, cases=13, processes=1)),
    ("kills-2", partial(kills, count=5, cases=2, processes=2)),
    ("forgotten", forgotten),
    ("signals", partial(signals, count=8, cases=1)),
    ("numbers", partial(bad_numbers, count=6, cases=1)),
    ("memory", partial(out_of_memory, count=2, cases=1)),
    ("disk", partial(full_disks, levels=4)),
    ("flips", partial(flipped_bytes, places=1)),
    ("elastic", partial(elastic, count=1)),
    ("evaluation", evaluation),
]
LONG: list[Piece] = [
    *[("kills-1", partial(kills, count=25, cases=5, processes=1))] * 8,
    *[("kills-2", partial(kills, count=10, cases=3, processes=2))] * 5,
    *[("signals", partial(signals, count=10, cases=3))] * 4,
    *[("numbers", partial(bad_numbers, count=10, cases=5))] * 2,
    *[("memory", partial(out_of_memory, count=10, cases=5))] * 2,
    ("elastic", partial(elastic, count=13)),
    ("disk", partial(full_disks, levels=12)),
    ("flips", partial(flipped_bytes, places=3)),
    ("forgotten", forgotten),
    ("evaluation", evaluation),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("size", choices=["short", "long"])
    parser.add_argument("parts", nargs="*", help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="pieces at a time")
    parser.add_argument("--folder", type=Path, help="keep the runs here; else in a folder that is deleted")
    parser.add_argument("--json", type=Path, help="write the results into this file too")
    asked = parser.parse_args()
    warm.warm_up()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    write_checkpoints(folder / "models")
    pieces = SHORT if asked.size == "short" else LONG
    chosen = [piece for piece in pieces if not asked.parts or piece[0] in asked.parts]
    results: dict[str, Result] = {}
    for name, result in _all(chosen, folder, asked.seed, asked.jobs):
        results[name].join(result) if name in results else results.update({name: result})
    print(*results.values(), *(fault for result in results.values() for fault in result.faults), sep="\n")
    if asked.json:
        asked.json.write_text(json.dumps({name: asdict(result) for name, result in results.items()}))
    if not asked.folder:
        shutil.rmtree(folder)
    return int(any(result.faults for result in results.values()))


def _all(pieces: list[Piece], folder: Path, seed: int, jobs: int) -> Iterator[tuple[str, Result]]:
    """Each piece in a fork of its own, so many at a time; their results in the order of the pieces."""
    waiting, running, files = list(enumerate(pieces)), [], []
    while waiting or running:
        while waiting and len(running) < jobs:
            number, (name, part) = waiting.pop(0)
            own = folder / f"{name}-{number}"
            own.mkdir()
            files.append((name, own / "result.json"))
            running.append(warm.Child(partial(_piece, part, own, folder / "models", seed)))
        running = [child for child in running if child.poll() is None]
        time.sleep(0.1)
    for name, file in files:
        died = Result(name, faults=[f"{file.parent} has no result"])
        yield name, Result(**json.loads(file.read_text())) if file.exists() else died


def _piece(part: Callable[[Ground], Result], folder: Path, models: Path, seed: int) -> int:
    began = time.monotonic()
    result = part(Ground(folder, models, seed, partial(_say, folder.name)))
    result.seconds = time.monotonic() - began
    (folder / "result.json").write_text(json.dumps(asdict(result)))
    return 0


def _say(name: str, line: str) -> None:
    print(f"{name:<14} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
