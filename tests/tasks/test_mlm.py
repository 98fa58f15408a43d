"""Masked language modelling: masks, losses, and the tokens that `predict` fills in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from llmkit import tasks
from llmkit.base.errors import ModelError
from llmkit.data.encoding.collate import IGNORED, collate
from llmkit.data.encoding.features import Encoded
from llmkit.models import load
from tests.float64 import in_float64

TEXTS = ["the film was good .", "it is", "the story of a lovely actor with music !", "bad"]
CLS, SEP, MASK = 2, 3, 4


@pytest.fixture(scope="module")
def tokenizer(tiny_bert: Path) -> Any:
    return load.load_tokenizer(tiny_bert)


@pytest.fixture(scope="module")
def model(tiny_bert: Path, tokenizer: Any) -> Any:
    actual = load.load_pretrained(
        tiny_bert, "AutoModelForMaskedLM", {}, new_head=False, seed=1, tokenizer=tokenizer
    )
    return in_float64(actual).eval()


def make_task(tokenizer: Any, **options: Any) -> Any:
    return tasks.load({"name": "mlm", **options}).bind({"model_type": "bert"}, tokenizer)


def references_of(documents: list[int]) -> dict[str, Any]:
    known = np.array(documents)
    last = np.append(known[1:] != known[:-1], True).astype(int)
    return {"documents": known, "last": last, "bytes": np.full(len(known), 10)}


def encoded_of(
    task: Any, references: dict[str, Any], max_length: int = 16, texts: list[str] = TEXTS
) -> Encoded:
    features = task.encode(
        {"text": texts}, references, task.tokenizer, max_length=max_length, truncation=False
    )
    return Encoded.from_batches([(0, features)])


def batch_of(encoded: Encoded, *rows: int) -> dict[str, Tensor]:
    return collate(encoded, np.array(rows or range(len(encoded))), pad_token_id=0, scalars={})


def numpy(outputs: dict[str, Tensor]) -> dict[str, Any]:
    return {name: values.numpy() for name, values in outputs.items()}


def test_windows_are_pieces_between_special_tokens(tokenizer: Any) -> None:
    encoded = encoded_of(make_task(tokenizer), references_of([0, 0, 1, 2]), max_length=8)
    rows = [encoded.ragged["input_ids"][row].tolist() for row in range(len(encoded))]
    assert all((row[0], row[-1], len(row) <= 8) == (CLS, SEP, True) for row in rows)
    ids = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert [token for row in rows for token in row[1:-1]] == [token for row in ids for token in row]
    words = [encoded.ragged["words"][row].tolist() for row in range(len(encoded))]
    assert all((row[0], row[-1], min(row[1:-1]) > 0) == (0, 0, True) for row in words)
    assert encoded.examples.tolist() == [0, 1, 2, 2, 3]


def test_words_of_different_rows_have_different_numbers(tokenizer: Any) -> None:
    encoded = encoded_of(make_task(tokenizer), references_of([0, 0, 0, 0]), max_length=32)
    words = encoded.ragged["words"][0][1:-1]
    assert len(set(words.tolist())) == len(words)


def test_masks_depend_on_the_seed_alone(tokenizer: Any) -> None:
    task = make_task(tokenizer, rate=0.5)
    encoded = encoded_of(task, references_of([0, 1, 2, 3]))
    draws = np.arange(40).reshape(10, 4)  # enough that some masks are random tokens
    for some in draws:
        together = task.augment(batch_of(encoded), some)
        for row in range(4):
            alone = task.augment(batch_of(encoded, row), some[row : row + 1])
            length = alone["input_ids"].shape[1]
            for name in ("input_ids", "labels"):
                assert torch.equal(together[name][row : row + 1, :length], alone[name])
    assert (together["labels"] != IGNORED).any(dim=1).all()
    assert "words" not in together


def test_the_loss_equals_that_of_all_logits_at_masked_tokens(tokenizer: Any, model: Any) -> None:
    task = make_task(tokenizer, rate=0.5)
    encoded = encoded_of(task, references_of([0, 1, 2, 3]))
    batch = task.augment(batch_of(encoded), np.arange(4))
    with torch.no_grad():
        loss, count = task.loss({}, 0)(model, batch)
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        actual = task.predictions(numpy(task.decode(model, batch)), encoded, {"text": TEXTS})
    wanted = torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="sum")
    assert float(loss) == pytest.approx(float(wanted), rel=1e-10)
    assert int(count) == int((batch["labels"] != IGNORED).sum()) == actual["tokens"].sum()
    assert actual["nats"].sum() == pytest.approx(float(wanted), rel=1e-10)
    hits = (logits.argmax(-1) == batch["labels"]).sum(1)
    assert actual["hits"].tolist() == hits.tolist()


def test_packed_documents_have_the_loss_of_separate_ones(tokenizer: Any, model: Any) -> None:
    """Every second token is predicted but none is masked, because other windows would have other masks."""
    costs = []
    for packing in (True, False):
        task = make_task(tokenizer, packing=packing)
        encoded = encoded_of(task, references_of([0, 1, 2, 3]), max_length=64)
        batch = batch_of(encoded)
        scored = (batch["words"] > 0) & (batch["input_ids"] % 2 == 0)
        batch["labels"] = torch.where(scored, batch["input_ids"], IGNORED)
        with torch.no_grad():
            costs.append(task.predictions(numpy(task.decode(model, batch)), encoded, {"text": TEXTS}))
        assert len(encoded) == (1 if packing else 4)
    assert costs[0]["tokens"].tolist() == costs[1]["tokens"].tolist()
    np.testing.assert_allclose(costs[0]["nats"], costs[1]["nats"], rtol=1e-10)


def test_predict_fills_the_masks(tokenizer: Any, model: Any) -> None:
    task = make_task(tokenizer, choices=3)
    texts = ["the [MASK] was very [MASK] .", "no mask", "[MASK] film"]
    encoded = encoded_of(task, {}, texts=texts)
    assert encoded.notes == {"texts have no [MASK], so no prediction": 1}
    batch = task.augment(batch_of(encoded), np.arange(3))
    with torch.no_grad():
        outputs = numpy(task.decode(model, batch))
        ids = torch.tensor([encoded.ragged["input_ids"][0].tolist()])
        wanted = model(input_ids=ids).logits[0].softmax(-1)[ids[0] == MASK].topk(3)
    first, bare, last = task.records({"text": texts}, task.predictions(outputs, encoded, {"text": texts}), ())
    assert [[choice["probability"] for choice in place] for place in first["choices"]] == [
        pytest.approx(row, rel=1e-10) for row in wanted.values.tolist()
    ]
    best = [place[0]["token"] for place in first["choices"]]
    assert first["prediction"] == f"the {best[0]} was very {best[1]} ."
    assert first["probability"] == pytest.approx(float(wanted.values[:, 0].prod()), rel=1e-10)
    assert (bare["prediction"], bare["probability"], bare["choices"]) == (None, None, [])
    assert last["prediction"].endswith(" film")


def test_metrics_note_that_they_cover_masked_tokens(tokenizer: Any) -> None:
    predictions = {"nats": np.ones(4), "tokens": np.full(4, 2), "hits": np.ones(4)}
    actual = make_task(tokenizer).measure(references_of([0, 1, 2, 3]), predictions)
    assert actual.values() == pytest.approx({"loss": 0.5, "perplexity": np.exp(0.5), "token_accuracy": 0.5})
    assert all(
        metric.note.endswith(", masked tokens only, each given all tokens that are not masked")
        for metric in actual.metrics
    )


def test_a_tokenizer_without_a_mask_token_is_an_error(tokenizer: Any) -> None:
    from copy import deepcopy

    other = deepcopy(tokenizer)
    other.mask_token = None
    with pytest.raises(ModelError, match=r"S07.*mask token.*task.name=clm"):
        make_task(other)


def test_packing_for_an_unsupported_model_type_is_an_error(tokenizer: Any) -> None:
    with pytest.raises(ModelError, match="S09"):
        tasks.load({"name": "mlm", "packing": True}).bind({"model_type": "roberta"}, tokenizer)
