"""The training loop of a run: step, log, validate, save, and stop early or on a signal."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from llmkit.base.quiet import quiet
from llmkit.data.sampler import PlannedStep, plan_steps
from llmkit.engine import checkpoint, row_gradients, signals, watchdog
from llmkit.engine.train import train as run_steps
from llmkit.training.resume import resume, save_checkpoint, stop
from llmkit.training.training_run import TrainingRun
from llmkit.training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from llmkit.engine.session import Session
    from llmkit.engine.signals import StopRequest
    from llmkit.engine.train import Batches
    from llmkit.recipe.schema import Recipe

__all__ = ["adapt_for_training", "train"]

WIDE = 512  # hidden size above which padding-free micro-batches get half the tokens


def train(training: TrainingRun) -> nn.Module:
    """Train to the end, from the newest checkpoint where there is one, and return the model with its best weights.

    Raises:
        Stopped: After a signal or `train.max_hours`, once a checkpoint is saved (Interrupted for Ctrl-C).
        TrainingError: When loss or gradient are not finite.
        RunError: M09, when the data changed since the run was started.
    """
    began = time.monotonic()
    session, prepared, recipe = training.session, training.prepared, training.prepared.recipe
    model, total = training.placed.model, prepared.schedule.total_steps
    resume(training)
    if recipe.train.gradient_checkpointing:
        with quiet():  # the new name of this method is missing from the oldest supported transformers
            enable: Any = model.gradient_checkpointing_enable
            enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    executed, padding = adapt_for_training(session, recipe, model)
    with signals.catch_stop_signals() as request, watchdog.watch_progress(session.rank) as beat:
        for step in run_steps(
            session,
            executed,
            session.accelerator.prepare_optimizer(training.optimizer),
            _training_batches(training, padding),
            prepared.task.loss(prepared.examples.references["train"], len(prepared.examples.labels)),
            _remaining_steps(training),
            schedule=prepared.schedule,
            max_grad_norm=recipe.train.max_grad_norm,
            note=training.progress.note,
        ):
            beat(f"step {step.step}")
            before = training.state
            training.count(step)
            training.log("step", step.to_json())
            speed = training.state.examples / max(training.state.seconds, 1e-9)
            training.progress.advance(
                "training", step.step, total, "steps", f"loss {step.loss:.4f}  {speed:.0f} examples/s"
            )
            last = step.step == total
            improved = (last or step.step % prepared.evaluate_every == 0) and validate(training)
            stops_early = _stops_early(training)
            reason = _stop_reason(training, request, began)
            if improved or last or reason or stops_early or step.step % prepared.checkpoint_every == 0:
                save_checkpoint(training, before)
            if reason and not last:
                raise stop(training, reason)
            if stops_early:
                training.progress.note(
                    f"stopped early at step {step.step}: {recipe.evaluate.best} has not improved since step "
                    f"{training.state.best_step}"
                )
                break
    state = training.state
    if state.best_step not in (None, state.step):
        checkpoint.load(training.folder.checkpoints / f"step-{state.best_step:08d}", model, None)
    return training.placed.full_model()


def adapt_for_training(session: Session, recipe: Recipe, model: nn.Module) -> tuple[nn.Module, bool]:
    """Return the model as its training steps execute it (with the same weights), and whether it computes padding.

    On a CPU in float32, dropout draws cheaper random bits, embeddings get gradients by row, adapters are computed in
    one piece, and known model types run without padding. Gradient checkpointing needs the padded model: it calls
    the layers again in the backward pass, where nothing packs their inputs.
    """
    import torch

    if recipe.train.compile:
        return torch.compile(model, dynamic=True), True  # type: ignore[return-value]  # callable like the model
    if session.device.type != "cpu" or session.precision != "fp32":
        return model, True
    faster = find_spec("llmkit.models.cpu") is not None  # that folder may be removed
    if faster:
        from llmkit.models.cpu import dropout

        dropout.replace_dropout(model)
    if session.world_size == 1:  # several processes sum dense gradients
        row_gradients.enable_sparse_gradients(model)
    if recipe.model.lora:
        from llmkit.models import lora  # imports peft, which takes a while

        lora.fuse_adapter(model)
    if faster and not recipe.train.gradient_checkpointing:
        from llmkit.models.cpu import unpadded

        if unpadded.is_supported(model):
            return unpadded.Unpadded(model), False
    return model, True


def _training_batches(training: TrainingRun, padding: bool) -> Batches:
    """Return the training batches, with the token budget that suits the model and that a resumed run had."""
    batches = training.batches("train")
    budget = batches.budget
    if training.state.micro_batch_tokens:  # other micro-batches would round differently
        budget = training.state.micro_batch_tokens
    elif not padding and training.prepared.recipe.train.micro_batch_tokens == "auto":
        # Every padding-free micro-batch is full, so a wide model would need half as much memory again. Half the tokens
        # cost it little time, since each of its tokens is more work.
        hidden: int = getattr(training.placed.model.config, "hidden_size", 0)
        budget = budget // 2 if hidden > WIDE else budget
    return replace(batches, padding=padding, budget=budget)


def _remaining_steps(training: TrainingRun) -> Iterator[PlannedStep]:
    """Plan the steps that remain: none for a resumed run that had already stopped early."""
    prepared, state = training.prepared, training.state
    return plan_steps(
        len(prepared.encoded["train"]),
        prepared.recipe.train.batch_size,
        prepared.recipe.training_seed,
        total=state.step if _stops_early(training) else prepared.schedule.total_steps,
        done=state.step,
    )


def _stops_early(training: TrainingRun) -> bool:
    patience = training.prepared.recipe.train.early_stopping
    return patience is not None and training.state.misses >= patience


def _stop_reason(
    training: TrainingRun, request: StopRequest, began: float
) -> Literal["", "Ctrl-C", "a signal", "train.max_hours"]:
    """Return why all processes stop after this step, if any of them was asked to; otherwise ""."""
    hours = training.prepared.recipe.train.max_hours
    late = hours is not None and time.monotonic() - began > 3600 * hours
    number = request.number
    ctrl_c, other = number == signal.SIGINT, number not in (None, signal.SIGINT)
    interrupted, signalled, over = training.session.sum([float(ctrl_c), float(other), float(late)])
    return "Ctrl-C" if interrupted else "a signal" if signalled else "train.max_hours" if over else ""
