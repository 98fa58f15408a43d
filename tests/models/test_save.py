"""A saved model opens with plain transformers and gives the same logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from llmkit.base import files
from llmkit.base.errors import ModelError
from llmkit.models import load, save
from llmkit.models.save import ModelMetadata
from llmkit.tasks._shared.texts import named_classes

CARD = ModelMetadata({"name": "classification"}, ["a", "b"], {"text": "text"}, 32, "base")


def opened(folder: Path, labels: list[str], *, new_head: bool = False, seed: int = 1) -> Any:
    """The checkpoint under a classification head."""
    return load.load_pretrained(
        folder,
        "AutoModelForSequenceClassification",
        named_classes(labels, "single_label_classification"),
        new_head=new_head,
        seed=seed,
        tokenizer=load.load_tokenizer(folder),
    )


def test_plain_transformers_opens_it(tiny_bert: Path, tmp_path: Path) -> None:
    model = opened(tiny_bert, ["a", "b"], new_head=False, seed=1).eval()
    save.save_model(tmp_path / "model", model, load.load_tokenizer(tiny_bert), CARD, readme="# card")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    batch = AutoTokenizer.from_pretrained(tmp_path / "model")("a good film", return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(plain(**batch).logits, model(**batch).logits)
    assert files.verify(tmp_path / "model") is None
    assert save.load_metadata(tmp_path / "model") == CARD
    assert (tmp_path / "model" / "README.md").read_text() == "# card"


def test_other_models_have_no_card(tiny_bert: Path) -> None:
    assert save.load_metadata(tiny_bert) is None


def test_a_damaged_card_is_told(tmp_path: Path) -> None:
    (tmp_path / "llmkit.json").write_text('{"task": 1}')
    with pytest.raises(ModelError, match=r"error\[M01\].*is damaged"):
        save.load_metadata(tmp_path)


def test_the_digest_sees_one_bit(tiny_bert: Path) -> None:
    def model() -> torch.nn.Module:
        return opened(tiny_bert, ["a", "b"], new_head=False, seed=1)

    first, second = model(), model()
    assert save.hash_weights(first) == save.hash_weights(second)
    with torch.no_grad():
        weight = next(second.parameters())
        weight[-1, -1] = torch.nextafter(weight[-1, -1], torch.tensor(9.0))  # not the first: all bytes count
    assert save.hash_weights(first) != save.hash_weights(second)
