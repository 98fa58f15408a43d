"""`predict` opens the model once and passes its options on."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

import llmkit
from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT
from llmkit.inference.predict import predict_examples
from llmkit.inference.trained_model import open_model


def test_plain_texts_and_mappings_give_the_same_predictions(finished: Any) -> None:
    plain = list(llmkit.predict(str(finished.path), ["a good film", "a dull plot"]))
    named = list(llmkit.predict(str(finished.path), [{"text": "a good film"}, {"text": "a dull plot"}]))
    assert plain == named
    assert plain == list(
        predict_examples(open_model(str(finished.path), SILENT), ["a good film", "a dull plot"])
    )


def test_calibrated_and_int8_change_the_probabilities_but_not_the_texts(finished: Any) -> None:
    texts = ["a good film", "a dull plot", "good good bad"]
    plain = list(llmkit.predict(str(finished.path), texts))
    for option in ({"calibrated": True}, {"int8": True}):
        changed = list(llmkit.predict(str(finished.path), texts, **option))
        assert [record["text"] for record in changed] == texts
        pairs = zip(plain, changed, strict=True)
        assert any(before["probability"] != after["probability"] for before, after in pairs)


def test_a_missing_temperature_is_an_error_before_any_prediction(finished: Any, tmp_path: Any) -> None:
    folder = tmp_path / "model"
    shutil.copytree(finished.path / "model", folder)
    metadata = json.loads((folder / "llmkit.json").read_text(encoding="utf-8"))
    (folder / "llmkit.json").write_text(json.dumps({**metadata, "tuned": {}}), encoding="utf-8")
    with pytest.raises(RecipeError, match="U01"):
        next(llmkit.predict(str(folder), ["a"], calibrated=True))
