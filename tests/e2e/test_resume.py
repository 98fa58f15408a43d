"""Killing, stopping and resuming the installed command: the result is bit-identical. tests.soak does it more often."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmkit import cli, finetune

pytestmark = pytest.mark.slow

SETTINGS = [
    "train.epochs=12",
    "checkpoint.every_steps=7",
    "train.early_stopping=50",
    "evaluate.baselines=false",
]
TOTAL = 192  # 128 training rows, batches of 8, 12 epochs: long enough to interrupt it on a slow machine


def read_steps(run: Path) -> list[tuple[int, float, float]]:
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["grad_norm"]) for line in log if line["kind"] == "step"]


def read_digest(run: Path) -> str:
    return str(json.loads((run / "report.json").read_text())["weights_sha256"])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Path) -> Path:
    """Return an uninterrupted run."""
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    cache = str(tmp_path_factory.getbasetemp() / "cache")
    subprocess.run(
        [sys.executable, "-m", "llmkit", "finetune", str(tiny_recipe), *SETTINGS, "--out", str(out)],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LLMKIT_CACHE": cache},
        timeout=240,
    )
    return out


def interrupt(
    start: Any, wait_for_step: Any, recipe: Path, out: Path, step: int, number: int
) -> tuple[int, str]:
    """Start a run and send it a signal after a step. Returns its exit code and stderr."""
    process = start("finetune", recipe, *SETTINGS, "--out", out)
    try:
        wait_for_step(out, step)
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, err


def test_resuming_after_sigkill_gives_the_same_weights_and_log(
    llmkit: Any, start: Any, wait_for_step: Any, tiny_recipe: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code, _ = interrupt(start, wait_for_step, tiny_recipe, out, 16, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (out / "report.json").exists()
    process = llmkit("finetune", tiny_recipe, *SETTINGS, "--out", out, "--resume")
    assert process.returncode == 0, process.stderr
    assert "resumed" in process.stderr
    assert len(read_steps(out)) == TOTAL
    assert read_steps(out) == read_steps(uninterrupted)
    assert read_digest(out) == read_digest(uninterrupted)
    assert (out / "predictions" / "test.jsonl").read_bytes() == (
        uninterrupted / "predictions" / "test.jsonl"
    ).read_bytes()


def test_ctrl_c_saves_and_prints_how_to_resume(
    llmkit: Any, start: Any, wait_for_step: Any, tiny_recipe: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code, err = interrupt(start, wait_for_step, tiny_recipe, out, 10, signal.SIGINT)
    assert code == 130, err
    assert "Traceback" not in err
    assert "--resume" in err
    stopped_at = max(step for step, *_ in read_steps(out))
    assert (out / "checkpoints" / f"step-{stopped_at:08d}").is_dir()
    process = llmkit("finetune", tiny_recipe, *SETTINGS, "--out", out, "--resume")
    assert process.returncode == 0, process.stderr
    assert read_digest(out) == read_digest(uninterrupted)


def test_same_seed_gives_the_same_model_and_another_seed_does_not(
    llmkit: Any, tiny_recipe: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    process = llmkit("finetune", tiny_recipe, *SETTINGS, "--out", tmp_path / "again")
    assert process.returncode == 0, process.stderr
    assert read_digest(tmp_path / "again") == read_digest(uninterrupted)
    other = finetune(str(tiny_recipe), [*SETTINGS, "seed=2"], out=tmp_path / "other")
    assert other["weights_sha256"] != read_digest(uninterrupted)


def test_resuming_with_another_recipe_or_other_data_is_an_error(
    start: Any, wait_for_step: Any, tmp_path: Path, tiny_recipe: Path, reviews_jsonl: Path, capsys: Any
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_bytes(reviews_jsonl.read_bytes())
    out = tmp_path / "run"
    command = ["finetune", str(tiny_recipe), f"data.train={data}", *SETTINGS, "--out", str(out)]
    process = start(*command)
    wait_for_step(out, 20)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert cli._run([*command, "--resume", "train.learning_rate=1e-3"]) == 2
    assert capsys.readouterr().err.startswith(
        f"error[M09] {out}: was started with another recipe; train.learning_rate differ"
    )
    data.write_text(data.read_text().replace("film", "movie", 3))
    assert cli._run([*command, "--resume"]) == 2
    assert (
        f"error[M09] {out}: the data is not the data that this run was trained on" in capsys.readouterr().err
    )
