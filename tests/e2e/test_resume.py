"""The installed command, killed, stopped and resumed: the end is the same to the bit. tests.soak does it more often."""

from __future__ import annotations

import json
import os
import signal
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
TOTAL = 192  # 128 training rows, batches of 8, 12 epochs: long enough to be hit on a slow machine


def steps(run: Path) -> list[tuple[int, float, float]]:
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["grad_norm"]) for line in log if line["kind"] == "step"]


def digest(run: Path) -> str:
    return str(json.loads((run / "report.json").read_text())["weights_sha256"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Path) -> Path:
    """The run that nobody interrupts."""
    import subprocess
    import sys

    out = tmp_path_factory.mktemp("whole") / "run"
    cache = str(tmp_path_factory.getbasetemp() / "cache")
    subprocess.run(
        [sys.executable, "-m", "llmkit", "finetune", str(tiny_recipe), *SETTINGS, "--out", str(out)],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LLMKIT_CACHE": cache},
        timeout=240,
    )
    return out


def killed(
    start: Any, wait_for_step: Any, recipe: Path, out: Path, step: int, number: int
) -> tuple[int, str]:
    process = start("finetune", recipe, *SETTINGS, "--out", out)
    try:
        wait_for_step(out, step)
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, err


def test_kill_9_then_resume_gives_the_same_weights_and_log(
    llmkit: Any, start: Any, wait_for_step: Any, tiny_recipe: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code, _ = killed(start, wait_for_step, tiny_recipe, out, 16, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (out / "report.json").exists()
    done = llmkit("finetune", tiny_recipe, *SETTINGS, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stderr
    assert len(steps(out)) == TOTAL
    assert steps(out) == steps(whole)
    assert digest(out) == digest(whole)
    assert (out / "predictions" / "test.jsonl").read_bytes() == (
        whole / "predictions" / "test.jsonl"
    ).read_bytes()


def test_ctrl_c_saves_and_says_how_to_go_on(
    llmkit: Any, start: Any, wait_for_step: Any, tiny_recipe: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    returned, err = killed(start, wait_for_step, tiny_recipe, out, 10, signal.SIGINT)
    assert returned == 130, err
    assert "Traceback" not in err
    assert "--resume" in err
    stopped_at = max(step for step, *_ in steps(out))
    assert (out / "checkpoints" / f"step-{stopped_at:08d}").is_dir()
    done = llmkit("finetune", tiny_recipe, *SETTINGS, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert digest(out) == digest(whole)


def test_the_same_seed_gives_the_same_model(
    llmkit: Any, tiny_recipe: Path, whole: Path, tmp_path: Path
) -> None:
    done = llmkit("finetune", tiny_recipe, *SETTINGS, "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert digest(tmp_path / "again") == digest(whole)
    other = finetune(str(tiny_recipe), [*SETTINGS, "seed=2"], out=tmp_path / "other")
    assert other["weights_sha256"] != digest(whole)


def test_another_recipe_or_other_data_is_refused(
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
    assert f"error[M09] {out}: the data is not what this run was trained on" in capsys.readouterr().err
