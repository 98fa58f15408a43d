"""Low-rank adapters on SmolLM2 with short instructions: llmkit beside TRL in float32, and beside TRL as it comes."""

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
    between,
    each_example,
    peak,
    ratio,
    until,
    whole,
)

__all__ = ["suite"]

HERE = Path(__file__).parent.parent
OURS, FP32, AS_IT_COMES = "llmkit", "TRL, float32", "TRL as it comes"
FEW = 16  # examples for TRL as it comes, which takes ten seconds for each
TRAINING = each_example(between("training", "trained"))


def suite(settings: Settings) -> Suite:
    size = settings.size or 256
    files = prepared.questions(settings.folder, size)
    return Suite(
        "sft",
        f"LoRA (rank 16, all linear layers) on SmolLM2-135M, one epoch, batches of 8, {AS_IT_COMES} on {FEW} examples.",
        size,
        [
            _ours(files),
            _trl(FP32, files, "--fp32"),
            _trl(AS_IT_COMES, files, "--examples", str(min(FEW, size))),
        ],
        [
            Figure("training", "ms an example", TRAINING, 1000),
            Figure("to the first step", "s", until("step")),
            Figure("whole", "s", whole),
            Figure("peak memory", "MB", peak, 1e-6),
        ],
        [
            Goal("training beside TRL in float32", ratio(TRAINING, FP32, OURS), 3, True),
            Goal("training beside TRL as it comes", ratio(TRAINING, AS_IT_COMES, OURS), 30, True),
            Goal("peak memory beside TRL in float32", ratio(peak, OURS, FP32), 1, False),
        ],
        facts=_losses,
    )


def _ours(files: Mapping[str, str]) -> Variant:
    settings = [f"data.{part}={file}" for part, file in files.items()]
    settings += ["train.epochs=1", "train.batch_size=8", "train.learning_rate=2e-4", "task.max_new_tokens=4"]
    settings += ["evaluate.baselines=false", "seed={round}"]
    return Variant(OURS, [sys.executable, str(HERE / "ours" / "train.py"), "{out}", "chat", *settings])


def _trl(name: str, files: Mapping[str, str], *more: str) -> Variant:
    script, model = str(HERE / "peers" / "trl_sft.py"), str(prepared.model("SmolLM2-135M-Instruct"))
    how = ["--seed", "{round}", *more]
    return Variant(name, [sys.executable, script, model, files["train"], "{out}", *how])


def _losses(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same examples in another order: means over the epoch agree but for that and the cut of answers' tokens."""
    ours, theirs = ([outputs[side]["loss"] for outputs in rounds] for side in (OURS, FP32))
    means = f"llmkit {statistics.fmean(ours):.4f}, {FP32} {statistics.fmean(theirs):.4f}"
    return [f"Mean loss of the epoch (nats a token): {means}."]
