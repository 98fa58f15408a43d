"""Preference tuning: of two answers to a prompt the chosen one is to become more probable, the rejected one less.

Direct Preference Optimization (Rafailov et al. 2023) on pairs of answers (`data.preferences`). The checkpoint is the
reference: it is the model with its adapter switched off, so an adapter is needed and kept apart, also in model/.
A run answers in a chat too, as a model that has learned from conversations does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from llmkit.base.errors import DataError, raise_if
from llmkit.data import splits
from llmkit.data.checks.conversations import join_turns
from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
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
from llmkit.tasks.protocol import Arrays, Examples, Loss, Rows, ScoreSheet, TaskSpec, same_names

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Dpo", "Options", "make"]

INPUTS = ("prompt", *SIDES)
ANSWERS = ("now", "before", "tokens")


class Options(chat.Options):
    """Task options of dpo."""

    beta: float = Field(default=0.1, gt=0)
    """What a nat counts in a reward: the larger, the closer the model stays to the checkpoint."""


def make(options: Options, tuned: Mapping[str, Any]) -> Dpo:
    """The task with these options."""
    return Dpo(options, tuned)


@dataclass(frozen=True)
class Dpo(chat.Chat):
    """Which of two answers the model rewards more; see `protocol.Task` for what each part is."""

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
            lower_is_better=frozenset({"loss"}),
            needs_adapter=True,
            max_new_tokens=0,
            validation_metrics=(),
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, problems, notes = check_pairs(corpus, data)
        raise_if(problems, DataError)
        if labels is None:
            corpus, repeated, said = check_duplicates(corpus, (self.source,), None, data)
            raise_if(repeated, DataError)
            corpus = splits.create_missing_splits(
                corpus, label_column=None, text_column=self.source, data=data, seed=seed
            )
            notes = [*notes, *said]
        near, alike = find_near_duplicates(corpus, (self.source,))
        references: dict[str, Arrays] = {name: {} for name in corpus.splits}  # chosen and rejected say it all
        return Examples(corpus, (), references, (*notes, *alike), near)

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
        """rows without answers are conversations to go on with, as in `llmkit chat`."""
        how: dict[str, Any] = {"max_length": max_length, "truncation": truncation}
        if SIDES[0] not in rows:
            return super().encode(rows, references, tokenizer, **how)
        assert self.template is not None, "bind comes first"
        pairs = [replace(found, turns=self.turns(found.turns)) for found in self._pairs(rows)]
        return encode_pairs(self.template, pairs, max_new_tokens=self.options.max_new_tokens, **how)

    def _pairs(self, rows: Rows) -> Iterator[PreferencePair]:
        """Of rows that were checked, or as `predict` is given them. Raises DataError for these."""
        if "messages" in rows:
            yield from map(PreferencePair, rows["messages"], *(rows[side] for side in SIDES))
            return
        for texts in zip(*(rows[name] for name in INPUTS), strict=True):
            found, fault = parse_pair(dict(zip(INPUTS, texts, strict=True)))
            if found is None:
                assert fault, "it is one or the other"
                code, message, fix = fault
                raise DataError(code, self.source, message, fix)
            yield found

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses
            from llmkit.engine.preference import compute_log_probabilities

            now_2B, before_2B = compute_log_probabilities(model, batch, pad=self._pad)
            chosen_B, rejected_B = self.options.beta * (now_2B - before_2B)
            return losses.preference(chosen_B - rejected_B)

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """(B, 2) each, chosen and rejected: log-probabilities of the answers, now and before training, and tokens."""
        import torch

        from llmkit.engine.generation.generate import IGNORED
        from llmkit.engine.preference import compute_log_probabilities

        now_2B, before_2B = compute_log_probabilities(model, batch, pad=self._pad)
        tokens = [(batch[name] != IGNORED).sum(1) for name in ("targets", "rejected")]
        return {"now": now_2B.T, "before": before_2B.T, "tokens": torch.stack(tokens, dim=1)}

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        return outputs

    def _measured(self, references: Arrays, predictions: Arrays) -> Statistics:
        return compare_log_probabilities(*(predictions[name] for name in ANSWERS), beta=self.options.beta)

    def _margins(self, predictions: Arrays) -> Floats:
        return reward_margins(predictions["now"], predictions["before"], self.options.beta)

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        """As of chat; where no two rewards are equal their accuracy is a share, which has an interval of its own."""
        sheet = super().score(references, predictions, labels, resampling=resampling, metrics=metrics)
        found = self._margins(predictions)
        if resampling is not None and found.all():
            of_share = wilson_score(int((found > 0).sum()), len(found), resampling.confidence)
            sheet.scores["reward_accuracy"] = of_share
        return sheet

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        """prediction: the side with the larger reward; probability: that people prefer it, by Bradley and Terry's model
        of rewards, 1 / (1 + exp(-margin)). prompt: a question, or the turns before the answers where they are several.
        """
        for number, found in enumerate(self._margins(predictions).tolist()):
            turns = rows["messages"][number] if "messages" in rows else []
            record = {name: rows[name][number] for name in INPUTS}
            if len(turns) > 1:
                record[self.source] = turns
            record["prediction"] = "chosen" if found > 0 else "rejected" if found else "neither"
            record["probability"] = float(np.exp(-np.logaddexp(0, -abs(found))))
            record["reward_margin"] = found
            kept = (
                {name: predictions[name][number].tolist() for name in ANSWERS}
                if references is not None
                else {}
            )
            yield record | kept  # for `compare`

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        return {}, {name: np.array([record[name] for record in records]) for name in ANSWERS}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The pairs whose rejected answer is rewarded most above the chosen one."""
        wrong = [record for record in records if record["prediction"] == "rejected"]
        return [
            {
                "text": asked if isinstance(asked := record[self.source], str) else join_turns(asked),
                "label": record["chosen"],
                "prediction": record["rejected"],
                **{key: record[key] for key in ("probability", "place")},
            }
            for record in sorted(wrong, key=lambda record: float(record["reward_margin"]))[:20]
        ]
