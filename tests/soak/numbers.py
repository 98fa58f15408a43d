"""NaN and infinity, and running out of memory, in a random step, process and micro-batch."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from llmkit.engine.generation.generate import unwrap
from tests.soak.cases import Case
from tests.soak.forks import Hook
from tests.soak.outcome import Outcome, read_fed, read_outcome
from tests.soak.stops import CLOSE, GENTLE, largest_difference
from tests.soak.workspace import Result, Workspace, cycle_cases, describe, read_output

__all__ = ["exhaust_memory", "spoil_numbers"]

PLACES = ("input", "loss", "gradient")
USER_ERROR = 2  # exit code
SHOWN = 8  # examples listed in the message


@dataclass(frozen=True)
class Moment:
    """A micro-batch of a run.

    Attributes:
        step: The optimizer step.
        rank: The process.
        place: Number of the micro-batch in this step and process.
    """

    step: int
    rank: int
    place: int

    def list_examples(self, outcome: Outcome) -> list[int]:
        """Return the examples of this micro-batch."""
        examples: list[int] = outcome.fed[self.step][self.rank][self.place][1]
        return examples


def spoil_numbers(workspace: Workspace, count: int, cases: int) -> Result:
    """Put NaN or infinity into the embeddings, the loss or the gradient: the step must fail and change nothing."""
    result, rng = Result("NaN or infinity"), workspace.rng
    for case in cycle_cases(workspace.cases(cases)):
        if result.of >= count:
            return result
        processes, place = 1 + result.of % 2, PLACES[result.of % 3]
        value = rng.choice([float("nan"), float("inf"), -float("inf")])
        whole = workspace.run_uninterrupted(case, processes=processes).outcome
        moment, folder = _draw_moment(rng, whole), workspace.new_folder(case)
        hook = _fail_at(moment, folder, spoil=partial(_spoil_number, place=place, value=value))
        code = workspace.start(case, folder, processes=processes, hook=hook).wait()
        faults = _check_refusal(case, folder, whole, moment, place, code)
        result.add(faults or workspace.finish(case, folder, processes=processes))
        result.count(place)
        workspace.say(str(result))
    return result


def _draw_moment(rng: random.Random, whole: Outcome) -> Moment:
    step = rng.choice(list(whole.fed))
    rank = rng.choice([rank for rank, batches in whole.fed[step].items() if batches])
    return Moment(step, rank, rng.randrange(len(whole.fed[step][rank])))


def _spoil_number(model: Any, loss: Any, batch: Any, *, place: str, value: float) -> tuple[Any, Any]:
    if place == "input":
        vectors = unwrap(model).get_input_embeddings().weight  # T5 has several modules that share it
        embeddings = [module for module in model.modules() if getattr(module, "weight", None) is vectors]
        hooks = [module.register_forward_hook(lambda _m, _i, out: out * value) for module in embeddings]
        try:
            return loss(model, batch)  # type: ignore[no-any-return]
        finally:
            for hook in hooks:
                hook.remove()
    summed, count = loss(model, batch)
    if place == "gradient":
        summed.register_hook(lambda gradient: gradient * value)
        return summed, count
    return summed * value, count


def _check_refusal(
    case: Case, folder: Path, whole: Outcome, moment: Moment, place: str, code: int
) -> list[str]:
    """Check that error T01 names the step and its examples, and that no process changed its weights in the step."""
    message = re.search(r"error\[T01\] step (\d+): .*training examples ([\d, ]+)", read_output(folder))
    if code != USER_ERROR or not message:
        return [
            f"{describe(case, folder)}: {place} at {moment} ended with {code}: {read_output(folder)[-300:]}"
        ]
    listed = [int(number) for number in message[2].split(",") if number.strip()]
    fits = set(listed) <= set(moment.list_examples(whole)) if place != "gradient" else len(listed) <= SHOWN
    weights = [path.read_text() for path in folder.glob("kept-*")]
    checks = {
        "the step": int(message[1]) == moment.step,
        "the examples": bool(listed) and fits,
        "the weights": bool(weights) and set(weights) == {"kept"},
        "the marker": not (folder / "run" / "stopped.json").exists(),
    }
    wrong = [name for name, passed in checks.items() if not passed]
    return [f"{describe(case, folder)}: {place} at {moment}: wrong: {', '.join(wrong)}"] if wrong else []


def exhaust_memory(workspace: Workspace, count: int, cases: int) -> Result:
    """Run out of memory: the step must equal that with enough memory up to rounding, wherever memory ran out."""
    result, rng = Result("out of memory", largest=0.0), workspace.rng
    for case in cycle_cases(workspace.cases(cases, no_dropout=True)):
        if result.of >= count:
            return result
        processes = 1 + result.of % 2
        settings = (*GENTLE, f"train.max_steps={rng.randint(1, 5)}", "train.micro_batch_tokens=128")
        whole = workspace.run_uninterrupted(case, *settings, processes=processes).outcome
        step = max(whole.fed)
        ranks = [rank for rank, batches in whole.fed[step].items() if batches]
        rank = rng.choice(ranks)
        moments = [Moment(step, 0, 0), Moment(step, rank, rng.randrange(len(whole.fed[step][rank])))]
        result.add(_check_same_step(workspace, case, settings, processes, moments, result))
        workspace.say(str(result))
    return result


def _check_same_step(
    workspace: Workspace,
    case: Case,
    settings: tuple[str, ...],
    processes: int,
    moments: list[Moment],
    result: Result,
) -> list[str]:
    folders = [workspace.new_folder(case) for _ in moments]
    for folder, moment in zip(folders, moments, strict=True):
        hook = _fail_at(moment, folder, spoil=_raise_out_of_memory)
        code = workspace.start(case, folder, *settings, processes=processes, hook=hook).wait()
        if code or "out of memory" not in read_output(folder):
            return [f"{describe(case, folder)}: {moment} ended with {code}: {read_output(folder)[-300:]}"]
    plain = workspace.run_uninterrupted(case, *settings, processes=processes)
    difference = largest_difference(plain.folder / "run", folders[1] / "run")
    result.largest = max(result.largest or 0.0, difference)
    first, second = (read_outcome(folder) for folder in folders)
    checks = {
        f"weights differ by {difference:.1e}": difference > CLOSE,
        "the result depends on where memory ran out": first.weights != second.weights
        or first.log != second.log,
        "different examples": _list_examples(read_fed(folders[1])) != _list_examples(plain.outcome.fed),
        "the token budget was not halved": second.state["micro_batch_tokens"] != 64,
    }
    wrong = [name for name, failed in checks.items() if failed]
    return [f"{describe(case, folders[1])}: {moments[1]}: {', '.join(wrong)}"] if wrong else []


def _list_examples(fed: dict[int, dict[int, list[Any]]]) -> dict[int, list[int]]:
    return {
        step: sorted(index for batches in ranks.values() for batch in batches for index in batch[1])
        for step, ranks in fed.items()
    }


def _raise_out_of_memory(model: Any, loss: Any, batch: Any) -> tuple[Any, Any]:
    import torch

    raise torch.OutOfMemoryError("simulated")


def _fail_at(moment: Moment, folder: Path, *, spoil: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Hook:
    """Return a hook that calls `spoil(model, loss, batch)` instead of `loss(model, batch)` once, at this moment."""

    def hook(rank: int) -> None:
        from llmkit.engine.session import Session
        from llmkit.training import loop

        original, seed_step = loop.run_steps, Session.seed_step
        position, pending = [0, 0], [rank == moment.rank]  # step, micro-batches so far

        def seed_and_count(session: Any, step: int) -> None:
            position[:] = [step, 0]
            seed_step(session, step)

        def run_steps(
            session: Any, model: Any, optimizer: Any, batches: Any, loss: Any, *arguments: Any, **options: Any
        ) -> Any:
            def faulty_loss(model: Any, batch: Any) -> Any:
                here = pending[0] and position == [moment.step, moment.place]
                position[1] += 1
                pending[0] = pending[0] and not here
                return spoil(model, loss, batch) if here else loss(model, batch)

            steps = original(session, model, optimizer, batches, faulty_loss, *arguments, **options)
            return _record_weights(steps, model, folder / f"kept-{rank}")

        loop.run_steps, Session.seed_step = run_steps, seed_and_count  # type: ignore[method-assign, assignment]

    return hook


def _record_weights(steps: Iterator[Any], model: Any, path: Path) -> Iterator[Any]:
    """Yield the steps. If one fails, write to a file whether the weights are the same as before it: kept or changed."""
    while True:
        before = [parameter.detach().clone() for parameter in model.parameters()]
        try:
            step = next(steps)
        except StopIteration:
            return
        except Exception:
            unchanged = all(bool((a == b).all()) for a, b in zip(before, model.parameters(), strict=True))
            path.write_text("kept" if unchanged else "changed")
            raise
        yield step
