"""Answers come in the order of the texts, the same alone or together, and as plain transformers gives them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import llmkit
from llmkit.workflows import predict as module


@pytest.fixture(scope="module")
def texts(finished: Any) -> list[str]:
    """24 texts of 2 to 60 tokens, shuffled: three are cut, one is unknown words."""
    rng = random.Random(3)
    words = ["good", "bad", "film", "story", "a", "the", "dull", "warm", "scene", "plot"]
    made = [" ".join(rng.choices(words, k=length)) for length in (1, 2, 3, 5, 8, 13, 20, 28, 29, 30, 31, 60)]
    rest = [record["text"] for record in finished.predictions[:11]]
    shuffled = [*made, *rest, "zzz qqq"]
    rng.shuffle(shuffled)
    return shuffled


@pytest.fixture
def _fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` takes bf16 on processors that are fast at it; plain transformers does not."""
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)


def logits(records: list[dict[str, Any]]) -> torch.Tensor:
    return torch.tensor([[record["logits"][name] for name in ("negative", "positive")] for record in records])


def test_records_come_in_the_order_of_the_texts(finished: Any, texts: list[str]) -> None:
    records = list(llmkit.predict(str(finished.path), texts))
    assert [record["text"] for record in records] == texts
    for record in records:
        assert record["probability"] == max(record["probabilities"].values())
        assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert record["prediction"] == max(record["logits"], key=lambda name: record["logits"][name])


@pytest.mark.usefixtures("_fp32")
def test_plain_transformers_gives_the_same_logits(finished: Any, texts: list[str]) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = finished.path / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    batch = tokenizer(texts, padding=True, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        expected = model(**batch).logits
    found = logits(list(llmkit.predict(str(finished.path), texts)))
    assert (found - expected).abs().max() < 1e-5
    assert expected.std(0).min() > 0.1  # the texts are told apart


@pytest.mark.usefixtures("_fp32")
def test_alone_or_together_is_the_same(finished: Any, texts: list[str]) -> None:
    together = logits(list(llmkit.predict(str(finished.path), texts)))
    one_by_one = logits([next(llmkit.predict(str(finished.path), [text])) for text in texts])
    assert (together - one_by_one).abs().max() < 1e-6 * max(1.0, together.abs().max().item())


def test_the_test_rows_get_the_answers_of_the_report(finished: Any) -> None:
    records = list(llmkit.predict(str(finished.path), [r["text"] for r in finished.predictions]))
    for record, reported in zip(records, finished.predictions, strict=True):
        assert record["prediction"] == reported["prediction"]
        assert record["probability"] == pytest.approx(reported["probability"], abs=1e-6)


def test_a_model_folder_answers_as_its_run(finished: Any, texts: list[str]) -> None:
    assert list(llmkit.predict(str(finished.path / "model"), texts[:4])) == list(
        llmkit.predict(str(finished.path), texts[:4])
    )


def test_blank_texts_keep_their_place(finished: Any, listener: Any) -> None:
    asked = ["", "a good film", "  \n", "\t", "a bad film"]
    records = list(llmkit.predict(str(finished.path), asked, progress=listener))
    assert [record["text"] for record in records] == asked
    assert [record["prediction"] is None for record in records] == [True, False, True, True, False]
    assert records[0] == {"text": "", "prediction": None, "probability": None}
    assert "3 blank texts have no prediction" in listener.notes


def test_nothing_asked_nothing_answered(finished: Any) -> None:
    assert list(llmkit.predict(str(finished.path), [])) == []
    assert [record["prediction"] for record in llmkit.predict(str(finished.path), [" "])] == [None]


def test_cut_texts_are_counted(finished: Any, listener: Any) -> None:
    asked = ["good " * 30, "good " * 31, "good " * 50]  # two special tokens beside at most 30 words
    records = list(llmkit.predict(str(finished.path), asked, progress=listener))
    assert "2 texts were cut to 32 tokens" in listener.notes
    assert records[0]["logits"] == pytest.approx(records[2]["logits"], abs=1e-5)


def test_texts_are_read_as_answers_are_taken(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless stream is answered chunk by chunk, in order over the chunks."""
    monkeypatch.setattr(module, "CHUNK", 4)
    read = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            read.append(number)
            yield f"film {number} {'very ' * (number % 7)}good"

    records = list(itertools.islice(llmkit.predict(str(finished.path), endless()), 6))
    assert [record["text"].split()[1] for record in records] == ["0", "1", "2", "3", "4", "5"]
    assert len(read) == 8
