"""Memory with large data: label a million lines and train on a gigabyte of rows, compared with a hundredth of each.

The suite takes hours, so it runs only by name or with --long.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench import prepared
from bench.suite import (
    Clock,
    Figure,
    Goal,
    Round,
    Settings,
    Suite,
    Variant,
    compare,
    peak_bytes,
    total_seconds,
)

__all__ = ["suite"]

HERE = Path(__file__).parent.parent
FEW_LINES, LINES = "predict, a hundredth", "predict, all lines"
FEW_ROWS, ROWS = "finetune, a hundredth", "finetune, all rows"


def suite(settings: Settings) -> Suite:
    """Return the suite. The size is the number of lines to label and of training rows, of 1,000 characters each."""
    size = settings.size or 1_000_000
    return Suite(
        "flat",
        "MiniLM labels short lines, and trains for five steps on as many rows of 1,000 characters.",
        size,
        [
            _make_predict_variant(FEW_LINES, settings, size // 100),
            _make_predict_variant(LINES, settings, size),
            _make_finetune_variant(FEW_ROWS, settings, size // 100),
            _make_finetune_variant(ROWS, settings, size),
        ],
        [Figure("total time", "s", total_seconds), Figure("peak memory", "MB", peak_bytes, 1e-6)],
        [
            Goal("memory for all lines / for a hundredth", compare(peak_bytes, LINES, FEW_LINES), 1.1, False),
            Goal("memory for all rows minus for a hundredth", _subtract_memory, 1000, False, "MB"),
        ],
    )


def _make_predict_variant(name: str, settings: Settings, lines: int) -> Variant:
    model, texts = prepared.write_classifier(settings.folder), prepared.write_lines(settings.folder, lines)
    command = ["predict", str(model), "--file", str(texts), "--out", "{out}/predictions.jsonl"]
    return Variant(name, [sys.executable, "-m", "llmkit", *command])


def _make_finetune_variant(name: str, settings: Settings, rows: int) -> Variant:
    files = {
        **prepared.write_reviews(settings.folder, 32),
        "train": prepared.write_long_rows(settings.folder, rows),
    }
    overrides = [f"data.{split}={file}" for split, file in files.items()]
    overrides += ["train.max_steps=5", "train.epochs=null", "evaluate.every_steps=5"]
    overrides += ["evaluate.baselines=false"]
    return Variant(
        name, [sys.executable, "-m", "llmkit", "finetune", "sentiment", *overrides, "--out", "{out}"]
    )


def _subtract_memory(runs: Round, _clock: Clock) -> float | None:
    if ROWS not in runs or FEW_ROWS not in runs:
        return None
    return (runs[ROWS].peak_bytes - runs[FEW_ROWS].peak_bytes) / 1e6
