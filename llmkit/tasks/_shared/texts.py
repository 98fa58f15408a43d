"""What the tasks over one text, or two as one input, have in common: one window an example, cut at max_length.

Subclasses add what the label is, its loss and its scores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from llmkit.base.dtypes import at_least_float32
from llmkit.data.encoding.encode import encode_texts
from llmkit.data.encoding.features import Encoded, Features
from llmkit.tasks.protocol import Arrays, Plain, Rows, TaskSpec, model_inputs, same_names

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["OverTexts", "logits_of", "named_classes"]


@dataclass(frozen=True)
class OverTexts(Plain):
    """texts names the input columns: one, or two that make a pair."""

    options: Any
    tuned: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ("text",)

    gold: ClassVar[str] = "label"  # the column with the answer

    def spec_with(self, metrics: Sequence[str], lower_is_better: Collection[str], **flags: Any) -> TaskSpec:
        """The spec of a task over these texts."""
        return TaskSpec(
            auto_class="AutoModelForSequenceClassification",
            columns=same_names(*self.texts, self.gold),
            inputs=self.texts,
            identity=(*self.texts, self.gold),
            metrics=metrics,
            lower_is_better=lower_is_better,
            tuned=self.tuned,
            **flags,
        )

    @property
    def together(self) -> str:
        """Rows that are equal in this column never stand in two parts of a split: what they share would leak."""
        return self.texts[0]

    def encode(
        self,
        rows: Rows,
        references: Arrays,
        tokenizer: Any,
        *,
        max_length: int,
        truncation: bool,
        training: bool = False,
    ) -> Features:
        return encode_texts(
            tokenizer, *(rows[name] for name in self.texts), max_length=max_length, truncation=truncation
        )

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        return outputs

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        return {}


def logits_of(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """What the head says of each example, (B, C)."""
    return at_least_float32(model(**model_inputs(batch)).logits)


def named_classes(labels: Sequence[str], problem_type: str) -> dict[str, Any]:
    """Config entries of a head with a name for each output."""
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {name: number for number, name in enumerate(labels)},
        "problem_type": problem_type,
    }
