"""What the tasks over one text or two share: the input, the columns, the head."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from llmkit.models import load
from llmkit.tasks._shared.texts import OverTexts, logits_of, named_classes

ONE, TWO = OverTexts(None), OverTexts(None, {}, ("text", "text_pair"))


def test_columns_inputs_and_identity_follow_the_texts() -> None:
    one, two = (task.spec_with((), ()) for task in (ONE, TWO))
    assert one.columns == {"text": "text", "label": "label"}
    assert two.columns == {"text": "text", "text_pair": "text_pair", "label": "label"}
    assert (one.inputs, two.inputs) == (("text",), ("text", "text_pair"))
    assert two.identity == ("text", "text_pair", "label")
    assert ONE.together == TWO.together == "text"


def test_two_texts_are_one_input(tiny_bert: Path) -> None:
    tokenizer = load.load_tokenizer(tiny_bert)
    rows = {"text": ["a film", "it"], "text_pair": ["good", "a bad story"]}
    found = TWO.encode(rows, {}, tokenizer, max_length=20, truncation=False)
    expected = tokenizer(rows["text"], rows["text_pair"])["input_ids"]
    assert found.columns["input_ids"] == expected
    alone = ONE.encode(rows, {}, tokenizer, max_length=20, truncation=False)
    assert alone.columns["input_ids"] == tokenizer(rows["text"])["input_ids"]


def test_the_model_is_never_given_the_labels() -> None:
    """Its own loss is a mean over the micro-batch."""
    seen: list[set[str]] = []

    class Watched(nn.Module):
        def forward(self, **inputs: Tensor) -> Any:
            seen.append(set(inputs))
            return SimpleNamespace(logits=torch.zeros(2, 3, dtype=torch.bfloat16))

    ids = torch.ones(2, 4, dtype=torch.long)
    batch = {"input_ids": ids, "attention_mask": ids, "token_type_ids": ids, "labels": ids[:, 0]}
    assert logits_of(Watched(), batch).dtype == torch.float32
    assert seen == [{"input_ids", "attention_mask", "token_type_ids"}]


def test_segments_reach_the_model() -> None:
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
    ).eval()
    ids = torch.tensor([[2, 5, 3, 6, 3]])
    first = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
    }
    second = {**first, "token_type_ids": torch.tensor([[0, 0, 0, 1, 1]])}
    with torch.no_grad():
        assert torch.equal(logits_of(model, second), model(**second).logits)
        assert not torch.equal(logits_of(model, first), logits_of(model, second))


def test_classes_have_names_in_the_config() -> None:
    found = named_classes(("no", "yes"), "single_label_classification")
    assert found == {
        "num_labels": 2,
        "id2label": {0: "no", 1: "yes"},
        "label2id": {"no": 0, "yes": 1},
        "problem_type": "single_label_classification",
    }


@pytest.mark.parametrize("task", [ONE, TWO])
def test_one_window_an_example_needs_no_merging(task: OverTexts) -> None:
    outputs = {"prediction": np.arange(3)}
    assert task.predictions(outputs, None, {}) is outputs  # type: ignore[arg-type]
    assert not task.spec_with((), ()).can_tune
    assert task.tune({}, outputs) == {}
