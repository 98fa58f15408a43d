"""Commands print their own progress to stderr, and nothing of the libraries, whichever versions are installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.samples import write_recipe

ROOT = Path(__file__).parents[2]
# Runs one command line after the other in one process: the libraries are imported once.
SEVERAL = """
import shlex, sys
from llmkit import cli
for line in sys.argv[1:]:
    code = cli._run(shlex.split(line))
    assert code == 0, (line, code)
"""
NOISE = re.compile(r"warning|deprecat|removed in|it/s|\d%\||\r", re.IGNORECASE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "changes", "text"),
    [
        ("classification", "'model.lora={rank: 2}'", "good film"),
        ("chat", "'model.lora={rank: 2, merge: false}' task.max_new_tokens=4", "good film"),
        ("clm", "train.gradient_checkpointing=true", ""),
        ("translation", "task.max_new_tokens=4", "good film"),
    ],
)
def test_commands_print_nothing_of_the_libraries(
    task: str, changes: str, text: str, tmp_path: Path, tiny_for: Callable[[str], Path]
) -> None:
    recipe = write_recipe(task, tmp_path, tiny_for(task), count=40)
    command = "pretrain" if task == "clm" else "finetune"
    lines = [f"{command} {recipe} {changes} train.epochs=null train.max_steps=2 --out run"]
    if text:
        lines += ["evaluate run", f"predict run '{text}'"]
    if task == "chat":
        lines.append("chat run --max-new-tokens 4")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, *lines],
        input="hello\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "step 2: validation loss" in done.stderr
    assert not [line for line in done.stderr.split("\n") if NOISE.search(line)]
