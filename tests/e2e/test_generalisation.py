"""Several seeds and several data sets in two processes, and an interrupted run of several seeds."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "llmkit"]
QUIET = ["train.max_steps=12", "evaluate.baselines=false", "train.seeds=[1,2]"]


@pytest.fixture
def corpora(tmp_path: Path, make_reviews: Any) -> list[str]:
    """Write two data sets; return the arguments of `evaluate` that name them."""
    arguments = []
    for number in (8, 9):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in make_reviews(21, number)))
        arguments += ["--data", str(path)]
    return arguments


@pytest.mark.distributed
def test_two_processes_give_the_results_of_one_process(
    llmkit: Any, tiny_recipe: Path, tmp_path: Path, corpora: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes join one process group for all seeds, because a group can't be joined again after leaving it."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    out = tmp_path / "two"
    process = llmkit("finetune", tiny_recipe, *QUIET, "--out", out, "--json", launcher=TORCHRUN)
    assert process.returncode == 0, process.stderr
    content = json.loads(process.stdout)  # exactly one JSON object, from the main process
    assert list(content["seeds"]) == ["1", "2"]
    assert content["train"]["world_size"] == 2
    assert content["spread"]["loss"]["sd"] > 0
    for seed in (1, 2):
        lines = (out / f"seed-{seed}" / "log.jsonl").read_text().splitlines()
        assert len([line for line in lines if json.loads(line)["kind"] == "step"]) == 12
    evaluations = [
        llmkit("evaluate", out, *corpora, "--json", launcher=launcher)
        for launcher in (TORCHRUN, ["-m", "llmkit"])
    ]
    assert [evaluation.returncode for evaluation in evaluations] == [0, 0], evaluations[0].stderr
    two, one = (json.loads(evaluation.stdout) for evaluation in evaluations)
    assert two["home"] == one["home"]
    for name, corpus in one["corpora"].items():
        assert two["corpora"][name]["scores"]["accuracy"] == corpus["scores"]["accuracy"]
        loss = corpus["scores"]["loss"]["value"]
        assert two["corpora"][name]["scores"]["loss"]["value"] == pytest.approx(loss, rel=1e-5)


def test_run_stopped_in_the_second_seed_is_resumed(
    llmkit: Any, start: Any, wait_for_step: Any, tiny_recipe: Path, tmp_path: Path
) -> None:
    """tests/training/test_multi_seed.py checks that the result is the same."""
    settings = [
        "train.epochs=12",
        "checkpoint.every_steps=7",
        "evaluate.baselines=false",
        "train.seeds=[1,2]",
    ]
    out = tmp_path / "run"
    process = start("finetune", tiny_recipe, *settings, "--out", out)
    try:
        wait_for_step(out / "seed-2", 20)
        os.kill(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 75, err
    last = err.splitlines()[-1]
    assert last.startswith("seed 2 stopped by a signal at step ")
    assert last.endswith(f" --out {out} --resume")
    shown = llmkit("runs", "show", out)
    assert "unfinished, 1 seed done, step " in shown.stdout
    process = llmkit("finetune", tiny_recipe, *settings, "--out", out, "--resume", "--json")
    assert process.returncode == 0, process.stderr
    assert f"{out / 'seed-1'} is already finished" in process.stderr
    assert f"resumed {out / 'seed-2'} at step " in process.stderr
    assert list(json.loads(process.stdout)["seeds"]) == ["1", "2"]
