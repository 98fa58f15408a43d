"""A training run in progress: one object that owns its session, folder, data, model, optimizer and state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from llmkit.base import files
from llmkit.base.errors import RunError
from llmkit.base.progress import Progress
from llmkit.base.run import Run
from llmkit.inference.batches import make_batches
from llmkit.training.prepare import Prepared

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from llmkit.engine.checkpoint import State
    from llmkit.engine.session import Session
    from llmkit.engine.sharding import Placed
    from llmkit.engine.train import Batches, Step
    from llmkit.tasks.protocol import Arrays

__all__ = ["TrainingRun"]


@dataclass
class TrainingRun:
    """One run of one training seed, on this process.

    Attributes:
        session: Device, process group and precision.
        folder: The run folder that checkpoints, the log and the report go to.
        prepared: Recipe, task, tokenizer, encoded examples and schedule.
        placed: The model on this device; with `train.shard` and several processes, this process's shard of it.
        optimizer: AdamW over the trainable parameters.
        state: Counters and the best validation score after the last step.
        progress: Where messages and progress bars go.
        name: The recipe's name, for the report.
        command: The command that started the run, for the report.
        best_predictions: Complete validation predictions of the best weights, if this process has computed them.
    """

    session: Session
    folder: Run
    prepared: Prepared
    placed: Placed
    optimizer: Optimizer
    state: State
    progress: Progress
    name: str = ""
    command: str = ""
    best_predictions: Arrays | None = field(default=None, repr=False)

    @classmethod
    def start(
        cls,
        session: Session,
        folder: Run,
        prepared: Prepared,
        model: nn.Module,
        progress: Progress,
        *,
        name: str = "",
        command: str = "",
    ) -> TrainingRun:
        """Place the model on the device (or devices), make its optimizer, and begin at step 0.

        Raises:
            RunError: M12, when the processes hold different weights.
        """
        from llmkit.engine import checkpoint, optim, sharding

        if session.device.type == "cpu" and find_spec("llmkit.models.cpu"):  # an optional folder
            from llmkit.models.cpu import allocator

            allocator.keep_freed_memory()
        if not session.has_same_weights(model):
            raise RunError(
                "M12",
                "model.name",
                "the processes have read different weights",
                "give all machines the same files (a shared folder, or LLMKIT_CACHE with the same content)",
            )
        placed = sharding.place(session, model, shard=prepared.recipe.train.shard)
        optimizer = optim.build_adamw(placed.model, prepared.recipe.train.weight_decay)
        return cls(
            session,
            folder,
            prepared,
            placed,
            optimizer,
            checkpoint.State(),
            progress,
            name=name,
            command=command,
        )

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.session.rank == 0

    def batches(self, split: str) -> Batches:
        """Return the micro-batches of one split, under the recipe's token budget."""
        prepared = self.prepared
        return make_batches(
            self.session,
            prepared.encoded[split],
            prepared.examples.references[split],
            prepared.tokenizer,
            prepared.recipe.train,
            prepared.task,
        )

    def predict(self, model: nn.Module, split: str, *, validating: bool = False) -> Arrays:
        """Predict every example of one split. All processes call it together.

        Args:
            model: The model to use: the one in training, a base model or a baseline.
            split: "train", "validation" or "test".
            validating: Predict only what the task's validation metrics need (a generation task then writes no text).

        Returns:
            The task's predictions by example index.
        """
        from llmkit.engine.predict import predict

        task, encoded = self.prepared.task, self.prepared.encoded[split]
        outputs = predict(
            self.session,
            model,
            self.batches(split),
            partial(task.decode, validating=validating),
            max_new_tokens=0 if validating else task.spec.max_new_tokens,
            on_progress=lambda done, total: self.progress.advance(f"predicting {split}", done, total, "rows"),
        )
        return task.predictions(outputs, encoded, self.prepared.examples.corpus.splits[split].columns)

    def count(self, step: Step) -> None:
        """Add the counts of a finished step to the state."""
        self.state = replace(
            self.state,
            step=step.step,
            seconds=self.state.seconds + step.seconds,
            examples=self.state.examples + step.examples,
            tokens=self.state.tokens + step.tokens,
            padded_tokens=self.state.padded_tokens + step.padded_tokens,
            micro_batch_tokens=step.micro_batch_tokens,
        )

    def log(self, kind: str, values: dict[str, object]) -> None:
        """Append one line to the run's log; only the main process writes."""
        if self.is_main:
            files.append_line(self.folder.log, {"kind": kind, **values})
