"""llmkit beside plain transformers on the same job: same rows, updates and learning rate, one seed a round.

Every run is a process of its own, the order is A B A B, and only ratios within a round are compared, since the speed of
a machine drifts. Prints a table, and writes bench/results/DATE.json.

Usage: python bench/run.py [--rounds 3] [--examples 2400]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
RATE, EPOCHS = "2e-4", "1"


def main(rounds: int, examples: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = prepare(folder, examples)
        results = [one_round(folder, model, seed) for seed in range(1, rounds + 1)]
    summary = summarize(results, examples)
    target = HERE / "results" / f"{date.today():%Y-%m-%d}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {target}")


def one_round(folder: Path, model: Path, seed: int) -> dict[str, Any]:
    print(f"seed {seed}", flush=True)
    return {"seed": seed, "trainer": trainer(folder, model, seed), "llmkit": llmkit(folder, seed)}


def prepare(folder: Path, examples: int) -> Path:
    """The embedded reviews as files that both sides read; returns the checkpoint's folder."""
    from llmkit import tasks
    from llmkit.assets import store
    from llmkit.progress import SILENT
    from llmkit.recipe import load
    from llmkit.workflows.prepare import read_rows

    recipe = load.load("sentiment", task_names=tasks.names(), task_options=tasks.options)
    task = tasks.load("classification")
    parts = task.check(read_rows(recipe.data, task, SILENT), recipe.data, recipe.seed).corpus.parts
    for part in ("train", "validation", "test"):
        rows = list(zip(parts[part].column("text"), parts[part].column("label"), strict=True))
        if part == "train":  # the file begins with positive reviews only
            rows = [rows[number] for number in np.random.default_rng(0).permutation(len(rows))[:examples]]
        lines = (json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
        (folder / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
    return store.folder("all-MiniLM-L6-v2", SILENT)


def timed(command: list[str]) -> tuple[str, dict[str, float]]:
    """stdout and wall seconds of a process."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout, {"wall_seconds": time.perf_counter() - began}


def trainer(folder: Path, model: Path, seed: int) -> dict[str, Any]:
    files = [str(folder / "train.jsonl"), str(folder / "test.jsonl")]
    out, figures = timed(
        [sys.executable, str(HERE / "trainer.py"), str(model), *files, str(seed), EPOCHS, RATE]
    )
    return {**json.loads(out.splitlines()[-1]), **figures}


def llmkit(folder: Path, seed: int) -> dict[str, Any]:
    run = folder / f"run{seed}"
    parts = [f"data.{part}={folder / part}.jsonl" for part in ("train", "validation", "test")]
    settings = [
        f"train.epochs={EPOCHS}",
        f"train.learning_rate={RATE}",
        f"seed={seed}",
        "evaluate.baselines=false",
    ]
    command = [
        sys.executable,
        "-m",
        "llmkit",
        "finetune",
        "sentiment",
        *parts,
        *settings,
        "--out",
        str(run),
        "--json",
    ]
    out, figures = timed(command)
    result = json.loads(out)
    records = [json.loads(line) for line in (run / "predictions" / "test.jsonl").open(encoding="utf-8")]
    return {
        "predictions": [record["prediction"] for record in records],
        "golds": [record["label"] for record in records],
        "train_seconds": result["train"]["seconds"],
        "steps": result["train"]["steps"],
        **figures,
    }


def summarize(results: list[dict[str, Any]], examples: int) -> dict[str, Any]:
    """Accuracies with their paired difference over all seeds, and the ratio of the training times round by round."""
    from llmkit.metrics import classification, intervals

    names = sorted(set(results[0]["llmkit"]["golds"]))
    number = {name: index for index, name in enumerate(names)}

    def numbers(side: str, key: str) -> np.ndarray:
        return np.array([number[name] for result in results for name in result[side][key]])

    assert all(result["trainer"]["golds"] == result["llmkit"]["golds"] for result in results)
    assert all(result["trainer"]["steps"] == result["llmkit"]["steps"] for result in results)
    golds = numbers("llmkit", "golds")
    difference = classification.difference(
        golds, numbers("llmkit", "predictions"), numbers("trainer", "predictions"), names
    )
    sides = {}
    for side in ("trainer", "llmkit"):
        right = numbers(side, "predictions") == golds
        low, high = intervals.wilson(int(right.sum()), len(right))
        each = [float(part.mean()) for part in np.split(right, len(results))]
        sides[side] = {"accuracy": float(right.mean()), "low": low, "high": high, "by_seed": each}
        seconds = [round(result[side]["train_seconds"], 1) for result in results]
        print(
            f"{side:8} accuracy {right.mean():.4f} [{low:.4f}, {high:.4f}] by seed {each}  training {seconds} s"
        )
    ratios = [result["trainer"]["train_seconds"] / result["llmkit"]["train_seconds"] for result in results]
    print(
        f"llmkit minus trainer: {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}], "
        f"p {difference.p_value:.3f}, {len(results)} seeds x {len(golds) // len(results)} test rows"
    )
    print(
        f"speed, llmkit over trainer: median {statistics.median(ratios):.2f}, rounds {[round(r, 2) for r in ratios]}"
    )
    return {
        "examples": examples,
        "steps": results[0]["llmkit"]["steps"],
        "sides": sides,
        "difference": [difference.value, difference.low, difference.high],
        "speed_ratios": ratios,
        "wall_seconds": {side: [result[side]["wall_seconds"] for result in results] for side in sides},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds, one seed each")
    parser.add_argument("--examples", type=int, default=2400, help="training rows")
    options = parser.parse_args()
    main(options.rounds, options.examples)
