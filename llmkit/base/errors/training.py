"""Errors during training (T)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "TrainingError"]


class TrainingError(UserError):
    """Training produced numbers that must not be used."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "T01": (
        "loss or gradient is not finite",
        "The update was not made, so the weights are still good. Most often the learning rate is too "
        "high or the warm-up too short; sometimes a broken example (the line names them). Lower "
        "train.learning_rate and use --resume.",
    ),
    "T02": (
        "one example does not fit into the memory",
        "Micro-batches were halved until one held a single example, and that was still too much. Shorten the "
        "examples (train.max_length), trade time for memory (train.gradient_checkpointing=true) or train fewer "
        "weights (model.lora). Under train.shard nothing is halved, as the processes can't go back together: "
        "lower train.micro_batch_tokens.",
    ),
    "T03": (
        "nothing to learn from in an update",
        "The loss is over the tokens of the answers, and these examples have none: their answers are empty, or cut "
        "off by train.max_length.",
    ),
}
