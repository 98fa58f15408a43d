"""Preference tuning: of two answers to a prompt, the chosen one becomes more probable and the rejected one less.

Direct Preference Optimization (Rafailov et al. 2023) on pairs of answers (see `data.checks.preferences`). The base
model is the reference policy: it is the model with its adapter switched off, so training needs an adapter that stays
separate, also in model/. A tuned model answers in a chat too.

Shapes: B pairs of a batch, N of a split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from llmkit.base.errors import DataError, raise_if
from llmkit.data.checks.conversations import join_turns
from llmkit.data.checks.duplicates import find_near_duplicates
from llmkit.data.checks.preferences import SIDES, PreferencePair, check_pairs, parse_pair
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.features import Encoded, Features
from llmkit.data.encoding.preference_pairs import encode_pairs
from llmkit.metrics.intervals import wilson_score
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Floats, Statistics
from llmkit.metrics.tasks.preference import compare_log_probabilities, reward_margins
from llmkit.recipe.schema import Data
from llmkit.tasks import chat
from llmkit.tasks._shared.texts import make_splits
from llmkit.tasks.chat import PROMPT, Chat
from llmkit.tasks.protocol import (
    MAX_ERRORS,
    Arrays,
    Examples,
    Loss,
    Record,
    Rows,
    ScoreSheet,
    TaskSpec,
    same_names,
)

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

__all__ = ["Dpo", "Options", "make"]

INPUTS = (PROMPT, *SIDES)
WORDING = replace(
    chat.WORDING,
    title="direct preference optimization",
    purpose="answers in a chat as people prefer it, and predicts which of two answers they would prefer",
    errors=(
        "Wrong preferences",
        "Pairs whose rejected answer gets the larger reward, most confident first",
    ),
    error_columns={
        "label": "Chosen answer",
        "prediction": "Rejected answer",
        "probability": "Probability of the rejected answer",
    },
    command_input='"A question?" "An answer." "Another answer."',
)
OUTPUTS = ("now", "before", "tokens")  # of both answers, (B, 2) each


class Options(chat.Options):
    """Task options of dpo."""

    beta: float = Field(default=0.1, gt=0)
    """Reward per nat of log-probability gained; the larger it is, the closer the model stays to the base model."""


def make(options: Options, tuned: Mapping[str, Any]) -> Dpo:
    """Make the task."""
    return Dpo(options, tuned)


@dataclass(frozen=True)
class Dpo(Chat):
    """Which of two answers the model rewards more."""

    options: Options

    @property
    def spec(self) -> TaskSpec:
        return replace(
            super().spec,
            columns=same_names(*SIDES),
            optional_columns=same_names("prompt", "conversations", "system"),
            inputs=INPUTS,
            identity=INPUTS,
            metrics=(
                "likelihood_accuracy",
                "reward_accuracy",
                "reward_margin",
                "likelihood_accuracy_per_token",
            ),
            wording=WORDING,
            lower_is_better=frozenset({"loss"}),
            needs_adapter=True,
            max_new_tokens=0,
            validation_metrics=(),
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, errors, notes = check_pairs(corpus, data)
        raise_if(errors, DataError)
        if labels is None:
            corpus, duplicates = make_splits(corpus, (PROMPT,), data, seed)
            notes += duplicates
        near_duplicates, near_notes = find_near_duplicates(corpus, (PROMPT,))
        references: dict[str, Arrays] = {name: {} for name in corpus.splits}  # the pairs say what is correct
        return Examples(corpus, (), references, (*notes, *near_notes), near_duplicates)

    def encode(
        self,
        rows: Rows,
        references: Arrays,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        truncation: bool,
        training: bool = False,
    ) -> Features:
        """Encode pairs; rows without answers are conversations to continue, as in `llmkit chat`."""
        if SIDES[0] not in rows:
            return super().encode(rows, references, tokenizer, max_length=max_length, truncation=truncation)
        assert self.template is not None, "bind comes first"
        return encode_pairs(
            self.template,
            [replace(pair, turns=self.parse_turns(pair.turns)) for pair in _read_pairs(rows)],
            max_length=max_length,
            max_new_tokens=self.options.max_new_tokens,
            truncation=truncation,
        )

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses
            from llmkit.engine.preference import compute_log_probabilities

            now_2B, before_2B = compute_log_probabilities(model, batch, pad=self.tokenizer.pad_token_id)
            chosen_B, rejected_B = self.options.beta * (now_2B - before_2B)
            return losses.preference(chosen_B - rejected_B)

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Return log-probabilities now and before training, and tokens, of the chosen and rejected answers, (B, 2)."""
        import torch

        from llmkit.engine.generation.generate import IGNORED
        from llmkit.engine.preference import compute_log_probabilities

        now_2B, before_2B = compute_log_probabilities(model, batch, pad=self.tokenizer.pad_token_id)
        tokens = [(batch[name] != IGNORED).sum(1) for name in ("targets", "rejected")]
        return {"now": now_2B.T, "before": before_2B.T, "tokens": torch.stack(tokens, dim=1)}

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        return outputs

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        """Score pairs. If no two rewards are equal, reward accuracy is a share with an interval in closed form."""
        sheet = super().score(references, predictions, labels, resampling=resampling, metrics=metrics)
        margins = self._compute_margins(predictions)
        if resampling is not None and margins.all():
            wins = int((margins > 0).sum())
            sheet.scores["reward_accuracy"] = wilson_score(wins, len(margins), resampling.confidence)
        return sheet

    def _measure(self, references: Arrays, predictions: Arrays) -> Statistics:
        outputs = (predictions[name] for name in OUTPUTS)
        return compare_log_probabilities(*outputs, beta=self.options.beta)

    def _compute_margins(self, predictions: Arrays) -> Floats:
        """Return the reward of the chosen answer minus that of the rejected one, (N,)."""
        return reward_margins(predictions["now"], predictions["before"], self.options.beta)

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield records whose `prediction` is the side with the larger reward.

        `probability` is how probable it is that people prefer that side, 1 / (1 + exp(-margin)), by Bradley and
        Terry's model of rewards. `prompt` is a question, or all turns before the answers if there are several.
        """
        for number, margin in enumerate(self._compute_margins(predictions).tolist()):
            turns = rows["messages"][number] if "messages" in rows else []
            record: Record = {name: rows[name][number] for name in INPUTS}
            if len(turns) > 1:
                record[PROMPT] = turns
            record["prediction"] = "chosen" if margin > 0 else "rejected" if margin else "neither"
            record["probability"] = float(np.exp(-np.logaddexp(0, -abs(margin))))
            record["reward_margin"] = margin
            if references is not None:  # for `compare`
                record |= {name: predictions[name][number].tolist() for name in OUTPUTS}
            yield record

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        return {}, {name: np.array([record[name] for record in records]) for name in OUTPUTS}

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the pairs whose rejected answer gets the largest reward above the chosen one."""
        wrong = [record for record in records if record["prediction"] == "rejected"]
        wrong.sort(key=lambda record: float(record["reward_margin"]))
        return [
            {
                "text": prompt if isinstance(prompt := record[PROMPT], str) else join_turns(prompt),
                "label": record["chosen"],
                "prediction": record["rejected"],
                "probability": record["probability"],
                "place": record["place"],
            }
            for record in wrong[:MAX_ERRORS]
        ]


def _read_pairs(rows: Rows) -> Iterator[PreferencePair]:
    """Read the pairs of rows that were checked, or of inputs to `predict`.

    Raises:
        DataError: For an input that is not a pair.
    """
    if "messages" in rows:
        yield from map(PreferencePair, rows["messages"], *(rows[side] for side in SIDES))
        return
    for texts in zip(*(rows[name] for name in INPUTS), strict=True):
        pair, error = parse_pair(dict(zip(INPUTS, texts, strict=True)))
        if pair is None:
            assert error, "it is one or the other"
            raise DataError(error.code, PROMPT, error.message, error.fix)
        yield pair
