"""The training of a run: step, log, evaluate, save, and stop early or on a signal."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from llmkit.base import environment, files
from llmkit.base.errors import ErrorDetail, Interrupted, RunError, Stopped, StorageError, some
from llmkit.base.progress import Progress
from llmkit.base.run import Run
from llmkit.inference.batches import make_batches
from llmkit.training.prepare import Prepared

if TYPE_CHECKING:
    from llmkit.engine.checkpoint import State
    from llmkit.engine.session import Session
    from llmkit.engine.sharding import Placed
    from llmkit.engine.signals import StopRequest
    from llmkit.engine.train import Batches, Step
    from llmkit.recipe.schema import Train
    from llmkit.tasks.protocol import Arrays

__all__ = ["Fitted", "batches_of", "fit", "for_training", "predict_part", "tuned"]

WIDE = 512  # hidden size above which a micro-batch without padding is kept to half the tokens


@dataclass(frozen=True)
class Fitted:
    """The best weights found are in the model; state says how training went.

    answers: whole ones to the validation rows, by these weights, where this process has validated them.
    """

    model: Any
    state: State
    answers: Arrays | None = None


def fit(session: Session, run: Run, prepared: Prepared, model: Any, progress: Progress) -> Fitted:
    """Train to the end (or go on from the newest checkpoint), then put the best weights back.

    Raises Stopped (or Interrupted) after saving, TrainingError, RunError M09 when the run was of another recipe.
    """
    from llmkit.engine import checkpoint, optim, sharding, signals, watchdog
    from llmkit.engine.train import train
    from llmkit.models.cpu import allocator
    from llmkit.models.quiet import quiet

    began, recipe = time.monotonic(), prepared.recipe
    if session.device.type == "cpu":
        allocator.keep_freed_memory()
    answers: dict[int | None, Arrays | None] = {}  # of the best step
    _check_same_weights(session, model)
    placed = sharding.place(session, model, shard=recipe.train.shard)
    model = placed.model
    optimizer = optim.build_adamw(model, recipe.train.weight_decay)
    state = _resume(session, run, prepared, model, optimizer, progress)
    if recipe.train.gradient_checkpointing:
        with quiet():  # its new name is not yet in the oldest transformers that llmkit takes
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    trained, padding = for_training(session, prepared, model)
    with signals.catch_stop_signals() as request, watchdog.watch_progress(session.rank) as beat:
        for step in train(
            session,
            trained,
            session.accelerator.prepare_optimizer(optimizer),
            _as_before(_cut_for(model, recipe.train, batches_of(session, prepared, "train"), padding), state),
            prepared.task.loss(prepared.examples.golds["train"], len(prepared.examples.labels)),
            _updates(prepared, state),
            schedule=prepared.schedule,
            max_grad_norm=recipe.train.max_grad_norm,
            note=progress.note,
        ):
            beat(f"step {step.step}")
            before, state = state, _count(state, step)
            _log(run, session, "step", step.to_json())
            progress.advance(
                "training", step.step, prepared.schedule.total_steps, "steps", _detail(step, state)
            )
            last = step.step == prepared.schedule.total_steps
            improved = False
            if last or step.step % prepared.evaluate_every == 0:
                state, improved, found = _validate(session, run, prepared, placed, state, progress)
                answers = {state.step: found} if improved else answers
            enough = _enough(prepared, state)
            stop = _asked_to_stop(session, request, prepared, began)
            if improved or last or stop or enough or step.step % prepared.checkpoint_every == 0:
                state = _save(session, run, prepared, model, optimizer, state, before, progress)
            if stop and not last:
                raise _stopped(session, run, prepared, state, stop)
            if enough:
                progress.note(
                    f"stopped early at step {step.step}: no better {recipe.evaluate.best} since {state.best_step}"
                )
                break
    if state.best_step not in (None, state.step):
        checkpoint.load(run.checkpoints / f"step-{state.best_step:08d}", model, None)
    return Fitted(
        placed.full_model(), state, answers.get(state.best_step)
    )  # none of a step that was not saved


def batches_of(session: Session, prepared: Prepared, part: str) -> Batches:
    return make_batches(
        session,
        prepared.encoded[part],
        prepared.examples.golds[part],
        prepared.tokenizer,
        prepared.recipe.train,
        prepared.task,
    )


def predict_part(
    session: Session, prepared: Prepared, model: Any, part: str, progress: Progress, *, watching: bool = False
) -> Arrays:
    """What the model answers to every example of this part, by example index.

    watching: no more than the task needs to be watched during training (`Task.watch`).
    """
    from llmkit.engine.predict import predict

    task, encoded = prepared.task, prepared.encoded[part]
    outputs = predict(
        session,
        model,
        batches_of(session, prepared, part),
        task.watch if watching else task.decode,
        max_new_tokens=0 if watching else task.writes,
        on_progress=lambda done, total: progress.advance(f"predicting {part}", done, total, "rows"),
    )
    return task.answers(outputs, encoded, prepared.examples.corpus.splits[part].columns)


def tuned(
    session: Session, prepared: Prepared, model: Any, progress: Progress, known: Arrays | None = None
) -> Prepared:
    """With thresholds set on this model's answers to the validation rows, for tasks that have some.

    known: these answers, where they were given already.
    """
    from llmkit import tasks

    task = prepared.task
    if not task.tunes or "validation" not in prepared.encoded:
        return prepared
    answers = predict_part(session, prepared, model, "validation", progress) if known is None else known
    found = tasks.load(prepared.recipe.task, task.tune(prepared.examples.golds["validation"], answers))
    return replace(prepared, task=found.for_model(prepared.config, prepared.tokenizer))


def _enough(prepared: Prepared, state: State) -> bool:
    """Whether early stopping says so."""
    patience = prepared.recipe.train.early_stopping
    return patience is not None and state.misses >= patience


def _updates(prepared: Prepared, state: State) -> Any:
    """The updates still to be made; none for a run that had stopped early before it was killed."""
    from llmkit.data.sampler import plan_steps

    recipe = prepared.recipe
    return plan_steps(
        len(prepared.encoded["train"]),
        recipe.train.batch_size,
        recipe.training_seed,
        total=state.step if _enough(prepared, state) else prepared.schedule.total_steps,
        done=state.step,
    )


def _cut_for(model: Any, train: Train, batches: Batches, padding: bool) -> Batches:
    """How the engine is to cut updates of this model.

    Without padding every micro-batch is full, and a wide model then keeps half as much again as before; half the tokens
    cost it little time, since each of them is more work.
    """
    wide = getattr(model.config, "hidden_size", 0) > WIDE
    smaller = wide and not padding and train.micro_batch_tokens == "auto"
    return replace(batches, padding=padding, budget=batches.budget // 2 if smaller else batches.budget)


def _as_before(batches: Batches, state: State) -> Batches:
    """Cut by the budget that the run came down to before it was stopped: another cut would round otherwise."""
    return replace(batches, budget=state.micro_batch_tokens) if state.micro_batch_tokens else batches


def _asked_to_stop(
    session: Session, request: StopRequest, prepared: Prepared, began: float
) -> Literal["", "Ctrl-C", "a signal", "train.max_hours"]:
    """Why all processes stop after this step, if one of them was asked to; else nothing."""
    hours = prepared.recipe.train.max_hours
    late = hours is not None and time.monotonic() - began > 3600 * hours
    number = request.number
    ctrl_c, other = number == signal.SIGINT, number not in (None, signal.SIGINT)
    interrupted, signalled, over = session.sum([float(ctrl_c), float(other), float(late)])
    return "Ctrl-C" if interrupted else "a signal" if signalled else "train.max_hours" if over else ""


def for_training(session: Session, prepared: Prepared, model: Any) -> tuple[Any, bool]:
    """The model as its updates go through it (the same weights), and whether that one computes padded places.

    On a CPU dropout takes cheap random bits, embeddings have gradients by row, adapters are computed in one piece, and
    models of known types compute no padding. Gradient checkpointing calls the layers once more in the backward pass,
    where nothing packs their inputs.
    """
    import torch

    from llmkit.engine import row_gradients
    from llmkit.models.cpu import dropout, unpadded

    train = prepared.recipe.train
    if train.compile:
        return torch.compile(model, dynamic=True), True
    if session.device.type != "cpu" or session.precision != "fp32":
        return model, True
    dropout.replace_dropout(model)
    if session.world_size == 1:  # else gradients are summed as they are
        row_gradients.enable_sparse_gradients(model)
    if prepared.recipe.model.lora:
        from llmkit.models import lora  # peft takes a while to import

        lora.fuse_adapter(model)
    if not train.gradient_checkpointing and unpadded.is_supported(model):
        return unpadded.Unpadded(model), False
    return model, True


def _count(state: State, step: Step) -> State:
    return replace(
        state,
        step=step.step,
        seconds=state.seconds + step.seconds,
        examples=state.examples + step.examples,
        tokens=state.tokens + step.tokens,
        padded_tokens=state.padded_tokens + step.padded_tokens,
        micro_batch_tokens=step.micro_batch_tokens,
    )


def _detail(step: Step, state: State) -> str:
    return f"loss {step.loss:.4f}  {state.examples / max(state.seconds, 1e-9):.0f} examples/s"


def _validate(
    session: Session, run: Run, prepared: Prepared, placed: Placed, state: State, progress: Progress
) -> tuple[State, bool, Arrays | None]:
    """Score the validation rows; the new state, whether it is the best so far, and the answers if they are whole."""
    if "validation" not in prepared.encoded:
        return replace(state, best_step=state.step), False, None
    began = time.perf_counter()
    watching = prepared.recipe.evaluate.best in prepared.task.watched
    answers = predict_part(session, prepared, placed.full_model(), "validation", progress, watching=watching)
    whole = None if watching else answers
    golds = prepared.examples.golds["validation"]
    # of the first process for all: programs are run by it alone
    values = session.broadcast(prepared.task.values(golds, answers, prepared.examples.labels))
    name = prepared.recipe.evaluate.best
    _log(run, session, "evaluation", {"step": state.step, **values})
    shown = dict.fromkeys(["loss", name, *prepared.task.metrics[:2]])
    progress.note(
        f"step {state.step}: validation "
        + "  ".join(f"{key} {values[key]:.4f}" for key in shown if key in values)
    )
    state = replace(state, evaluation_seconds=state.evaluation_seconds + time.perf_counter() - began)
    value = -values[name] if name in prepared.task.lower else values[name]
    if state.best_value is None or value > state.best_value:
        return replace(state, best_value=value, best_step=state.step, misses=0), True, whole
    return replace(state, misses=state.misses + 1), False, whole


def _save(
    session: Session,
    run: Run,
    prepared: Prepared,
    model: Any,
    optimizer: Any,
    state: State,
    before: State,
    progress: Progress,
) -> State:
    """Checkpoint by the main process, the log's length inside; older ones are deleted after.

    A disk that does not take it ends no run: that is said, and the best model stays the one saved before.
    """
    from llmkit.engine import checkpoint, sharding

    fault = None
    if session.rank == 0:
        fault = _try_to_save(session, run, prepared, model, optimizer, state)
    elif sharding.is_sharded(model):
        checkpoint.join_save(model, optimizer)
    fault = session.broadcast(fault)
    if fault is None:
        return replace(state, saved_step=state.step)
    progress.note(f"checkpoint of step {state.step} not saved, training goes on: {fault}")
    return replace(state, best_value=before.best_value, best_step=before.best_step)


def _try_to_save(
    session: Session, run: Run, prepared: Prepared, model: Any, optimizer: Any, state: State
) -> str | None:
    """What went wrong on the way to the disk, in one line, or None."""
    from llmkit.engine import checkpoint

    try:
        state = replace(
            state,
            saved_step=state.step,  # so that a resume knows of it
            log_bytes=run.log.stat().st_size,
            identity=_identity(session, prepared),
        )
        checkpoint.save(run.checkpoints, model, optimizer, state)
        checkpoint.rotate(run.checkpoints, keep=prepared.recipe.checkpoint.keep, best_step=state.best_step)
    except StorageError as error:
        return str(error)
    return None


def _identity(session: Session, prepared: Prepared) -> dict[str, Any]:
    """What the promise of an exact resume rests on."""
    versions = environment.versions()
    return {
        **{name: versions[name] for name in ("torch", "transformers", "processor")},
        "data": prepared.examples.corpus.fingerprint,
        "threads": environment.threads(),
        "world_size": session.world_size,
    }


def _resume(
    session: Session, run: Run, prepared: Prepared, model: Any, optimizer: Any, progress: Progress
) -> State:
    """The state of the newest good checkpoint, its weights loaded; a fresh state when there is none."""
    from llmkit.engine import checkpoint

    found = checkpoint.find_newest(run.checkpoints, progress.note) if session.rank == 0 else None
    found = session.broadcast(found)
    if found is None:
        if session.rank == 0 and run.log.exists():
            files.truncate(run.log, 0)
        return checkpoint.State()
    state = checkpoint.load(found, model, optimizer)
    now, then = _identity(session, prepared), state.identity
    if now["data"] != then["data"]:
        raise RunError(
            "M09",
            str(run.path),
            "the data is not what this run was trained on (its fingerprint differs)",
            "put the old files back, or start a new run with another --out",
        )
    changed = [f"{key} {then[key]} -> {now[key]}" for key in now if now[key] != then[key]]
    if changed:
        progress.note(
            f"resumed with {some(changed)}: same examples and updates, equal up to rounding, not to the bit"
        )
    if session.rank == 0:
        files.truncate(run.log, state.log_bytes)
    session.wait()
    progress.note(f"resumed {run.path} at step {state.step} of {prepared.schedule.total_steps}")
    return state


def _log(run: Run, session: Session, kind: str, values: dict[str, Any]) -> None:
    if session.rank == 0:
        files.append_line(run.log, {"kind": kind, **values})


def _check_same_weights(session: Session, model: Any) -> None:
    """Raises RunError M12: from other weights each process would train a model of its own."""
    if not session.has_same_weights(model):
        problem = ErrorDetail(
            "M12",
            "model.name",
            "the processes have read different weights",
            "give all machines the same files (a shared folder, or LLMKIT_CACHE with the same content)",
        )
        raise RunError.of(problem)


def _stopped(
    session: Session, run: Run, prepared: Prepared, state: State, why: str
) -> Stopped | StorageError:
    """What ends the run: after a save, with a file that tells a scheduler to start it again."""
    total = prepared.schedule.total_steps
    if state.saved_step != state.step:
        message = (
            f"stopped by {why} at step {state.step} of {total}, not saved (the newest checkpoint is older)"
        )
        return StorageError("W01", str(run.checkpoints), message, "free some space, then --resume")
    begun = json.loads(run.environment.read_text(encoding="utf-8"))["command"]
    command = f"{begun} --out {run.path} --resume"
    if session.rank == 0:
        about = {"step": state.step, "total_steps": total, "why": why, "resume": command}
        files.write_json(run.stopped, about)
    kind = Interrupted if why == "Ctrl-C" else Stopped
    return kind(f"stopped by {why} at step {state.step} of {total}, saved; go on with: {command}")
