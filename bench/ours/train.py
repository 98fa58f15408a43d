"""One run of `llmkit finetune`, from Python for the sake of marks in its middle.

With --first-step it ends there.

Usage: train.py OUT RECIPE [KEY=VALUE ...] [--first-step]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bench.clock import Clock
from llmkit.base.progress import Progress


class Enough(Exception):
    """The first step is made, and no more was asked for."""


class Marks(Progress):
    """What the workflow says of its progress, as marks: training, step (the first), trained, predicted."""

    def __init__(self, clock: Clock, first_step: bool) -> None:
        self.clock, self.first_step = clock, first_step

    def note(self, text: str) -> None:
        if text.startswith("run "):  # the last words before training
            self.clock.mark("training")

    def advance(self, what: str, done: int, total: int, _unit: str, _detail: str = "") -> None:
        if what == "training":
            self.clock.mark("step")
            if self.first_step:
                raise Enough
        if done == total and what in ("training", "predicting test"):
            self.clock.mark({"training": "trained"}.get(what, "predicted"))


def main(out: Path, recipe: str, overrides: list[str]) -> None:
    clock = Clock()
    import llmkit

    first_step = "--first-step" in overrides
    settings = [key for key in overrides if key != "--first-step"]
    try:
        result = llmkit.finetune(recipe, settings, out=out, progress=Marks(clock, first_step))
    except Enough:
        clock.end(examples=0)
        return
    if not result:  # of several processes only the first has one
        return
    records, log = _lines(out / "predictions" / "test.jsonl"), _lines(out / "log.jsonl")
    losses = [line["loss"] for line in log if line["kind"] == "step"]
    train = result["train"]
    clock.end(
        examples=round(train["examples_per_second"] * train["seconds"]),
        steps=train["steps"],
        outputs={
            "predictions": [record["prediction"] for record in records],
            "golds": [record.get("label") for record in records],
            "loss": sum(losses) / len(losses),
        },
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
