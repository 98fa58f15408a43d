"""Numbers that go bad and memory that runs out, at any update, micro-batch and process."""

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
from tests.soak.ground import Ground, Result, in_turn, name_of, said
from tests.soak.outcome import Outcome, fed, outcome
from tests.soak.stops import CLOSE, GENTLE, largest_difference
from tests.soak.warm import Hook

__all__ = ["bad_numbers", "out_of_memory"]

PLACES = ("input", "loss", "gradient")
REFUSED = 2
SHOWN = 8  # examples named in the message


@dataclass(frozen=True)
class Moment:
    """A micro-batch of a run: of this update and process, the nth."""

    step: int
    rank: int
    place: int

    def batch(self, outcome: Outcome) -> list[int]:
        found: list[int] = outcome.fed[self.step][self.rank][self.place][1]
        return found


def bad_numbers(ground: Ground, count: int, cases: int) -> Result:
    """NaN and infinity in what the model reads, in the loss, and in the gradient."""
    result, rng = Result("NaN or infinity"), ground.rng
    for case in in_turn(ground.cases(cases)):
        if result.of >= count:
            return result
        processes, place = 1 + result.of % 2, PLACES[result.of % 3]
        value = rng.choice([float("nan"), float("inf"), -float("inf")])
        whole = ground.whole(case, processes=processes).outcome
        moment, folder = _moment(rng, whole), ground.new_folder(case)
        hook = _at(moment, folder, spoil=partial(_spoiled, place=place, value=value))
        code = ground.start(case, folder, processes=processes, hook=hook).wait()
        faults = _refused_well(case, folder, whole, moment, place, code)
        result.add(faults or ground.finish(case, folder, processes=processes))
        result.counted(place)
        ground.say(str(result))
    return result


def _moment(rng: random.Random, whole: Outcome) -> Moment:
    step = rng.choice(list(whole.fed))
    rank = rng.choice([rank for rank, batches in whole.fed[step].items() if batches])
    return Moment(step, rank, rng.randrange(len(whole.fed[step][rank])))


def _spoiled(model: Any, loss: Any, batch: Any, *, place: str, value: float) -> tuple[Any, Any]:
    if place == "input":
        vectors = unwrap(model).get_input_embeddings().weight  # T5 has several modules with them
        readers = [part for part in model.modules() if getattr(part, "weight", None) is vectors]
        hooks = [part.register_forward_hook(lambda _m, _i, out: out * value) for part in readers]
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


def _refused_well(
    case: Case, folder: Path, whole: Outcome, moment: Moment, place: str, code: int
) -> list[str]:
    """T01, which names step and examples; the same weights as before the update on every process."""
    message = re.search(r"error\[T01\] step (\d+): .*training examples ([\d, ]+)", said(folder))
    if code != REFUSED or not message:
        return [f"{name_of(case, folder)}: {place} at {moment} ended with {code}: {said(folder)[-300:]}"]
    named = [int(number) for number in message[2].split(",") if number.strip()]
    fits = set(named) <= set(moment.batch(whole)) if place != "gradient" else len(named) <= SHOWN
    kept = [path.read_text() for path in folder.glob("kept-*")]
    checks = {
        "the step": int(message[1]) == moment.step,
        "the examples": bool(named) and fits,
        "the weights": bool(kept) and set(kept) == {"kept"},
        "the marker": not (folder / "run" / "stopped.json").exists(),
    }
    wrong = [what for what, right in checks.items() if not right]
    return [f"{name_of(case, folder)}: {place} at {moment}: wrong: {', '.join(wrong)}"] if wrong else []


def out_of_memory(ground: Ground, count: int, cases: int) -> Result:
    """The update is that of enough memory but for rounding, and the same to the bit wherever memory ran out."""
    result, rng = Result("out of memory", largest=0.0), ground.rng
    for case in in_turn(ground.cases(cases, still=True)):
        if result.of >= count:
            return result
        processes = 1 + result.of % 2
        settings = (*GENTLE, f"train.max_steps={rng.randint(1, 5)}", "train.micro_batch_tokens=128")
        whole = ground.whole(case, *settings, processes=processes).outcome
        step = max(whole.fed)
        ranks = [rank for rank, batches in whole.fed[step].items() if batches]
        drawn = rng.choice(ranks)
        moments = [Moment(step, 0, 0), Moment(step, drawn, rng.randrange(len(whole.fed[step][drawn])))]
        result.add(_same_update(ground, case, settings, processes, moments, result))
        ground.say(str(result))
    return result


def _same_update(
    ground: Ground,
    case: Case,
    settings: tuple[str, ...],
    processes: int,
    moments: list[Moment],
    result: Result,
) -> list[str]:
    folders = [ground.new_folder(case) for _ in moments]
    for folder, moment in zip(folders, moments, strict=True):
        hook = _at(moment, folder, spoil=_no_memory)
        code = ground.start(case, folder, *settings, processes=processes, hook=hook).wait()
        if code or "out of memory" not in said(folder):
            return [f"{name_of(case, folder)}: {moment} ended with {code}: {said(folder)[-300:]}"]
    plain = ground.whole(case, *settings, processes=processes)
    apart = largest_difference(plain.folder / "run", folders[1] / "run")
    result.largest = max(result.largest or 0.0, apart)
    one, other = (outcome(folder) for folder in folders)
    checks = {
        f"weights differ by {apart:.1e}": apart > CLOSE,
        "the place of the failure shows": one.weights != other.weights or one.log != other.log,
        "other examples": _examples(fed(folders[1])) != _examples(plain.outcome.fed),
        "the budget is the same": other.state["micro_batch_tokens"] != 64,
    }
    wrong = [what for what, is_so in checks.items() if is_so]
    return [f"{name_of(case, folders[1])}: {moments[1]}: {', '.join(wrong)}"] if wrong else []


def _examples(found: dict[int, dict[int, list[Any]]]) -> dict[int, list[int]]:
    return {
        step: sorted(index for share in ranks.values() for batch in share for index in batch[1])
        for step, ranks in found.items()
    }


def _no_memory(model: Any, loss: Any, batch: Any) -> tuple[Any, Any]:
    import torch

    raise torch.OutOfMemoryError("made up")


def _at(moment: Moment, folder: Path, *, spoil: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Hook:
    """Once, at this moment, `spoil(model, loss, batch)` instead of `loss(model, batch)`."""

    def hook(rank: int) -> None:
        from llmkit.engine import train as engine
        from llmkit.engine.session import Session

        plain, seed_update = engine.train, Session.seed_step
        now, left = [0, 0], [rank == moment.rank]  # step, micro-batches so far

        def seeded(session: Any, step: int) -> None:
            now[:] = [step, 0]
            seed_update(session, step)

        def train(
            session: Any, model: Any, optimizer: Any, batches: Any, loss: Any, *more: Any, **how: Any
        ) -> Any:
            def faulty(model: Any, batch: Any) -> Any:
                here = left[0] and now == [moment.step, moment.place]
                now[1] += 1
                left[0] = left[0] and not here
                return spoil(model, loss, batch) if here else loss(model, batch)

            steps = plain(session, model, optimizer, batches, faulty, *more, **how)
            return _watched(steps, model, folder / f"kept-{rank}")

        engine.train, Session.seed_step = train, seeded  # type: ignore[method-assign, assignment]

    return hook


def _watched(steps: Iterator[Any], model: Any, path: Path) -> Iterator[Any]:
    """The steps; when one of them fails, the file says whether the weights are as they were before it."""
    while True:
        before = [parameter.detach().clone() for parameter in model.parameters()]
        try:
            step = next(steps)
        except StopIteration:
            return
        except Exception:
            same = all(bool((a == b).all()) for a, b in zip(before, model.parameters(), strict=True))
            path.write_text("kept" if same else "changed")
            raise
        yield step
