"""Several seeds and several corpora in two processes; and a killed run of several seeds."""

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
    """Arguments that name two corpora."""
    arguments = []
    for number in (8, 9):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in make_reviews(21, number)))
        arguments += ["--data", str(path)]
    return arguments


@pytest.mark.distributed
def test_two_processes_do_what_one_does(
    llmkit: Any, tiny_recipe: Path, tmp_path: Path, corpora: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They join once for all seeds: a process group that was left can't be joined again."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    out = tmp_path / "two"
    done = llmkit("finetune", tiny_recipe, *QUIET, "--out", out, "--json", launcher=TORCHRUN)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)  # exactly one JSON object, from the first process
    assert list(content["seeds"]) == ["1", "2"]
    assert content["train"]["world_size"] == 2
    assert content["spread"]["loss"]["sd"] > 0
    for seed in (1, 2):
        lines = (out / f"seed-{seed}" / "log.jsonl").read_text().splitlines()
        assert len([line for line in lines if json.loads(line)["kind"] == "step"]) == 12
    scored = [
        llmkit("evaluate", out, *corpora, "--json", launcher=launcher)
        for launcher in (TORCHRUN, ["-m", "llmkit"])
    ]
    assert [one.returncode for one in scored] == [0, 0], scored[0].stderr
    two, one = (json.loads(one.stdout) for one in scored)
    assert two["home"] == one["home"]
    for name, corpus in one["corpora"].items():
        assert two["corpora"][name]["scores"]["accuracy"] == corpus["scores"]["accuracy"]
        loss = corpus["scores"]["loss"]["value"]
        assert two["corpora"][name]["scores"]["loss"]["value"] == pytest.approx(loss, rel=1e-5)


def test_a_signal_in_the_second_seed(
    llmkit: Any, start: Any, wait_for_step: Any, tiny_recipe: Path, tmp_path: Path
) -> None:
    """That the end is the same is tested beside the workflow, in one process."""
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
    done = llmkit("finetune", tiny_recipe, *settings, "--out", out, "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert f"{out / 'seed-1'} is already finished" in done.stderr
    assert f"resumed {out / 'seed-2'} at step " in done.stderr
    assert list(json.loads(done.stdout)["seeds"]) == ["1", "2"]
