"""Errors during training (T)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "TrainingError"]


class TrainingError(UserError):
    """The loss or the gradient of a training step must not be used."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "T01": (
        "loss or gradient is not finite",
        "The optimizer step was not made, so the weights are still good. Usually the learning rate is too high or "
        "the warm-up too short. Sometimes an example is broken; the message names the examples of the step. Lower "
        "train.learning_rate and use --resume.",
    ),
    "T02": (
        "one example does not fit into memory",
        "Micro-batches were halved until each held a single example, and memory still ran out. Shorten the "
        "examples (train.max_length), save memory at the cost of time (train.gradient_checkpointing=true) or "
        "train fewer weights (model.lora). With train.shard micro-batches are not halved, because the processes "
        "can't repeat a step together: lower train.micro_batch_tokens.",
    ),
    "T03": (
        "a step without targets",
        "The loss is computed over the tokens of the answers, and the examples of this step have none. Their "
        "answers are empty, or were truncated away by train.max_length.",
    ),
}
