"""Validation scores the current weights and keeps the predictions of the best ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from llmkit.engine import checkpoint
from tests.training.scripts import EIGHT, EVERY_TWO, Train, assert_weights_of


def test_validation_values_are_those_of_the_weights_at_that_step(train: Train) -> None:
    done = train(*EVERY_TWO, "checkpoint.keep=8")
    line = done.log("evaluation")[1]
    prepared = done.prepared
    model = done.model.eval()
    checkpoint.load(done.run.checkpoints / "step-00000004", model, None)
    part = prepared.examples.corpus.splits["validation"]
    with torch.no_grad():
        logits = torch.cat(
            [
                model(**prepared.tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits
                for text in part.column("text")
            ]
        )
    references = torch.from_numpy(prepared.examples.references["validation"]["labels"])
    assert line["step"] == 4
    assert line["loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, references).item(), rel=1e-5
    )
    assert line["accuracy"] == (logits.argmax(-1) == references).float().mean().item()


def test_the_answers_kept_are_those_of_the_best_weights(train: Train, scripted: Callable[..., None]) -> None:
    scripted(accuracy=[0.1, 0.9, 0.2, 0.3])
    done = train(*EVERY_TWO)
    assert done.state.best_step == 4
    prepared, model = done.prepared, done.model.eval()
    text = prepared.examples.corpus.splits["validation"].column("text")[3]
    with torch.no_grad():
        read = prepared.tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        told = model(**read).logits.softmax(-1)[0]
    assert done.training.best_predictions["probabilities"][3] == pytest.approx(told.numpy(), abs=1e-6)


def test_without_validation_the_last_weights_are_kept(train: Train) -> None:
    done = train(*EIGHT, "data.validation_share=0")
    assert done.log("evaluation") == []
    assert done.state.best_step == 8
    assert_weights_of(done, 8)
