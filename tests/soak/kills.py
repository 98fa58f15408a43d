"""SIGKILL at any moment, a stated share of them inside a save; and what an oracle that saw nothing would miss."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from llmkit.engine import checkpoint
from tests.faults import Fault, arm
from tests.soak.cases import Case
from tests.soak.ground import Ground, Result, in_turn, name_of, nothing, said
from tests.soak.outcome import fed
from tests.soak.warm import Child, Hook

__all__ = ["kills"]

INSIDE = 0.4  # of the kills are aimed at a save
# Exit codes by the number of processes; 1: the other one noticed before the launcher did.
KILLED = {1: (-signal.SIGKILL,), 2: (-signal.SIGKILL, 128 + signal.SIGKILL, 1)}
CALLS = 14  # that a save makes at the disk, at least


def kills(ground: Ground, count: int, cases: int, processes: int) -> Result:
    """So many kills, over runs that are killed once to three times and then resumed to the end."""
    name = f"kills, {processes} process{'es' * (processes > 1)}"
    result, rng = Result(name), ground.rng
    for case in in_turn(ground.cases(cases)):
        if result.of >= count:
            return result
        most = min(rng.choice([1, 1, 1, 2, 3]), count - result.of)
        folder, met = ground.new_folder(case), 0
        for _ in range(most):
            aimed = result.counts.get("inside a save", 0) < INSIDE * (result.of + met + 1)
            phase = _killed(ground, case, folder, rng, processes, aimed=aimed)
            met += phase is not None
            if phase:
                result.counted(phase)
            if phase and phase.startswith("ended"):
                result.faults.append(f"{name_of(case, folder)}: {phase}: {said(folder)[-300:]}")
        result.add(ground.finish(case, folder, processes=processes), met)
        ground.say(str(result))
    return result


def _killed(
    ground: Ground, case: Case, folder: Path, rng: random.Random, processes: int, *, aimed: bool
) -> str | None:
    """Start or resume the run and kill it; in which phase it was hit, None when it came to its end before."""
    whole = ground.whole(case, processes=processes)
    saves = len(whole.outcome.fed) // 2
    fault = Fault("kill", rng.randint(1, max(1, CALLS * saves // 2)))
    hook = partial(_arm_saves, fault) if aimed else nothing
    child = ground.start(case, folder, processes=processes, hook=hook)
    if not aimed:
        time.sleep(rng.uniform(0, whole.seconds))
        _kill(child, folder, rng.choice(["rank-*"] if processes == 1 else ["rank-0", "rank-1", "rank-*"]))
    code = child.wait()
    if code == 0:
        return None
    if code not in KILLED[processes]:
        return f"ended with {code}"
    return "inside a save" if aimed else _phase(folder, len(whole.outcome.fed))


def _kill(child: Child, folder: Path, ranks: str) -> None:
    """These processes; all of them with their launcher, as when a machine loses power."""
    found: list[Path] = []
    while child.poll() is None and not found:
        found = list(folder.glob(ranks))
        time.sleep(0.001)
    if ranks == "rank-*":
        child.kill()
    for path in found if child.poll() is None or ranks == "rank-*" else []:
        with suppress(ProcessLookupError, ValueError):  # it has gone, or had not yet written its number
            os.kill(int(path.read_text()), signal.SIGKILL)


def _phase(folder: Path, steps: int) -> str:
    run = folder / "run"
    if any((run / "checkpoints").glob(".tmp-*")):
        return "inside a save"
    last = max(fed(folder), default=0)
    return "before the first step" if not last else "after the last step" if last == steps else "between"


def _arm_saves(fault: Fault, rank: int) -> None:
    """Let the fault happen in the nth call that a save or its rotation makes at the disk."""
    if rank:
        return
    arm(pytest.MonkeyPatch(), fault)
    meet, saving = fault.meet, [False]

    def only_saving(written: Path | None = None) -> None:
        if saving[0]:
            meet(written)

    def within(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            saving[0] = True
            try:
                return function(*arguments, **options)
            finally:
                saving[0] = False

        return call

    fault.meet = only_saving  # type: ignore[method-assign]
    checkpoint.save, checkpoint.rotate = within(checkpoint.save), within(checkpoint.rotate)


def at_step(step: int, number: int, of_rank: int = 0) -> Hook:
    """Send this signal to the process itself when it begins this step."""

    def hook(rank: int) -> None:
        from llmkit.engine.session import Session

        seed_update = Session.seed_step

        def seeded(session: Any, now: int) -> None:
            seed_update(session, now)
            if now == step and rank == of_rank:
                os.kill(os.getpid(), number)

        Session.seed_step = seeded  # type: ignore[method-assign]

    return hook
