"""Recorded figures of the first steps: a change that moves them must say why (`make golden` records anew).

What is compared: loss and gradient norm of each update, so data order, tokenizing, micro-batches, head, loss,
schedule, clipping and optimizer all stand behind each figure.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import llmkit
from llmkit import tasks
from llmkit.base.run import Run
from tests.samples import write_recipe

RECORDED = Path(__file__).with_name("losses.json")
STEPS = 12
# Enough for the order of sums, which differs between processors; far below any change of the method.
TOLERANCE = 1e-4

Curve = dict[str, list[float]]
CASES = {
    "full": [],
    "adapters": ["model.lora.rank=4"],
    "weighted": ["task.class_weights=balanced", "task.label_smoothing=0.1", "train.micro_batch_tokens=48"],
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def curve(recipe: Path, overrides: list[str], out: Path) -> Curve:
    settings = ["train.epochs=null", f"train.max_steps={STEPS}", "train.precision=fp32"]
    llmkit.finetune(str(recipe), [*settings, "evaluate.baselines=false", *overrides], out=out)
    steps = [line for line in Run(out).read_log() if line["kind"] == "step"]
    return {key: [line[key] for line in steps] for key in ("loss", "grad_norm")}


def compare(name: str, found: Curve, rewrite: bool) -> None:
    recorded: dict[str, Curve] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if rewrite:
        rounded = {key: [float(f"{value:.7g}") for value in values] for key, values in found.items()}
        RECORDED.write_text(json.dumps({**recorded, name: rounded}, indent=1, sort_keys=True) + "\n")
        return
    for key, values in recorded[name].items():
        assert len(found[key]) == STEPS
        assert found[key] == pytest.approx(values, rel=TOLERANCE), key


def without_dropout(checkpoint: Path, folder: Path) -> Path:
    copy = Path(shutil.copytree(checkpoint, folder / "checkpoint"))
    config = json.loads((copy / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "dropout_rate": 0.0}
    (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.mark.parametrize("name", sorted(CASES))
def test_losses_are_those_recorded(
    name: str, tiny_recipe: Path, tiny_bert: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Without dropout, so on any processor."""
    bert = without_dropout(tiny_bert, tmp_path)
    found = curve(tiny_recipe, [f"model.name={bert}", *CASES[name]], tmp_path / "run")
    compare(name, found, request.config.getoption("--rewrite-golden"))


@pytest.mark.parametrize("task", [name for name in tasks.names() if name != "classification"])
def test_losses_of_each_task_are_those_recorded(
    task: str, tiny_for: Callable[[str], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    recipe = write_recipe(task, tmp_path, without_dropout(tiny_for(task), tmp_path))
    compare(task, curve(recipe, [], tmp_path / "run"), request.config.getoption("--rewrite-golden"))


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="torch draws dropout otherwise there"
)
def test_losses_with_dropout_are_those_recorded(
    tiny_recipe: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its seeds are a function of (seed, step, rank)."""
    compare("dropout", curve(tiny_recipe, [], tmp_path / "run"), request.config.getoption("--rewrite-golden"))
