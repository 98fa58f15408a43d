"""`python -m tests.soak short|long [PART ...]`: break runs in every way there is, go on with them, compare.

Prints a table; exit code 1 when anything differs from the run that nobody broke.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.soak import warm
from tests.soak.ground import Ground, Result

__all__ = ["main"]


def parts(long: bool) -> dict[str, Callable[[Ground], Result]]:
    """What is done, by name, with how many trials."""
    from tests.soak.disk import flipped_bytes, forgotten, full_disks
    from tests.soak.evaluation import evaluation
    from tests.soak.kills import kills
    from tests.soak.numbers import bad_numbers, out_of_memory
    from tests.soak.stops import elastic, signals

    return {
        "kills-1": lambda ground: kills(ground, 200 if long else 20, 39 if long else 13, 1),
        "kills-2": lambda ground: kills(ground, 50 if long else 5, 13 if long else 2, 2),
        "forgotten": forgotten,
        "signals": lambda ground: signals(ground, 40 if long else 8, 10 if long else 2),
        "numbers": lambda ground: bad_numbers(ground, 20 if long else 6, 10 if long else 2),
        "memory": lambda ground: out_of_memory(ground, 20 if long else 4, 10 if long else 2),
        "disk": lambda ground: full_disks(ground, 12 if long else 4),
        "flips": lambda ground: flipped_bytes(ground, 3 if long else 1),
        "elastic": lambda ground: elastic(ground, 13 if long else 2),
        "evaluation": evaluation,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("size", choices=["short", "long"])
    parser.add_argument("parts", nargs="*", help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the runs here; else in a folder that is deleted")
    parser.add_argument("--json", type=Path, help="write the results into this file too")
    asked = parser.parse_args()
    warm.warm_up()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    ground = Ground(folder, asked.seed, lambda line: print(line, file=sys.stderr, flush=True))
    chosen = {
        name: part
        for name, part in parts(asked.size == "long").items()
        if not asked.parts or name in asked.parts
    }
    results = {name: _timed(part, ground) for name, part in chosen.items()}
    print(*results.values(), *(fault for result in results.values() for fault in result.faults), sep="\n")
    if asked.json:
        asked.json.write_text(json.dumps({name: asdict(result) for name, result in results.items()}))
    if not asked.folder:
        shutil.rmtree(folder)
    return int(any(result.faults for result in results.values()))


def _timed(part: Callable[[Ground], Result], ground: Ground) -> Result:
    began = time.monotonic()
    result = part(ground)
    result.seconds = time.monotonic() - began
    return result


if __name__ == "__main__":
    sys.exit(main())
