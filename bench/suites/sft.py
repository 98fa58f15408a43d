"""LoRA training of SmolLM2 on short instructions: llmkit compared with TRL in float32 and with its default settings."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import prepared
from bench.suite import (
    Figure,
    Goal,
    Settings,
    Suite,
    Variant,
    compare,
    peak_bytes,
    per_example,
    seconds_between,
    seconds_until,
    total_seconds,
)

__all__ = ["suite"]

HERE = Path(__file__).parent.parent
OURS, FP32, DEFAULTS = "llmkit", "TRL, float32", "TRL, defaults"
FEW = 16  # examples for TRL with its defaults, which takes ten seconds per example
TRAINING = per_example(seconds_between("training", "trained"))


def suite(settings: Settings) -> Suite:
    size = settings.size or 256
    files = prepared.write_questions(settings.folder, size)
    return Suite(
        "sft",
        f"LoRA (rank 16, all linear layers) on SmolLM2-135M, one epoch, batches of 8; {DEFAULTS}: {FEW} examples.",
        size,
        [
            _make_llmkit_variant(files),
            _make_trl_variant(FP32, files, "--fp32"),
            _make_trl_variant(DEFAULTS, files, "--examples", str(min(FEW, size))),
        ],
        [
            Figure("training", "ms per example", TRAINING, 1000),
            Figure("until first step", "s", seconds_until("step")),
            Figure("total time", "s", total_seconds),
            Figure("peak memory", "MB", peak_bytes, 1e-6),
        ],
        [
            Goal("training, speedup over TRL, float32", compare(TRAINING, FP32, OURS), 3, True),
            Goal("training, speedup over TRL, defaults", compare(TRAINING, DEFAULTS, OURS), 30, True),
            Goal("peak memory / TRL, float32", compare(peak_bytes, OURS, FP32), 1, False),
        ],
        facts=_compare_losses,
    )


def _make_llmkit_variant(files: Mapping[str, str]) -> Variant:
    settings = [f"data.{split}={file}" for split, file in files.items()]
    settings += ["train.epochs=1", "train.batch_size=8", "train.learning_rate=2e-4", "task.max_new_tokens=4"]
    settings += ["evaluate.baselines=false", "seed={round}"]
    return Variant(OURS, [sys.executable, str(HERE / "ours" / "train.py"), "{out}", "chat", *settings])


def _make_trl_variant(name: str, files: Mapping[str, str], *flags: str) -> Variant:
    script, model = str(HERE / "peers" / "trl_sft.py"), str(prepared.fetch_model("SmolLM2-135M-Instruct"))
    arguments = ["--seed", "{round}", *flags]
    return Variant(name, [sys.executable, script, model, files["train"], "{out}", *arguments])


def _compare_losses(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the mean losses of the epoch. They differ by the order of the examples and by truncated answers."""
    ours, theirs = ([outputs[side]["loss"] for outputs in rounds] for side in (OURS, FP32))
    means = f"llmkit {statistics.fmean(ours):.4f}, {FP32} {statistics.fmean(theirs):.4f}"
    return [f"Mean loss of the epoch (nats per token): {means}."]
