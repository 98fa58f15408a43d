"""`finetune`: errors before anything is written, the files of a run, adapters, and resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import llmkit
from llmkit import tasks
from llmkit.base.errors import RecipeError, RunError
from llmkit.base.run import find_runs
from llmkit.recipe import load

SHORT = ["train.epochs=null", "evaluate.baselines=false"]


@pytest.fixture
def finetune(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Train the tiny recipe for two steps in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str, steps: int = 2, **settings: Any) -> dict[str, Any]:
        return llmkit.finetune(str(tiny_recipe), [*SHORT, f"train.max_steps={steps}", *overrides], **settings)

    return run


@pytest.fixture
def _without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the plots, which take a second and have tests of their own."""
    monkeypatch.setattr("llmkit.report.plots.draw", lambda _: {})


def error_of(kind: type[RunError | RecipeError], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines()
    return line


def test_dry_run_writes_nothing(finetune: Callable[..., Any], tmp_path: Path, tiny_bert: Path) -> None:
    plan = finetune(dry_run=True)
    assert list(tmp_path.iterdir()) == []
    assert plan["model"] == str(tiny_bert)
    assert plan["labels"] == ["negative", "positive"]
    assert plan["rows"] == {"train": 128, "validation": 16, "test": 16}
    assert plan["schedule"] == {"peak": 3e-3, "total_steps": 2, "warmup_steps": 1, "kind": "linear"}
    assert (plan["evaluate_every"], plan["checkpoint_every"], plan["processes"]) == (16, 16, 1)
    json.dumps(plan)


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("evaluate.best=bleu", "E01"),
        ("train.max_length=65", "C09"),
        ("data.columns.txt=a", "C03"),
        ("train.precision=fp16", "C10"),
    ],
)
def test_error_leaves_no_run_folder(
    finetune: Callable[..., Any], tmp_path: Path, override: str, code: str
) -> None:
    assert f"error[{code}] " in error_of(RecipeError, lambda: finetune(override))
    assert not (tmp_path / "runs").exists()


def test_existing_run_or_non_empty_folder_is_an_error(finetune: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").touch()
    assert "error[R02] run: already holds a run" in error_of(RunError, lambda: finetune(out=Path("run")))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").touch()
    assert "error[R04] photos: is not empty and holds no run" in error_of(
        RunError, lambda: finetune(out=Path("photos"))
    )
    (tmp_path / "file").touch()
    assert "error[R04] file: is a file" in error_of(RunError, lambda: finetune(out=Path("file")))
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.txt"]


@pytest.mark.usefixtures("_without_plots")
def test_run_saves_its_recipe_and_environment_and_can_be_resumed(
    finetune: Callable[..., Any], tiny_recipe: Path, listener: Any
) -> None:
    content = finetune("seed=5", progress=listener)
    (run,) = find_runs()
    assert run.path == Path(content["run"])
    assert run.path.parent == Path("runs/tiny")
    settings = {"task_names": tasks.names(), "task_options": tasks.options}
    saved = load.load(str(run.recipe), **settings)
    assert saved == load.load(str(tiny_recipe), [*SHORT, "train.max_steps=2", "seed=5"], **settings)
    environment = json.loads(run.environment.read_text())
    assert environment["command"] == content["command"]
    assert content["command"].startswith(f"llmkit finetune {tiny_recipe} train.epochs=null")
    assert {"torch", "device", "precision", "threads", "world_size"} <= set(environment)
    assert any(note.startswith(f"run {run.path}: cpu, ") for note in listener.notes)

    again = finetune("seed=5", resume=True, progress=listener)  # finds the run by its recipe
    assert f"{run.path} is already finished" in listener.notes
    assert again == run.read_report()
    line = error_of(RunError, lambda: finetune("seed=6", resume=True, out=run.path))
    assert line.startswith(f"error[M09] {run.path}: was started with another recipe; seed differ")


@pytest.mark.usefixtures("_without_plots")
def test_resume_without_a_run_starts_a_new_one(finetune: Callable[..., Any], listener: Any) -> None:
    finetune(resume=True, out=Path("new"), progress=listener)
    assert "nothing to resume: starting new" in listener.notes


@pytest.mark.usefixtures("_without_plots")
def test_equal_seeds_give_equal_weights(finetune: Callable[..., Any]) -> None:
    digests = [
        finetune(f"seed={seed}", out=Path(f"run-{number}"))["weights_sha256"]
        for number, seed in enumerate([1, 1, 2])
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.usefixtures("_without_plots")
def test_model_from_scratch_is_trained_and_saved(
    finetune: Callable[..., Any], tiny_bert: Path, listener: Any
) -> None:
    new = ["model.name=null", "model.from_scratch.shape=bert", f"model.tokenizer={tiny_bert}"]
    sizes = ["model.from_scratch.layers=1", "model.from_scratch.hidden=16"]
    plan = finetune(*new, *sizes, dry_run=True)
    content = finetune(*new, *sizes, out=Path("new"), progress=listener)
    assert plan["model"] == content["model"] == "bert from scratch"
    assert plan["parameters"] == content["train"]["parameters"] == content["train"]["trainable_parameters"]
    assert not any(note.startswith("loading") for note in listener.notes)
    (record,) = llmkit.predict("new", ["a good film"])
    assert record["prediction"] in ("negative", "positive")
    assert finetune("model.name=new/model", out=Path("on"))["model"] == "new/model"


def test_shape_without_a_head_for_the_task_is_an_error(finetune: Callable[..., Any], tiny_bert: Path) -> None:
    new = ["model.name=null", "model.from_scratch.shape=lstm", f"model.tokenizer={tiny_bert}"]
    line = error_of(RecipeError, lambda: finetune(*new))
    assert line.startswith("error[C10] model.from_scratch.shape: lstm has no head for this task")


def test_lstm_with_gradient_checkpointing_is_an_error(
    finetune: Callable[..., Any], tiny_gpt: Path, tmp_path: Path
) -> None:
    new = ["model.name=null", "model.from_scratch.shape=lstm", f"model.tokenizer={tiny_gpt}"]
    settings = [*new, "task.name=clm", "evaluate.best=loss", "train.gradient_checkpointing=true"]
    line = error_of(RecipeError, lambda: finetune(*settings, out=Path("new")))
    assert line.startswith("error[C10] train.gradient_checkpointing: lstm has no gradient checkpointing")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("_without_plots")
@pytest.mark.parametrize("merge", [True, False])
def test_merged_and_separate_adapters_reproduce_the_report(
    finetune: Callable[..., Any], tmp_path: Path, merge: bool
) -> None:
    """predict and evaluate reproduce the report after saving and loading."""
    content = finetune(
        "train.learning_rate=2e-2",
        "model.lora.rank=4",
        f"model.lora.merge={str(merge).lower()}",
        steps=24,
        out=Path("run"),
    )
    names = {path.name for path in Path("run/model").iterdir()}
    assert ("adapter_model.safetensors" in names) == (not merge)
    assert ("model.safetensors" in names) == merge
    assert json.loads(Path("run/model/llmkit.json").read_text())["adapter"] == (not merge)
    # rank * (in + out) of each linear layer (4 of 32 x 32, one up, one down; 2 layers; pooler), and the head
    linear = 2 * (4 * (32 + 32) + 2 * (32 + 64)) + (32 + 32)
    assert content["train"]["trainable_parameters"] == 4 * linear + 32 * 2 + 2

    records = [json.loads(line) for line in Path("run/predictions/test.jsonl").read_text().splitlines()]
    predictions = list(llmkit.predict("run", [record["text"] for record in records]))
    for record, prediction in zip(records, predictions, strict=True):
        assert prediction["prediction"] == record["prediction"]
        assert prediction["probability"] == pytest.approx(record["probability"], abs=1e-5)
    assert len({round(record["probability"], 4) for record in records}) > 8  # the predictions differ
    scores = llmkit.evaluate("run")["scores"]
    assert scores["accuracy"] == content["scores"]["accuracy"]
    assert scores["loss"]["value"] == pytest.approx(content["scores"]["loss"]["value"], rel=1e-5)


@pytest.mark.usefixtures("_without_plots")
def test_merged_adapters_load_in_plain_transformers(
    finetune: Callable[..., Any], tiny_bert: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    finetune("train.learning_rate=2e-2", "model.lora.rank=4", steps=12, out=Path("run"))
    model = AutoModelForSequenceClassification.from_pretrained("run/model").eval()
    tokenizer = AutoTokenizer.from_pretrained("run/model")
    (record,) = llmkit.predict("run", ["a fine film"])
    with torch.no_grad():
        logits = model(**tokenizer("a fine film", return_tensors="pt")).logits[0]
    assert logits.tolist() == pytest.approx(list(record["logits"].values()), abs=1e-5)
