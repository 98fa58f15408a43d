"""Preference tuning: rewards of chosen and rejected answers, and the base model as the reference policy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

import llmkit
from llmkit import cli, tasks
from llmkit.base.errors import DataError, RecipeError
from llmkit.commands import chat
from llmkit.data.encoding.collate import collate
from llmkit.data.encoding.features import Encoded
from llmkit.metrics.resampling import Resampling
from llmkit.models import load, lora
from llmkit.recipe.schema import Data, Lora
from tests.samples import rows, write_recipe

SHARES = {"validation_share": 0.0, "test_share": 0.0}


def make_task(checkpoint: Path, **options: Any) -> Any:
    """Make the task for a base model."""
    task = tasks.load({"name": "dpo", "max_new_tokens": 12, **options})
    config = json.loads((checkpoint / "config.json").read_text())
    return task.bind(config, AutoTokenizer.from_pretrained(checkpoint))


@pytest.fixture
def batch(corpus_of: Callable[..., Any], tiny_gpt: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """Make 12 pairs, and their task."""
    task = make_task(tiny_gpt)
    split = task.check(corpus_of(task, train=rows("dpo", 12)), Data(**SHARES), 1).corpus.splits["train"]
    features = task.encode(split.columns, {}, task.tokenizer, max_length=48, truncation=True)
    encoded = Encoded.from_batches([(0, features)])
    pad = task.tokenizer.pad_token_id
    return task, collate(encoded, np.arange(len(encoded)), pad_token_id=pad, scalars={})


def fresh(task: Any, checkpoint: Path) -> Any:
    base = load.load_pretrained(
        checkpoint, task.spec.auto_class, {}, new_head=False, seed=1, tokenizer=task.tokenizer
    )
    return lora.add_adapter(base, Lora(rank=4), seed=1)


def test_before_training_no_answer_is_preferred(batch: Any, tiny_gpt: Path) -> None:
    """The loss is ln 2 per pair, all margins are exactly 0, and equal rewards count as half correct."""
    task, echo = batch
    model = fresh(task, tiny_gpt)
    loss, count = task.loss({}, 0)(model, echo)
    assert count == 12
    assert loss.item() / 12 == pytest.approx(math.log(2), rel=1e-6)
    with torch.inference_mode():
        predictions = {name: value.numpy() for name, value in task.decode(model.eval(), echo).items()}
    values = task.score({}, predictions, (), resampling=None).values
    assert (values["reward_margin"], values["reward_accuracy"]) == (0, 0.5)
    assert values["loss"] == pytest.approx(math.log(2))
    assert 0 <= values["likelihood_accuracy"] <= 1
    sheet = task.score({}, predictions, (), resampling=Resampling(resamples=100, seed=1))
    assert sheet.scores["reward_accuracy"].value == 0.5
    assert set(sheet.scores) == {"loss", *task.spec.metrics}


def test_a_step_against_the_gradient_raises_the_margins(batch: Any, tiny_gpt: Path) -> None:
    task, echo = batch
    model = fresh(task, tiny_gpt).train()
    loss, _ = task.loss({}, 0)(model, echo)
    loss.backward()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.grad is not None:
                weights -= 0.05 * weights.grad
    with torch.inference_mode():
        predictions = {name: value.numpy() for name, value in task.decode(model.eval(), echo).items()}
    actual = task.score({}, predictions, (), resampling=None).values
    assert actual["loss"] < math.log(2)
    assert actual["reward_margin"] > 0
    assert actual["reward_accuracy"] > 0.9


def test_beta_scales_the_rewards(tiny_gpt: Path) -> None:
    predictions = {
        "now": np.array([[-3.0, -4.0]]),
        "before": np.array([[-5.0, -4.0]]),
        "tokens": np.array([[2, 2]]),
    }
    margins = [
        make_task(tiny_gpt, beta=beta).score({}, predictions, (), resampling=None).values["reward_margin"]
        for beta in (0.1, 0.5)
    ]
    assert margins == pytest.approx([0.2, 1.0])


def test_without_equal_rewards_accuracy_has_a_closed_form_interval(tiny_gpt: Path) -> None:
    rng = np.random.default_rng(0)
    predictions = {"now": -rng.random((20, 2)), "before": -rng.random((20, 2)), "tokens": np.full((20, 2), 3)}
    sheet = make_task(tiny_gpt).score({}, predictions, (), resampling=Resampling(resamples=100, seed=1))
    assert sheet.scores["reward_accuracy"].method.startswith("Wilson")
    assert sheet.scores["reward_accuracy"].value == pytest.approx(
        make_task(tiny_gpt).score({}, predictions, (), resampling=None).values["reward_accuracy"]
    )


def test_records_hold_the_preferred_side(tiny_gpt: Path) -> None:
    predictions = {
        "now": np.array([[-3.0, -4.0], [-4.0, -3.0], [-4.0, -4.0]]),
        "before": np.full((3, 2), -4.0),
        "tokens": np.full((3, 2), 2),
    }
    asked = {"prompt": ["a"] * 3, "chosen": ["b"] * 3, "rejected": ["c"] * 3}
    task = make_task(tiny_gpt, beta=1.0)
    actual = list(task.records(asked, predictions, ()))
    assert [record["prediction"] for record in actual] == ["chosen", "rejected", "neither"]
    likely = 1 / (1 + math.exp(-1))
    assert [record["probability"] for record in actual] == pytest.approx([likely, likely, 0.5])
    assert "now" not in actual[0]
    records = [{**record, "place": "x:1"} for record in task.records(asked, predictions, (), {})]
    _, again = task.parse_records(records, ())
    assert all((again[name] == predictions[name]).all() for name in predictions)
    (worst,) = task.worst_errors(records)
    assert (worst["label"], worst["prediction"]) == ("b", "c")


@pytest.mark.parametrize("override", ["model.lora=null", "model.lora.merge=true"])
def test_an_adapter_that_stays_separate_is_needed(override: str, tiny_gpt: Path, tmp_path: Path) -> None:
    recipe = write_recipe("dpo", tmp_path, tiny_gpt, count=20)
    with pytest.raises(RecipeError) as caught:
        llmkit.finetune(str(recipe), [override], dry_run=True)
    (error,) = caught.value.details
    assert error.code == "C10"
    assert error.place == override.partition("=")[0]
    assert "merge" in error.fix


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_gpt: Path) -> Path:
    folder = tmp_path_factory.mktemp("dpo")
    recipe = write_recipe("dpo", folder, tiny_gpt, count=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMKIT_CACHE", str(folder / "cache"))
        llmkit.finetune(str(recipe), ["train.epochs=null", "train.max_steps=12"], out=folder / "run")
    return folder / "run"


def records_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]


def test_the_base_model_is_the_baseline_and_evaluate_loads_it_again(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    untuned = report["baselines"]["untuned"]
    assert (untuned["reward_margin"]["value"], untuned["reward_accuracy"]["value"]) == (0, 0.5)
    assert untuned["loss"]["value"] == pytest.approx(math.log(2))
    assert "likelihood accuracy" in report["verdict"][0]
    assert report["scores"]["reward_margin"]["value"] > 0
    assert llmkit.evaluate(str(run))["scores"] == report["scores"]


def test_the_model_opens_in_plain_peft_with_the_same_rewards(run: Path, tiny_gpt: Path) -> None:
    model: Any = AutoPeftModelForCausalLM.from_pretrained(run / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    record = next(one for one in records_of(run) if isinstance(one["prompt"], str))
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": record["prompt"]}], add_generation_prompt=True, tokenize=False
    )
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
    for side, own in enumerate(("chosen", "rejected")):
        answer = tokenizer(record[own], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        actual = sum(logits[len(prompt) + n - 1, token].item() for n, token in enumerate(answer))
        assert actual == pytest.approx(record["now"][side], abs=1e-4)


def test_predict_chooses_the_preferred_answer(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = rows("dpo", 60)
    own = {json.dumps(record["prompt"]): record for record in records_of(run)}
    (plain,) = [row for row in asked if json.dumps(row["prompt"]) in own][:1]
    (answer,) = llmkit.predict(str(run), [plain])
    record = own[json.dumps(plain["prompt"])]
    assert answer["prediction"] == record["prediction"]
    assert answer["reward_margin"] == pytest.approx(record["reward_margin"], abs=1e-5)
    (turned,) = llmkit.predict(
        str(run), [{**plain, "chosen": plain["rejected"], "rejected": plain["chosen"]}]
    )
    assert turned["reward_margin"] == pytest.approx(-answer["reward_margin"], abs=1e-5)
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked[:3]))
    assert cli._run(["predict", str(run), "--file", str(tmp_path / "asked.jsonl")]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert {line[0] for line in lines} <= {"chosen", "rejected"}
    with pytest.raises(DataError, match="the same answer"):
        list(llmkit.predict(str(run), [{"prompt": "film", "chosen": "a", "rejected": "a"}]))


def test_a_run_answers_in_a_chat(run: Path) -> None:
    dialogue = chat.start(str(run), max_new_tokens=4)
    assert isinstance("".join(dialogue.ask("good film")), str)


def test_invalid_rows_are_errors(corpus_of: Callable[..., Any], tiny_gpt: Path) -> None:
    task, actual = make_task(tiny_gpt), rows("dpo", 4)
    actual[2]["rejected"] = actual[2]["chosen"]
    with pytest.raises(DataError) as caught:
        task.check(corpus_of(task, train=actual), Data(**SHARES), 1)
    assert [(p.code, p.place) for p in caught.value.details] == [("S10", "train.jsonl:3")]
