"""Validation scores the current weights and keeps the predictions of the best weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from llmkit.engine import checkpoint
from tests.training.scripts import EIGHT, EVERY_TWO, Train, assert_weights_of


def test_validation_scores_the_weights_of_its_step(train: Train) -> None:
    result = train(*EVERY_TWO, "checkpoint.keep=8")
    line = result.log("evaluation")[1]
    prepared = result.prepared
    model = result.model.eval()
    checkpoint.load(result.run.checkpoints / "step-00000004", model, None)
    rows = prepared.examples.corpus.splits["validation"]
    with torch.no_grad():
        logits = torch.cat(
            [
                model(**prepared.tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits
                for text in rows.column("text")
            ]
        )
    references = torch.from_numpy(prepared.examples.references["validation"]["labels"])
    assert line["step"] == 4
    assert line["loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, references).item(), rel=1e-5
    )
    assert line["accuracy"] == (logits.argmax(-1) == references).float().mean().item()


def test_predictions_of_the_best_weights_are_kept(train: Train, script_scores: Callable[..., None]) -> None:
    script_scores(accuracy=[0.1, 0.9, 0.2, 0.3])
    result = train(*EVERY_TWO)
    assert result.state.best_step == 4
    prepared, model = result.prepared, result.model.eval()
    text = prepared.examples.corpus.splits["validation"].column("text")[3]
    with torch.no_grad():
        inputs = prepared.tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        expected = model(**inputs).logits.softmax(-1)[0]
    assert result.training.best_predictions["probabilities"][3] == pytest.approx(expected.numpy(), abs=1e-6)


def test_last_weights_are_kept_without_a_validation_set(train: Train) -> None:
    result = train(*EIGHT, "data.validation_share=0")
    assert result.log("evaluation") == []
    assert result.state.best_step == 8
    assert_weights_of(result, 8)
