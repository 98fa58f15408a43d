"""Loss and gradient norm of the first steps equal recorded figures, for every task.

The figures depend on data order, tokenization, micro-batches, head, loss, schedule, clipping and optimizer. A change
that moves them must say why; `make golden` records them again.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import llmkit
from llmkit import tasks
from llmkit.base.run import Run
from tests.samples import write_recipe

RECORDED = Path(__file__).with_name("losses.json")
STEPS = 12
# Covers the order of sums, which differs between processors, and is far below any change of the method.
TOLERANCE = 1e-4

Curve = dict[str, list[float]]
CASES = {
    "full": [],
    "adapters": ["model.lora.rank=4"],
    "weighted": ["task.class_weights=balanced", "task.label_smoothing=0.1", "train.micro_batch_tokens=48"],
}


def train_curve(recipe: Path, overrides: list[str], out: Path) -> Curve:
    settings = ["train.epochs=null", f"train.max_steps={STEPS}", "train.precision=fp32"]
    llmkit.finetune(str(recipe), [*settings, "evaluate.baselines=false", *overrides], out=out)
    steps = [line for line in Run(out).read_log() if line["kind"] == "step"]
    return {key: [line[key] for line in steps] for key in ("loss", "grad_norm")}


def compare(name: str, curve: Curve, rewrite: bool) -> None:
    """Compare a curve with the recorded one, or record it."""
    recorded: dict[str, Curve] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if rewrite:
        rounded = {key: [float(f"{value:.7g}") for value in values] for key, values in curve.items()}
        RECORDED.write_text(json.dumps({**recorded, name: rounded}, indent=1, sort_keys=True) + "\n")
        return
    for key, values in recorded[name].items():
        assert len(curve[key]) == STEPS
        assert curve[key] == pytest.approx(values, rel=TOLERANCE), key


def without_dropout(checkpoint: Path, folder: Path) -> Path:
    """Copy a checkpoint into `folder` with all dropout probabilities set to 0."""
    copy = Path(shutil.copytree(checkpoint, folder / "checkpoint"))
    config = json.loads((copy / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "dropout_rate": 0.0}
    (copy / "config.json").write_text(json.dumps(config))
    return copy


@pytest.mark.parametrize("name", sorted(CASES))
def test_losses_equal_the_recorded_ones(
    name: str, tiny_recipe: Path, tiny_bert: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Without dropout, so that they hold on any processor."""
    bert = without_dropout(tiny_bert, tmp_path)
    curve = train_curve(tiny_recipe, [f"model.name={bert}", *CASES[name]], tmp_path / "run")
    compare(name, curve, request.config.getoption("--rewrite-golden"))


@pytest.mark.parametrize("task", [name for name in tasks.names() if name != "classification"])
def test_losses_of_each_task_equal_the_recorded_ones(
    task: str, tiny_for: Callable[[str], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    recipe = write_recipe(task, tmp_path, without_dropout(tiny_for(task), tmp_path))
    compare(task, train_curve(recipe, [], tmp_path / "run"), request.config.getoption("--rewrite-golden"))


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="torch draws other dropout masks on this processor"
)
def test_losses_with_dropout_equal_the_recorded_ones(
    tiny_recipe: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Dropout is seeded by (seed, step, rank)."""
    compare(
        "dropout",
        train_curve(tiny_recipe, [], tmp_path / "run"),
        request.config.getoption("--rewrite-golden"),
    )
