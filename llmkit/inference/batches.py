"""Micro-batches of encoded examples for training and prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.data.encoding.collate import collate
from llmkit.data.sampler import derive_example_seeds
from llmkit.engine.batching import choose_token_budget

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from llmkit.data.encoding.features import Encoded
    from llmkit.engine.session import Session
    from llmkit.engine.train import Batches
    from llmkit.recipe.schema import Train
    from llmkit.tasks.protocol import Arrays, Task

__all__ = ["make_batches"]


def make_batches(
    session: Session,
    encoded: Encoded,
    references: Arrays,
    tokenizer: PreTrainedTokenizerBase,
    train: Train,
    task: Task | None = None,
) -> Batches:
    """Build the micro-batches of a split.

    Args:
        session: Provides the device and the seed of the augmentation.
        encoded: Token ids of the windows.
        references: Labels by example. Object arrays (lists) are needed for scoring only and stay out of the batches.
        tokenizer: Provides the padding id.
        train: Provides the token budget.
        task: Augments each batch, as by masking tokens; None for no augmentation.
    """
    from llmkit.engine.train import Batches  # imports torch

    budget = (
        choose_token_budget(session.device.type)
        if train.micro_batch_tokens == "auto"
        else train.micro_batch_tokens
    )
    pad = tokenizer.pad_token_id or 0
    scalars = {name: values for name, values in references.items() if values.dtype != object}

    def fetch(indices: NDArray[np.int64], epoch: int | None) -> dict[str, Tensor]:
        batch = collate(encoded, indices, pad_token_id=pad, scalars=scalars)
        return task.augment(batch, derive_example_seeds(session.seed, epoch, indices)) if task else batch

    return Batches(encoded.lengths, fetch, budget)
