"""Is memory flat? A million lines to label, and a gigabyte to train on, beside a hundredth of them.

Takes hours, so that it runs only when it is asked for by name, or with --long.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench import prepared
from bench.suite import Clock, Figure, Goal, Round, Settings, Suite, Variant, peak, ratio, whole

__all__ = ["suite"]

HERE = Path(__file__).parent.parent
FEW_LINES, LINES = "predict, a hundredth", "predict, all lines"
FEW_ROWS, ROWS = "finetune, a hundredth", "finetune, all rows"


def suite(settings: Settings) -> Suite:
    """size: lines to label; the training rows have a thousand characters each and are as many."""
    size = settings.size or 1_000_000
    return Suite(
        "flat",
        "MiniLM labels short lines, and trains for five updates on as many rows of 1,000 characters.",
        size,
        [
            _predict(FEW_LINES, settings, size // 100),
            _predict(LINES, settings, size),
            _finetune(FEW_ROWS, settings, size // 100),
            _finetune(ROWS, settings, size),
        ],
        [Figure("whole", "s", whole), Figure("peak memory", "MB", peak, 1e-6)],
        [
            Goal("memory of all lines beside a hundredth", ratio(peak, LINES, FEW_LINES), 1.1, False),
            Goal("memory of all rows above that of a hundredth", _above, 1000, False, "MB"),
        ],
    )


def _predict(name: str, settings: Settings, lines: int) -> Variant:
    model, texts = prepared.classifier(settings.folder), prepared.lines(settings.folder, lines)
    command = ["predict", str(model), "--file", str(texts), "--out", "{out}/answers.jsonl"]
    return Variant(name, [sys.executable, "-m", "llmkit", *command])


def _finetune(name: str, settings: Settings, rows: int) -> Variant:
    files = {**prepared.reviews(settings.folder, 32), "train": prepared.long_rows(settings.folder, rows)}
    keys = [f"data.{part}={file}" for part, file in files.items()]
    keys += ["train.max_steps=5", "train.epochs=null", "evaluate.every_steps=5"]
    keys += ["evaluate.baselines=false"]
    return Variant(name, [sys.executable, "-m", "llmkit", "finetune", "sentiment", *keys, "--out", "{out}"])


def _above(runs: Round, _clock: Clock) -> float | None:
    if ROWS not in runs or FEW_ROWS not in runs:
        return None
    return (runs[ROWS].peak_bytes - runs[FEW_ROWS].peak_bytes) / 1e6
