"""What tasks over one text, or two as one input, have in common: splits and the head's logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from llmkit.base.dtypes import at_least_float32
from llmkit.base.errors import DataError, raise_if
from llmkit.data.checks.duplicates import check_duplicates
from llmkit.data.corpus import Corpus
from llmkit.data.splits import create_missing_splits
from llmkit.recipe.schema import Data
from llmkit.tasks.protocol import model_inputs

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["compute_logits", "make_splits"]


def make_splits(
    corpus: Corpus,
    columns: Sequence[str],
    data: Data,
    seed: int,
    *,
    label_column: str | None = None,
    text_column: str | None = None,
) -> tuple[Corpus, list[str]]:
    """Drop duplicates and make missing splits.

    Args:
        corpus: The rows.
        columns: The text columns, by which rows are duplicates.
        data: The recipe's data section.
        seed: Seed of the splits.
        label_column: The column of labels: equal texts must have one label, and splits are stratified by it.
        text_column: Rows with equal values in this column stay in one split (default: the first text column).

    Returns:
        The corpus with all splits, and notes on what was dropped.

    Raises:
        DataError: With all duplicates that the recipe does not allow.
    """
    corpus, errors, notes = check_duplicates(corpus, columns, label_column, data)
    raise_if(errors, DataError)
    corpus = create_missing_splits(
        corpus, label_column=label_column, text_column=text_column or columns[0], data=data, seed=seed
    )
    return corpus, notes


def compute_logits(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the head's logits, (B, C), in float32 at least."""
    return at_least_float32(model(**model_inputs(batch)).logits)
