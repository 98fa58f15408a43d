"""SIGKILL at random moments, a given fraction of them during a save."""

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
from tests.soak.forks import Child, Hook
from tests.soak.outcome import read_fed
from tests.soak.workspace import Result, Workspace, cycle_cases, describe, no_fault, read_output

__all__ = ["kill_runs"]

INSIDE = 0.4  # fraction of the kills that are aimed at a save
# Exit codes by the number of processes. 1: the other process noticed before the launcher did.
KILLED = {1: (-signal.SIGKILL,), 2: (-signal.SIGKILL, 128 + signal.SIGKILL, 1)}
CALLS = 14  # smallest number of disk operations in a save


def kill_runs(workspace: Workspace, count: int, cases: int, processes: int) -> Result:
    """Kill runs one to three times each, and resume them to the end."""
    name = f"kills, {processes} process{'es' * (processes > 1)}"
    result, rng = Result(name), workspace.rng
    for case in cycle_cases(workspace.cases(cases)):
        if result.of >= count:
            return result
        most = min(rng.choice([1, 1, 1, 2, 3]), count - result.of)
        folder, hits = workspace.new_folder(case), 0
        for _ in range(most):
            aimed = result.counts.get("inside a save", 0) < INSIDE * (result.of + hits + 1)
            phase = _kill_run(workspace, case, folder, rng, processes, aimed=aimed)
            hits += phase is not None
            if phase:
                result.count(phase)
            if phase and phase.startswith("ended"):
                result.faults.append(f"{describe(case, folder)}: {phase}: {read_output(folder)[-300:]}")
        result.add(workspace.finish(case, folder, processes=processes), hits)
        workspace.say(str(result))
    return result


def _kill_run(
    workspace: Workspace, case: Case, folder: Path, rng: random.Random, processes: int, *, aimed: bool
) -> str | None:
    """Start or resume the run and kill it. Returns the phase in which it was killed, or None if it finished before."""
    uninterrupted = workspace.run_uninterrupted(case, processes=processes)
    saves = len(uninterrupted.outcome.fed) // 2
    fault = Fault("kill", rng.randint(1, max(1, CALLS * saves // 2)))
    hook = partial(_arm_saves, fault) if aimed else no_fault
    child = workspace.start(case, folder, processes=processes, hook=hook)
    if not aimed:
        time.sleep(rng.uniform(0, uninterrupted.seconds))
        _kill_processes(
            child, folder, rng.choice(["rank-*"] if processes == 1 else ["rank-0", "rank-1", "rank-*"])
        )
    code = child.wait()
    if code == 0:
        return None
    if code not in KILLED[processes]:
        return f"ended with {code}"
    return "inside a save" if aimed else _find_phase(folder, len(uninterrupted.outcome.fed))


def _kill_processes(child: Child, folder: Path, ranks: str) -> None:
    """Kill the processes of these ranks; for all ranks also the launcher, as if the machine lost power."""
    files: list[Path] = []
    while child.poll() is None and not files:
        files = list(folder.glob(ranks))
        time.sleep(0.001)
    if ranks == "rank-*":
        child.kill()
    for path in files if child.poll() is None or ranks == "rank-*" else []:
        with suppress(ProcessLookupError, ValueError):  # it has exited, or has not written its process id yet
            os.kill(int(path.read_text()), signal.SIGKILL)


def _find_phase(folder: Path, steps: int) -> str:
    run = folder / "run"
    if any((run / "checkpoints").glob(".tmp-*")):
        return "inside a save"
    last = max(read_fed(folder), default=0)
    return "before the first step" if not last else "after the last step" if last == steps else "between"


def _arm_saves(fault: Fault, rank: int) -> None:
    """Let the fault happen in the nth disk operation of saving or rotating checkpoints."""
    if rank:
        return
    arm(pytest.MonkeyPatch(), fault)
    count_call, saving = fault.count_call, [False]

    def count_while_saving(written: Path | None = None) -> None:
        if saving[0]:
            count_call(written)

    def mark_as_saving(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            saving[0] = True
            try:
                return function(*arguments, **options)
            finally:
                saving[0] = False

        return call

    fault.count_call = count_while_saving  # type: ignore[method-assign]
    checkpoint.save, checkpoint.rotate = mark_as_saving(checkpoint.save), mark_as_saving(checkpoint.rotate)


def signal_at_step(step: int, number: int, of_rank: int = 0) -> Hook:
    """Return a hook with which the process of this rank sends itself a signal at the start of a step."""

    def hook(rank: int) -> None:
        from llmkit.engine.session import Session

        seed_step = Session.seed_step

        def seed_and_signal(session: Any, current: int) -> None:
            seed_step(session, current)
            if current == step and rank == of_rank:
                os.kill(os.getpid(), number)

        Session.seed_step = seed_and_signal  # type: ignore[method-assign]

    return hook
