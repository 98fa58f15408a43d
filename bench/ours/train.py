"""Run `llmkit finetune` from Python, with marks for the phases of the run.

With --first-step it stops after the first optimizer step.

Usage: train.py OUT RECIPE [KEY=VALUE ...] [--first-step]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.clock import Clock
from llmkit.base.progress import Progress


class FirstStepDone(Exception):
    """Stops the run after the first optimizer step."""


class Marks(Progress):
    """Turns the progress of a run into marks: training, step (the first one), trained, predicted."""

    def __init__(self, clock: Clock, first_step: bool) -> None:
        self.clock, self.first_step = clock, first_step

    def note(self, text: str) -> None:
        if text.startswith("run "):  # the last note before training
            self.clock.mark("training")

    def advance(self, what: str, done: int, total: int, _unit: str, _detail: str = "") -> None:
        if what == "training":
            self.clock.mark("step")
            if self.first_step:
                raise FirstStepDone
        if done == total and what in ("training", "predicting test"):
            self.clock.mark({"training": "trained"}.get(what, "predicted"))


def main(out: Path, recipe: str, overrides: list[str]) -> None:
    clock = Clock()
    import llmkit

    first_step = "--first-step" in overrides
    settings = [override for override in overrides if override != "--first-step"]
    try:
        result = llmkit.finetune(recipe, settings, out=out, progress=Marks(clock, first_step))
    except FirstStepDone:
        clock.end(examples=0)
        return
    if not result:  # only the main process has a result
        return
    records, log = _read_json_lines(out / "predictions" / "test.jsonl"), _read_json_lines(out / "log.jsonl")
    losses = [line["loss"] for line in log if line["kind"] == "step"]
    train = result["train"]
    clock.end(
        examples=round(train["examples_per_second"] * train["seconds"]),
        steps=train["steps"],
        outputs={
            "predictions": [record["prediction"] for record in records],
            "labels": [record.get("label") for record in records],
            "loss": sum(losses) / len(losses),
        },
    )


def _read_json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
