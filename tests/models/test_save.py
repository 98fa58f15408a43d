"""A saved model is loaded by plain transformers and gives the same logits."""

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
from llmkit.tasks._shared.classes import class_config

METADATA = ModelMetadata({"name": "classification"}, ["a", "b"], {"text": "text"}, 32, "base")


def load_classifier(folder: Path, labels: list[str], *, new_head: bool = False, seed: int = 1) -> Any:
    """Load the checkpoint under a classification head."""
    return load.load_pretrained(
        folder,
        "AutoModelForSequenceClassification",
        class_config(labels, "single_label_classification"),
        new_head=new_head,
        seed=seed,
        tokenizer=load.load_tokenizer(folder),
    )


def test_plain_transformers_loads_a_saved_model(tiny_bert: Path, tmp_path: Path) -> None:
    model = load_classifier(tiny_bert, ["a", "b"], new_head=False, seed=1).eval()
    save.save_model(tmp_path / "model", model, load.load_tokenizer(tiny_bert), METADATA, readme="# card")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    batch = AutoTokenizer.from_pretrained(tmp_path / "model")("a good film", return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(plain(**batch).logits, model(**batch).logits)
    assert files.verify_folder(tmp_path / "model") is None
    assert save.load_metadata(tmp_path / "model") == METADATA
    assert (tmp_path / "model" / "README.md").read_text() == "# card"


def test_models_of_other_origin_have_no_metadata(tiny_bert: Path) -> None:
    assert save.load_metadata(tiny_bert) is None


def test_damaged_metadata_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "llmkit.json").write_text('{"task": 1}')
    with pytest.raises(ModelError, match=r"error\[M01\].*is damaged"):
        save.load_metadata(tmp_path)


def test_the_hash_changes_with_a_single_bit(tiny_bert: Path) -> None:
    def model() -> torch.nn.Module:
        return load_classifier(tiny_bert, ["a", "b"], new_head=False, seed=1)

    first, second = model(), model()
    assert save.hash_weights(first) == save.hash_weights(second)
    with torch.no_grad():
        weight = next(second.parameters())
        weight[-1, -1] = torch.nextafter(
            weight[-1, -1], torch.tensor(9.0)
        )  # not the first weight, because all bytes count
    assert save.hash_weights(first) != save.hash_weights(second)
