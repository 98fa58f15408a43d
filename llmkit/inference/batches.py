"""Micro-batches of encoded examples for training and prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmkit.data.encoding.features import Encoded
    from llmkit.engine.session import Session
    from llmkit.engine.train import Batches
    from llmkit.tasks.protocol import Arrays, Task

__all__ = ["make_batches"]


def make_batches(
    session: Session,
    encoded: Encoded,
    references: Arrays,
    tokenizer: Any,
    train: Any,
    task: Task | None = None,
) -> Batches:
    """The engine's view of some windows. Golds that are lists (object arrays) are for the scores only.

    task: whose `augment` each batch goes through.
    """
    from llmkit.data.encoding.collate import collate
    from llmkit.data.sampler import derive_example_seeds
    from llmkit.engine.batching import choose_token_budget
    from llmkit.engine.train import Batches

    budget = (
        choose_token_budget(session.device.type)
        if train.micro_batch_tokens == "auto"
        else train.micro_batch_tokens
    )
    pad = tokenizer.pad_token_id or 0
    scalars = {name: values for name, values in references.items() if values.dtype != object}

    def fetch(indices: Any, epoch: int | None) -> dict[str, Any]:
        batch = collate(encoded, indices, pad_token_id=pad, scalars=scalars)
        return task.augment(batch, derive_example_seeds(session.seed, epoch, indices)) if task else batch

    return Batches(encoded.lengths, fetch, budget)
