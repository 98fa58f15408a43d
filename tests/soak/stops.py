"""SIGTERM and SIGUSR1 at random moments of training, and runs that are resumed with another number of processes."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from tests.soak.cases import Case
from tests.soak.kills import signal_at_step
from tests.soak.outcome import read_fed, read_outcome
from tests.soak.workspace import Result, Workspace, cycle_cases, describe, read_output

__all__ = ["CLOSE", "GENTLE", "change_processes", "largest_difference", "signal_runs"]

STOPPED = 75  # exit code
CLOSE = 1e-6  # difference of weights from sums in another order
NOISE = 1e-6  # gradients below this are rounding errors
BETA = 0.999  # decay of the second moment in AdamW
GENTLE = ("train.learning_rate=1e-4", "train.early_stopping=null", "evaluate.best=loss")


def signal_runs(workspace: Workspace, count: int, cases: int) -> Result:
    """Send SIGTERM and SIGUSR1 in turn to one process and to the launcher of two."""
    result, rng = Result("signals, 1 and 2 processes"), workspace.rng
    for case in cycle_cases(workspace.cases(cases)):
        if result.of >= count:
            return result
        number = [signal.SIGTERM, signal.SIGUSR1][result.of % 2]
        processes = 1 + result.of // 2 % 2
        folder = workspace.new_folder(case)
        code = _start_and_signal(workspace, case, folder, rng, number, processes)
        if code == 0:  # it finished before the signal
            continue
        faults = _check_stop(case, folder, code, processes)
        result.add(faults or workspace.finish(case, folder, processes=processes))
        workspace.say(str(result))
    return result


def _start_and_signal(
    workspace: Workspace, case: Case, folder: Path, rng: random.Random, number: int, processes: int
) -> int:
    """Start the run and send the signal some milliseconds after a random step; return the exit code."""
    steps = len(workspace.run_uninterrupted(case, processes=processes).outcome.fed)
    target = rng.randint(1, steps - 2)
    child = workspace.start(case, folder, processes=processes)
    while child.poll() is None and target not in read_fed(folder):
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.02))
    child.send_signal(number)
    return child.wait()


def _check_stop(case: Case, folder: Path, code: int, processes: int) -> list[str]:
    """Check the exit code, stopped.json, the checkpoint, and that all processes stopped at the same step."""
    run = folder / "run"
    if code != STOPPED or not (run / "stopped.json").exists():
        return [f"{describe(case, folder)}: the signal ended it with {code}: {read_output(folder)[-300:]}"]
    step = json.loads((run / "stopped.json").read_text())["step"]
    last = {
        rank: max(step for step, ranks in read_fed(folder).items() if rank in ranks)
        for rank in range(processes)
    }
    logged = json.loads((run / "log.jsonl").read_text().splitlines()[-1])["step"]
    steps = {**last, "log": logged, "checkpoint": int(max((run / "checkpoints").glob("step-*")).name[5:])}
    return (
        [] if set(steps.values()) == {step} else [f"{describe(case, folder)}: saved at {step}, but {steps}"]
    )


def change_processes(workspace: Workspace, count: int) -> Result:
    """Resume with 1, 2 and 1 processes: each step must have the same examples, and the weights must be close."""
    result, rng = Result("processes 1 -> 2 -> 1", largest=0.0), workspace.rng
    for case in workspace.cases(count, no_dropout=True):
        uninterrupted = workspace.run_uninterrupted(case, *GENTLE)
        steps = len(uninterrupted.outcome.fed)
        first = rng.randint(1, steps // 2)
        stops = [(1, first), (2, rng.randint(first + 1, steps - 1)), (1, None)]
        folder, codes = workspace.new_folder(case), []
        for processes, stop in stops:
            hook = signal_at_step(stop or 0, signal.SIGTERM)
            codes.append(workspace.start(case, folder, *GENTLE, processes=processes, hook=hook).wait())
        faults = [f"{describe(case, folder)}: ended with {codes}: {read_output(folder)[-300:]}"]
        if codes == [STOPPED, STOPPED, 0]:
            difference = largest_difference(uninterrupted.folder / "run", folder / "run")
            result.largest = max(result.largest or 0.0, difference)
            faults = _check_examples(folder, uninterrupted.outcome.fed)
            faults += (
                [f"{describe(case, folder)}: weights differ by {difference:.1e}"]
                if difference > CLOSE
                else []
            )
        result.add(faults)
        workspace.say(str(result))
    return result


def _check_examples(folder: Path, expected: dict[int, dict[int, list[list[object]]]]) -> list[str]:
    fed = read_outcome(folder).fed
    if _list_steps(fed) != _list_steps(expected):
        return [f"{folder}: a step has other examples"]
    epochs: dict[int, Counter[int]] = {}
    for epoch, examples in _list_steps(fed).values():
        epochs.setdefault(epoch, Counter()).update(examples)
    complete = sorted(epochs)[:-1]
    each_once = all(set(epochs[epoch].values()) == {1} for epoch in epochs)
    same_examples = len({frozenset(epochs[epoch]) for epoch in complete}) <= 1
    return (
        []
        if each_once and same_examples
        else [f"{folder}: an example occurred twice in an epoch, or not at all"]
    )


def _list_steps(fed: dict[int, dict[int, list[list[object]]]]) -> dict[int, tuple[int, list[int]]]:
    """Return the epoch and the sorted examples of each step, over all processes."""
    steps = {}
    for step, ranks in fed.items():
        batches = [batch for part in ranks.values() for batch in part]
        steps[step] = batches[0][0], sorted(index for batch in batches for index in batch[1])
    return steps


def largest_difference(one: Path, other: Path) -> float:
    """Return the largest difference between the weights in the newest checkpoints of two runs.

    Weights whose gradient is only a rounding error (such as a bias before a softmax) are left out, because AdamW makes
    a full step in the direction of its sign.
    """
    newest = [max((run / "checkpoints").glob("step-*")) for run in (one, other)]
    mine, theirs = (load_file(checkpoint / "weights.safetensors") for checkpoint in newest)
    moments = load_file(newest[0] / "optimizer.safetensors")
    differences = {name: abs(mine[name] - theirs[name]) for name in mine}
    return max(float((differences[name] * _has_gradient(moments, name)).max()) for name in mine)


def _has_gradient(moments: dict[str, Any], name: str) -> Any:
    """Return which weights have gradients larger than rounding errors, by their root mean square."""
    if f"{name}/step" not in moments:
        return 1.0  # a buffer
    square = moments[f"{name}/exp_avg_sq"] / (1 - BETA ** moments[f"{name}/step"])
    return square > NOISE**2
