"""Causal language modelling: labels, packing, losses and the tokens that `predict` lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llmkit import tasks
from llmkit.base.errors import ModelError
from llmkit.data.encoding.collate import IGNORED, collate
from llmkit.data.encoding.features import Encoded
from llmkit.models import load
from tests.float64 import in_float64

TEXTS = ["the film was good", "it is", "the story of a lovely actor with music", "bad"]
LENGTHS = [4, 2, 8, 1]  # tokens
CLS, SEP = 2, 3  # start and end


@pytest.fixture(scope="module")
def tokenizer(tiny_gpt: Path) -> Any:
    return load.load_tokenizer(tiny_gpt)


@pytest.fixture(scope="module")
def model(tiny_gpt: Path, tokenizer: Any) -> Any:
    actual = load.load_pretrained(
        tiny_gpt, "AutoModelForCausalLM", {}, new_head=False, seed=1, tokenizer=tokenizer
    )
    return in_float64(actual).eval()


def make_task(tokenizer: Any, **options: Any) -> Any:
    return tasks.load({"name": "clm", **options}).bind({"model_type": "llama"}, tokenizer)


def references_of(documents: list[int], last: list[int] | None = None) -> dict[str, Any]:
    known = np.array(documents)
    ends = np.append(known[1:] != known[:-1], True).astype(int) if last is None else np.array(last)
    return {"documents": known, "last": ends, "bytes": np.full(len(known), 10)}


def encoded_of(task: Any, references: Mapping[str, Any], **settings: Any) -> Encoded:
    features = task.encode({"text": TEXTS}, references, task.tokenizer, truncation=False, **settings)
    return Encoded.from_batches([(0, features)])


def windows(encoded: Encoded, name: str) -> list[list[int]]:
    return [encoded.ragged[name][row].tolist() for row in range(len(encoded))]


def costs(task: Any, model: Any, encoded: Encoded) -> dict[str, Any]:
    """Compute the sums by row, with all windows in one padded batch."""
    batch = collate(encoded, np.arange(len(encoded)), pad_token_id=0, scalars={})
    with torch.no_grad():
        outputs = {name: values.numpy() for name, values in task.decode(model, batch).items()}
    return dict(task.predictions(outputs, encoded, {"text": TEXTS}))


def test_each_token_is_predicted_once_from_the_start_to_the_end(tokenizer: Any) -> None:
    encoded = encoded_of(make_task(tokenizer, packing=False), references_of([0, 1, 2, 3]), max_length=16)
    ids = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert windows(encoded, "input_ids") == [[CLS, *row] for row in ids]
    assert windows(encoded, "labels") == [[*row, SEP] for row in ids]


def test_rows_of_a_document_are_joined_without_end_tokens(tokenizer: Any) -> None:
    encoded = encoded_of(make_task(tokenizer), references_of([0, 0, 1, 1], last=[0, 1, 0, 0]), max_length=32)
    (labels,) = windows(encoded, "labels")
    ids = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert labels == [*ids[0], *ids[1], SEP, *ids[2], *ids[3]]  # the second document continues in later rows
    assert windows(encoded, "segments") == [[1] * 7 + [2] * 9]


@pytest.mark.parametrize("max_length", [5, 8, 64])
def test_packed_documents_have_the_loss_of_separate_ones(tokenizer: Any, model: Any, max_length: int) -> None:
    """Blocks of 5 and 8 tokens divide documents. The separate documents are divided in the same places."""
    references = references_of([0, 1, 2, 3])
    task = make_task(tokenizer)
    packed = encoded_of(task, references, max_length=max_length)
    actual = costs(task, model, packed)
    total = 0.0
    for ids, segments, labels in zip(
        *(windows(packed, name) for name in ("input_ids", "segments", "labels")), strict=True
    ):
        for segment in set(segments):
            inside = np.array(segments) == segment
            piece = torch.tensor([np.array(ids)[inside]])
            wanted = torch.tensor([np.array(labels)[inside]])
            with torch.no_grad():
                logits = model(input_ids=piece).logits
            total += float(torch.nn.functional.cross_entropy(logits[0], wanted[0], reduction="sum"))
    assert actual["nats"].sum() == pytest.approx(total, rel=1e-10)
    assert actual["tokens"].tolist() == [length + 1 for length in LENGTHS]
    if max_length == 64:
        alone = make_task(tokenizer, packing=False)
        apart = costs(alone, model, encoded_of(alone, references, max_length=max_length))
        np.testing.assert_allclose(actual["nats"], apart["nats"], rtol=1e-10)


def test_the_loss_equals_the_sums_of_decode(tokenizer: Any, model: Any) -> None:
    task = make_task(tokenizer)
    encoded = encoded_of(task, references_of([0, 1, 2, 3]), max_length=9)
    batch = collate(encoded, np.arange(len(encoded)), pad_token_id=0, scalars={})
    loss, count = task.loss({}, 0)(model, batch)
    actual = costs(task, model, encoded)
    assert int(count) == actual["tokens"].sum() == sum(LENGTHS) + 4
    assert loss.item() == pytest.approx(actual["nats"].sum(), rel=1e-10)


def test_stride_gives_context_and_counts_no_token_twice(tokenizer: Any, model: Any) -> None:
    task = make_task(tokenizer, stride=3, packing=False)
    references = references_of([0, 0, 0, 0])
    encoded = encoded_of(task, references, max_length=6)
    assert [row.count(IGNORED) for row in windows(encoded, "labels")] == [0, 3, 3, 3, 3][: len(encoded)]
    assert [row[:3] for row in windows(encoded, "input_ids")[1:]] == [
        row[3:] for row in windows(encoded, "input_ids")[:-1]
    ]
    assert costs(task, model, encoded)["tokens"].tolist() == [4, 2, 8, 2]
    trained = encoded_of(task, references, max_length=6, training=True)
    assert not any(IGNORED in row for row in windows(trained, "labels"))


def test_predict_lists_the_most_probable_next_tokens(tokenizer: Any, model: Any) -> None:
    """Texts of different lengths are in one batch."""
    task = make_task(tokenizer, choices=3)
    encoded = encoded_of(task, {}, max_length=16)
    batch = collate(encoded, np.arange(len(encoded)), pad_token_id=0, scalars={})
    with torch.no_grad():
        outputs = {name: values.numpy() for name, values in task.decode(model, batch).items()}
        first = model(input_ids=torch.tensor([encoded.ragged["input_ids"][0].tolist()])).logits[0, -1]
    records = list(task.records({"text": TEXTS}, task.predictions(outputs, encoded, {"text": TEXTS}), ()))
    wanted = first.softmax(-1).topk(3)
    (actual,) = records[0]["choices"]
    assert [choice["probability"] for choice in actual] == pytest.approx(wanted.values.tolist(), rel=1e-10)
    assert [choice["token"] for choice in actual] == [tokenizer.decode([i]) for i in wanted.indices.tolist()]
    assert (records[0]["prediction"], len(records)) == (actual[0]["token"], 4)


def test_a_prompt_keeps_its_end(tokenizer: Any) -> None:
    encoded = encoded_of(make_task(tokenizer), {}, max_length=3)
    assert (
        windows(encoded, "input_ids")[2]
        == tokenizer("actor with music", add_special_tokens=False)["input_ids"]
    )
    assert encoded.counts.cut_examples == 2


def test_a_tokenizer_without_an_end_token_is_an_error(tokenizer: Any, tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match="S07"):
        make_task(load.load_tokenizer(tiny_bert))


def test_packing_for_an_unsupported_model_type_is_an_error(tokenizer: Any) -> None:
    task = tasks.load({"name": "clm"})
    with pytest.raises(ModelError, match=r'S09.*"mamba".*task.packing=false'):
        task.bind({"model_type": "mamba"}, tokenizer)
    tasks.load({"name": "clm", "packing": False}).bind({"model_type": "mamba"}, tokenizer)
