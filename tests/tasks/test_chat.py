"""Chat: the answer of every turn is learned, the last one predicted, and the template belongs to the model."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import llmkit
from llmkit import cli, tasks
from llmkit.base.errors import DataError, ModelError
from llmkit.data.checks.columns import object_array
from llmkit.data.encoding.collate import IGNORED, collate
from llmkit.data.encoding.features import Encoded
from llmkit.metrics.resampling import Resampling
from llmkit.models import load, lora
from llmkit.recipe.schema import Data, Lora
from tests.float64 import EXACT, in_float64
from tests.samples import rows, write_recipe

SHARES = {"validation_share": 0.0, "test_share": 0.0}


def make_task(checkpoint: Path, tuned: Any = None, **options: Any) -> Any:
    """Make the task for a base model."""
    task = tasks.load({"name": "chat", "max_new_tokens": 12, **options}, tuned or {})
    config = json.loads((checkpoint / "config.json").read_text())
    return task.bind(config, AutoTokenizer.from_pretrained(checkpoint))


def batch_of(task: Any, actual: Any) -> dict[str, torch.Tensor]:
    split = actual.corpus.splits["train"]
    features = task.encode(
        split.columns, actual.references["train"], task.tokenizer, max_length=48, truncation=True
    )
    encoded = Encoded.from_batches([(0, features)])
    return collate(encoded, np.arange(len(encoded)), pad_token_id=task.tokenizer.pad_token_id, scalars={})


@pytest.fixture
def examples(corpus_of: Callable[..., Any], tiny_gpt: Path) -> Any:
    task = make_task(tiny_gpt)
    return task.check(corpus_of(task, train=rows("chat", 12)), Data(**SHARES), 1)


def test_encoder_decoders_are_refused(tiny_t5: Path) -> None:
    with pytest.raises(ModelError, match="encoder-decoder"):
        make_task(tiny_t5)


def test_another_template_than_in_training_is_an_error(tiny_gpt: Path) -> None:
    task = make_task(tiny_gpt)
    assert make_task(tiny_gpt, task.spec.tuned).tuned == task.spec.tuned
    with pytest.raises(ModelError, match="is not the chat template of training") as caught:
        make_task(tiny_gpt, {"template_sha256": "0" * 64})
    assert caught.value.details[0].code == "S08"


def test_invalid_rows_are_errors(corpus_of: Callable[..., Any], tiny_gpt: Path) -> None:
    task, actual = make_task(tiny_gpt), rows("chat", 4)
    actual[2]["messages"] = actual[2]["messages"][1:]
    with pytest.raises(DataError) as caught:
        task.check(corpus_of(task, train=actual), Data(**SHARES), 1)
    assert [(p.code, p.place) for p in caught.value.details] == [("S03", "train.jsonl:3")]


def test_the_loss_covers_every_answer(examples: Any, tiny_gpt: Path) -> None:
    """It counts all tokens of the answers and their ends, and sums over single conversations."""
    task = make_task(tiny_gpt)
    batch = batch_of(task, examples)
    model = load.load_pretrained(
        tiny_gpt, task.spec.auto_class, {}, new_head=False, seed=1, tokenizer=task.tokenizer
    )
    model = in_float64(model).eval()
    said = [
        message["content"]
        for turns in examples.corpus.splits["train"].column("messages")
        for message in turns
        if message["role"] == "assistant"
    ]
    assert len(said) > 12
    with torch.inference_mode():
        loss, count = task.loss({}, 0)(model, batch)
        assert count == sum(len(text.split()) + 1 for text in said)
        actual = task.decode(model, batch, validating=True)
        assert loss.item() == pytest.approx(actual["nats"].sum().item(), rel=1e-10)
        alone = [
            task.decode(model, {k: v[n : n + 1] for k, v in batch.items()}, validating=True)
            for n in range(12)
        ]
    torch.testing.assert_close(actual["nats"], torch.cat([one["nats"] for one in alone]), **EXACT)


def test_a_merged_adapter_generates_the_same_answers(examples: Any, tiny_gpt: Path) -> None:
    task = make_task(tiny_gpt)
    batch = batch_of(task, examples)
    base = load.load_pretrained(
        tiny_gpt, task.spec.auto_class, {}, new_head=False, seed=1, tokenizer=task.tokenizer
    )
    model = lora.add_adapter(in_float64(base), Lora(rank=4), seed=1, new_tokens=[]).eval()
    torch.manual_seed(3)
    with torch.inference_mode():
        before = task.decode(model, batch, validating=True)["nats"]
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.2)
    with torch.inference_mode():
        adapted = task.decode(model, batch)
        merged = task.decode(lora.merge_adapter(model).eval(), batch)
    assert (adapted["nats"] - before).abs().max() > 0.1  # the adapters have an effect
    torch.testing.assert_close(merged["nats"], adapted["nats"], atol=0, rtol=1e-6)  # rounded to float32
    assert torch.equal(merged["written"], adapted["written"])


def test_a_system_message_is_added_if_there_is_none(tiny_gpt: Path) -> None:
    task = make_task(tiny_gpt, system="very good")
    own = [{"role": "system", "content": "bad"}, {"role": "user", "content": "film"}]
    assert task.parse_turns("film")[0] == {"role": "system", "content": "very good"}
    assert task.parse_turns(own) == own


def test_invalid_messages_to_predict_are_errors(tiny_gpt: Path) -> None:
    task = make_task(tiny_gpt)
    assert task.parse_turns("film") == [{"role": "user", "content": "film"}]
    with pytest.raises(DataError, match="the role 'tool' is unknown"):
        task.parse_turns([{"role": "tool", "content": "x"}])


def test_scores_are_perplexity_and_rouge(tiny_gpt: Path) -> None:
    task = make_task(tiny_gpt)
    references = {"texts": object_array([("a good film",), ("a bad film",)])}
    predictions = {
        "texts": object_array(["a good film", "a good"]),
        "nats": np.array([6.0, 2.0], np.float32),
        "tokens": np.array([3, 1]),
    }
    values = task.score(references, predictions, (), resampling=None).values
    assert values["loss"] == pytest.approx(2)
    assert values["perplexity"] == pytest.approx(np.exp(2))
    assert values["rougeL"] == pytest.approx(100 * (1 + 0.4) / 2)
    costs = {name: predictions[name] for name in ("nats", "tokens")}
    assert set(task.score(references, costs, (), resampling=None).values) == set(task.spec.validation_metrics)
    sheet = task.score(references, predictions, (), resampling=Resampling(resamples=100, seed=1))
    assert sheet.headline == ("perplexity", "rougeL")
    assert {name: score.value for name, score in sheet.scores.items()} == pytest.approx(values)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_gpt: Path) -> Path:
    """Train some steps on made-up conversations, with a separate adapter."""
    folder = tmp_path_factory.mktemp("chat")
    recipe = write_recipe("chat", folder, tiny_gpt, count=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMKIT_CACHE", str(folder / "cache"))
        llmkit.finetune(
            str(recipe),
            ["train.epochs=null", "train.max_steps=4", "model.lora={rank: 4, merge: false}"],
            out=folder / "run",
        )
    return folder / "run"


def test_a_run_saves_its_template_and_is_compared_with_the_base_model(run: Path) -> None:
    card = json.loads((run / "model" / "llmkit.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    expected = hashlib.sha256(tokenizer.chat_template.encode()).hexdigest()
    assert card["tuned"] == {"template_sha256": expected}
    assert tokenizer.chat_template.startswith("{{ bos_token }}")
    report = json.loads((run / "report.json").read_text())
    assert set(report["baselines"]) == {"untuned"}
    assert "the base model before fine-tuning" in report["verdict"][0]


def test_predict_continues_messages(run: Path) -> None:
    lines = (run / "predictions" / "test.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    predictions = list(llmkit.predict(str(run), [{"prompt": record["prompt"]} for record in records]))
    assert [a["prediction"] for a in predictions] == [record["prediction"] for record in records]
    assert llmkit.compare(run, run)["differences"]["perplexity"]["value"] == 0


def test_predict_reads_files_of_conversations(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [{"messages": turns["messages"][:-1]} for turns in rows("chat", 4, seed=5)]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    assert cli._run(["predict", str(run), "--file", str(tmp_path / "asked.jsonl")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[2] for line in lines] == [row["messages"][-1]["content"] for row in asked]
    assert cli._run(["predict", str(run), "good film"]) == 0


def test_a_changed_template_is_an_error(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run / "model", tmp_path / "model"))
    template = copy / "chat_template.jinja"
    template.write_text("{# another #}" + template.read_text())
    with pytest.raises(ModelError, match="is not the chat template of training"):
        list(llmkit.predict(str(copy), ["good film"]))


def test_the_dry_run_shows_that_the_prompt_is_not_learned(examples: Any, tiny_gpt: Path) -> None:
    task = make_task(tiny_gpt)
    batch = batch_of(task, examples)
    single = [
        n for n, turns in enumerate(examples.corpus.splits["train"].column("messages")) if len(turns) == 2
    ]
    assert (batch["labels"][single] == IGNORED).all()
    assert (batch["targets"] != IGNORED).any(1).all()
