"""SIGTERM and SIGUSR1 at any moment of the training, and runs that go on with another number of processes."""

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
from tests.soak.ground import Ground, Result, in_turn, name_of, said
from tests.soak.kills import at_step
from tests.soak.outcome import fed, outcome

__all__ = ["CLOSE", "GENTLE", "elastic", "largest_difference", "signals"]

STOPPED = 75
CLOSE = 1e-6  # weights after another split of the same sums
NOISE = 1e-6  # gradients
BETA = 0.999  # AdamW's, of the second moment
GENTLE = ("train.learning_rate=1e-4", "train.early_stopping=null", "evaluate.best=loss")


def signals(ground: Ground, count: int, cases: int) -> Result:
    """SIGTERM and SIGUSR1 in turn, to one process and to the launcher of two."""
    result, rng = Result("signals, 1 and 2 processes"), ground.rng
    for case in in_turn(ground.cases(cases)):
        if result.of >= count:
            return result
        number = [signal.SIGTERM, signal.SIGUSR1][result.of % 2]
        processes = 1 + result.of // 2 % 2
        folder = ground.new_folder(case)
        code = _signalled(ground, case, folder, rng, number, processes)
        if code == 0:  # it came to its end before
            continue
        faults = _stopped_well(case, folder, code, processes)
        result.add(faults or ground.finish(case, folder, processes=processes))
        ground.say(str(result))
    return result


def _signalled(
    ground: Ground, case: Case, folder: Path, rng: random.Random, number: int, processes: int
) -> int:
    """Start the run and signal it some milliseconds after a step drawn at random; its exit code."""
    steps = len(ground.whole(case, processes=processes).outcome.fed)
    awaited = rng.randint(1, steps - 2)
    child = ground.start(case, folder, processes=processes)
    while child.poll() is None and awaited not in fed(folder):
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.02))
    child.send_signal(number)
    return child.wait()


def _stopped_well(case: Case, folder: Path, code: int, processes: int) -> list[str]:
    """Exit code 75, a marker, a checkpoint of that step, and no process a step further than another."""
    run = folder / "run"
    if code != STOPPED or not (run / "stopped.json").exists():
        return [f"{name_of(case, folder)}: the signal ended it with {code}: {said(folder)[-300:]}"]
    step = json.loads((run / "stopped.json").read_text())["step"]
    last = {rank: max(s for s, ranks in fed(folder).items() if rank in ranks) for rank in range(processes)}
    logged = json.loads((run / "log.jsonl").read_text().splitlines()[-1])["step"]
    found = {**last, "log": logged, "checkpoint": int(max((run / "checkpoints").glob("step-*")).name[5:])}
    return [] if set(found.values()) == {step} else [f"{name_of(case, folder)}: saved at {step}, but {found}"]


def elastic(ground: Ground, count: int) -> Result:
    """1 -> 2 -> 1 processes: the same examples in each update, each once an epoch, and nearly the same weights."""
    result, rng = Result("processes 1 -> 2 -> 1", largest=0.0), ground.rng
    for case in ground.cases(count, still=True):
        whole = ground.whole(case, *GENTLE)
        steps = len(whole.outcome.fed)
        first = rng.randint(1, steps // 2)
        stops = [(1, first), (2, rng.randint(first + 1, steps - 1)), (1, None)]
        folder, codes = ground.new_folder(case), []
        for processes, stop in stops:
            hook = at_step(stop or 0, signal.SIGTERM)
            codes.append(ground.start(case, folder, *GENTLE, processes=processes, hook=hook).wait())
        faults = [f"{name_of(case, folder)}: ended with {codes}: {said(folder)[-300:]}"]
        if codes == [STOPPED, STOPPED, 0]:
            apart = largest_difference(whole.folder / "run", folder / "run")
            result.largest = max(result.largest or 0.0, apart)
            faults = _same_examples(folder, whole.outcome.fed)
            faults += [f"{name_of(case, folder)}: weights differ by {apart:.1e}"] if apart > CLOSE else []
        result.add(faults)
        ground.say(str(result))
    return result


def _same_examples(folder: Path, expected: dict[int, dict[int, list[list[object]]]]) -> list[str]:
    found = outcome(folder).fed
    if _updates(found) != _updates(expected):
        return [f"{folder}: other examples in an update"]
    epochs: dict[int, Counter[int]] = {}
    for epoch, examples in _updates(found).values():
        epochs.setdefault(epoch, Counter()).update(examples)
    complete = sorted(epochs)[:-1]
    once = all(set(epochs[epoch].values()) == {1} for epoch in epochs)
    same = len({frozenset(epochs[epoch]) for epoch in complete}) <= 1
    return [] if once and same else [f"{folder}: an example came twice in an epoch, or not at all"]


def _updates(found: dict[int, dict[int, list[list[object]]]]) -> dict[int, tuple[int, list[int]]]:
    """step -> epoch and sorted examples, of all processes together."""
    updates = {}
    for step, ranks in found.items():
        batches = [batch for share in ranks.values() for batch in share]
        updates[step] = batches[0][0], sorted(index for batch in batches for index in batch[1])
    return updates


def largest_difference(one: Path, other: Path) -> float:
    """Between the weights in the newest checkpoints of two runs.

    Not where the gradient is nothing but rounding (a bias before a softmax): AdamW makes a whole step of its sign.
    """
    newest = [max((run / "checkpoints").glob("step-*")) for run in (one, other)]
    mine, theirs = (load_file(checkpoint / "weights.safetensors") for checkpoint in newest)
    moments = load_file(newest[0] / "optimizer.safetensors")
    apart = {name: abs(mine[name] - theirs[name]) for name in mine}
    return max(float((apart[name] * _moves(moments, name)).max()) for name in mine)


def _moves(moments: dict[str, Any], name: str) -> Any:
    """Where the root mean square of a weight's gradients is more than rounding."""
    if f"{name}/step" not in moments:
        return 1.0  # a buffer
    square = moments[f"{name}/exp_avg_sq"] / (1 - BETA ** moments[f"{name}/step"])
    return square > NOISE**2
