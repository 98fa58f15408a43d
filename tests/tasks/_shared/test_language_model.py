"""What language modelling tasks share: sums by row, units of the bootstrap, records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmkit import tasks
from llmkit.base.errors import ModelError
from llmkit.data.encoding.features import Encoded, Ragged, TokenCounts
from llmkit.metrics.resampling import Resampling
from llmkit.tasks._shared.language_model import check_packing, sum_by_unit

TEXTS = ["the film was good", "it is", "the story", "bad"]
FEW = Resampling(resamples=200, seed=1)


@pytest.fixture
def task() -> Any:
    return tasks.load({"name": "clm"})


def references_of(documents: list[int]) -> dict[str, Any]:
    known = np.array(documents)
    return {"documents": known, "bytes": np.full(len(known), 10)}


def test_nats_are_summed_by_row(task: Any) -> None:
    """The first window has rows 0 and 1, the second the rest of row 1, and row 3. Row 2 is blank."""
    windows = Ragged.from_rows([[5, 6, 7], [8, 9]])
    encoded = Encoded(
        ragged={"input_ids": windows},
        counts=TokenCounts(),
        examples=np.array([0, 1]),
        decode_columns={"owners": Ragged.from_rows([[0, 0, 1], [0, 2]])},
    )
    outputs = {
        "nats": np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 99.0]]),
        "tokens": np.array([[1, 1, 0], [1, 1, 99]]),
    }
    actual = task.predictions(outputs, encoded, {"text": TEXTS})
    assert actual["nats"].tolist() == [3, 12, 0, 16]
    assert actual["tokens"].tolist() == [2, 1, 0, 1]


def test_units_are_documents_if_there_are_many() -> None:
    many = sum_by_unit(references_of(np.repeat(range(30), 2).tolist()), np.arange(60))[0]
    assert many.tolist() == [4 * i + 1 for i in range(30)]
    assert sum_by_unit(references_of([0] * 29 + [1]), np.arange(30))[0].tolist() == list(range(30))


def test_packing_is_for_supported_model_types_only() -> None:
    check_packing({"model_type": "llama"}, "causal")
    with pytest.raises(ModelError, match="S09"):
        check_packing({"model_type": "llama"}, "bidirectional")


def test_rows_are_resampled_if_there_are_few_documents(task: Any) -> None:
    rng = np.random.default_rng(0)
    predictions = {"nats": rng.random(60), "tokens": rng.integers(1, 9, 60)}
    for documents, n in (([0] * 60, 60), (np.repeat(range(30), 2).tolist(), 30)):
        sheet = task.score(references_of(documents), predictions, (), resampling=FEW)
        assert {name: score.n for name, score in sheet.scores.items()} == dict.fromkeys(
            ["loss", "perplexity", "bits_per_byte"], n
        )
        loss = predictions["nats"].sum() / predictions["tokens"].sum()
        assert sheet.scores["perplexity"].value == pytest.approx(np.exp(loss))


def test_records_hold_all_that_a_comparison_needs(task: Any) -> None:
    references = references_of([0, 0, 1, 2])
    predictions = {"nats": np.array([1.0, 2.0, 3.0, 4.0]), "tokens": np.array([2, 3, 4, 0])}
    records = list(task.records({"text": TEXTS}, predictions, (), references))
    assert [record["probability"] for record in records[::3]] == [pytest.approx(np.exp(-0.5)), None]
    known, again = task.parse_records(records, ())
    better = {**again, "nats": again["nats"] / 2}
    actual = task.difference(known, better, again, "loss", (), resampling=FEW)
    assert actual.value == pytest.approx(-5 / 9)
    assert [row["text"] for row in task.worst_errors([{**r, "place": ""} for r in records])] == []
