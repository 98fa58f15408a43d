"""MiniLM on the embedded reviews: llmkit beside Trainer as its example pads, by batch, and grouped by length."""

from __future__ import annotations

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
    mfu,
    only,
    peak,
    ratio,
    until,
    whole,
)

__all__ = ["EXAMPLE", "GROUPED", "LONGEST", "OURS", "finetune", "suite", "trainer"]

HERE = Path(__file__).parent.parent
OURS, EXAMPLE = "llmkit", "Trainer, padded to 128"
LONGEST, GROUPED = "Trainer, padded by batch", "Trainer, grouped by length"
PADDING = {EXAMPLE: "max_length", LONGEST: "longest", GROUPED: "grouped"}

TRAINING = between("training", "trained")


def suite(settings: Settings) -> Suite:
    size = settings.size or 2400
    files = prepared.reviews(settings.folder, size)
    flops = prepared.dense_flops(settings.folder, files["train"])
    return Suite(
        "train",
        "MiniLM on film reviews, one epoch, batches of 32, the same updates and learning rate, a seed a round.",
        size,
        [finetune(files), *(trainer(name, files) for name in PADDING)],
        [
            Figure("training", "ms an example", each_example(TRAINING), 1000),
            Figure("MFU", "of matrix products", mfu(TRAINING, flops)),
            Figure("to the first step", "s", until("step")),
            Figure("to the test scores", "s", until("predicted")),
            Figure("whole", "s", whole),
            Figure("peak memory", "MB", peak, 1e-6),
        ],
        [
            Goal("training beside the example's padding", ratio(TRAINING, EXAMPLE, OURS), 4.5, True),
            Goal("training beside padding by batch", ratio(TRAINING, LONGEST, OURS), 1.8, True),
            Goal("training beside length groups", ratio(TRAINING, GROUPED, OURS), 1.25, True),
            Goal(
                "useful share of what matrix products reach", only(mfu(TRAINING, flops), OURS), 0.65, True, ""
            ),
            Goal("peak memory beside padding by batch", ratio(peak, OURS, LONGEST), 0.85, False),
            Goal("peak memory beside length groups", ratio(peak, OURS, GROUPED), 0.85, False),
        ],
        rounds=5,
        facts=accuracies,
    )


def finetune(files: Mapping[str, str], *more: str) -> Variant:
    settings = [f"data.{part}={file}" for part, file in files.items()]
    settings += ["train.epochs=1", "train.learning_rate=2e-4", "evaluate.baselines=false", "seed={round}"]
    script = str(HERE / "ours" / "train.py")
    return Variant(OURS, [sys.executable, script, "{out}", "sentiment", *settings, *more])


def trainer(name: str, files: Mapping[str, str], *more: str) -> Variant:
    model = str(prepared.model("all-MiniLM-L6-v2"))
    script, paths = (
        str(HERE / "peers" / "trainer.py"),
        [files[part] for part in ("train", "validation", "test")],
    )
    how = ["--seed", "{round}", "--padding", PADDING[name], *more]
    return Variant(name, [sys.executable, script, model, *paths, "{out}", *how])


def accuracies(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """llmkit's accuracy, and its difference to each Trainer's, paired by test row, over the seeds."""
    import numpy as np

    from llmkit.metrics import intervals
    from llmkit.metrics.tasks import classification

    names = sorted(set(rounds[0][OURS]["golds"]))

    def numbers(variant: str, key: str) -> np.ndarray:
        return np.array([names.index(name) for outputs in rounds for name in outputs[variant][key]])

    golds = numbers(OURS, "golds")
    right = numbers(OURS, "predictions") == golds
    low, high = intervals.wilson(int(right.sum()), len(right))
    said = [f"Test accuracy of llmkit {right.mean():.4f} [{low:.4f}, {high:.4f}], {len(rounds)} seeds."]
    for peer in PADDING:
        assert (numbers(peer, "golds") == golds).all(), "not the same test rows"
        found = classification.difference(
            golds, numbers(OURS, "predictions"), numbers(peer, "predictions"), names
        )
        gap = f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}], p {found.p_value:.3f}"
        said.append(f"Accuracy, llmkit minus {peer}: {gap}.")
    return said
