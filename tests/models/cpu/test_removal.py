"""llmkit works without the folder llmkit/models/cpu, only slower."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np

import llmkit
from llmkit.base.run import Run
from tests.golden.test_losses import without_dropout

PACKAGE = Path(llmkit.__file__).parent
SETTINGS = ["train.epochs=null", "train.max_steps=6", "train.precision=fp32", "evaluate.baselines=false"]
PROGRAM = """
import sys
from pathlib import Path
sys.modules["llmkit.models.cpu"] = None  # importing it raises ModuleNotFoundError
import llmkit
llmkit.finetune(sys.argv[1], sys.argv[3:], out=Path(sys.argv[2]))
"""


def imports_cpu(path: Path) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and any(f"{node.module}.{alias.name}".startswith("llmkit.models.cpu") for alias in node.names)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_only_training_and_int8_inference_import_the_folder() -> None:
    paths = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if imports_cpu(path)]
    outside = {path.parts[0] for path in paths if path.parts[:2] != ("models", "cpu")}
    assert outside == {"training", "inference"}


def test_training_without_the_folder_gives_the_same_losses(
    tiny_recipe: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    """Without dropout, whose random numbers differ from torch's."""
    settings = [*SETTINGS, f"model.name={without_dropout(tiny_bert, tmp_path)}"]
    llmkit.finetune(str(tiny_recipe), settings, out=tmp_path / "with")
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tiny_recipe), str(tmp_path / "without"), *settings],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    steps, slower_steps = (
        [line for line in Run(tmp_path / name).read_log() if line["kind"] == "step"]
        for name in ("with", "without")
    )
    assert sum(step["padded_tokens"] for step in steps) < sum(step["padded_tokens"] for step in slower_steps)
    for key in ("loss", "grad_norm"):
        np.testing.assert_allclose(
            [step[key] for step in steps], [step[key] for step in slower_steps], rtol=1e-4, err_msg=key
        )
