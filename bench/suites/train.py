"""Fine-tune MiniLM on film reviews: llmkit compared with Trainer, padded to 128, by batch, and grouped by length."""

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
    compare,
    compute_mfu,
    peak_bytes,
    per_example,
    seconds_between,
    seconds_until,
    total_seconds,
    value_of,
)

__all__ = ["EXAMPLE", "GROUPED", "LONGEST", "OURS", "make_llmkit_variant", "make_trainer_variant", "suite"]

HERE = Path(__file__).parent.parent
OURS, EXAMPLE = "llmkit", "Trainer, padded to 128"
LONGEST, GROUPED = "Trainer, padded by batch", "Trainer, grouped by length"
PADDING = {EXAMPLE: "max_length", LONGEST: "longest", GROUPED: "grouped"}

TRAINING = seconds_between("training", "trained")


def suite(settings: Settings) -> Suite:
    size = settings.size or 2400
    files = prepared.write_reviews(settings.folder, size)
    flops = prepared.count_flops(settings.folder, files["train"])
    return Suite(
        "train",
        "MiniLM on film reviews, one epoch, batches of 32, same number of steps and learning rate, one seed per round.",
        size,
        [make_llmkit_variant(files), *(make_trainer_variant(name, files) for name in PADDING)],
        [
            Figure("training", "ms per example", per_example(TRAINING), 1000),
            Figure("MFU", "fraction of matmul speed", compute_mfu(TRAINING, flops)),
            Figure("until first step", "s", seconds_until("step")),
            Figure("until test scores", "s", seconds_until("predicted")),
            Figure("total time", "s", total_seconds),
            Figure("peak memory", "MB", peak_bytes, 1e-6),
        ],
        [
            Goal(
                "training, speedup over Trainer, padded to 128", compare(TRAINING, EXAMPLE, OURS), 4.5, True
            ),
            Goal(
                "training, speedup over Trainer, padded by batch", compare(TRAINING, LONGEST, OURS), 1.8, True
            ),
            Goal(
                "training, speedup over Trainer, grouped by length",
                compare(TRAINING, GROUPED, OURS),
                1.25,
                True,
            ),
            Goal("MFU", value_of(compute_mfu(TRAINING, flops), OURS), 0.65, True, ""),
            Goal("peak memory / Trainer, padded by batch", compare(peak_bytes, OURS, LONGEST), 0.85, False),
            Goal("peak memory / Trainer, grouped by length", compare(peak_bytes, OURS, GROUPED), 0.85, False),
        ],
        rounds=5,
        facts=compare_accuracies,
    )


def make_llmkit_variant(files: Mapping[str, str], *flags: str) -> Variant:
    settings = [f"data.{split}={file}" for split, file in files.items()]
    settings += ["train.epochs=1", "train.learning_rate=2e-4", "evaluate.baselines=false", "seed={round}"]
    script = str(HERE / "ours" / "train.py")
    return Variant(OURS, [sys.executable, script, "{out}", "sentiment", *settings, *flags])


def make_trainer_variant(name: str, files: Mapping[str, str], *flags: str) -> Variant:
    model = str(prepared.fetch_model("all-MiniLM-L6-v2"))
    script, paths = (
        str(HERE / "peers" / "trainer.py"),
        [files[split] for split in ("train", "validation", "test")],
    )
    arguments = ["--seed", "{round}", "--padding", PADDING[name], *flags]
    return Variant(name, [sys.executable, script, model, *paths, "{out}", *arguments])


def compare_accuracies(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the accuracy of llmkit and its paired difference from each Trainer, over all seeds."""
    import numpy as np

    from llmkit.metrics import intervals
    from llmkit.metrics.tasks import classification

    names = sorted(set(rounds[0][OURS]["labels"]))

    def read_classes(variant: str, key: str) -> np.ndarray:
        return np.array([names.index(name) for outputs in rounds for name in outputs[variant][key]])

    labels = read_classes(OURS, "labels")
    correct = read_classes(OURS, "predictions") == labels
    low, high = intervals.wilson(int(correct.sum()), len(correct))
    facts = [f"Test accuracy of llmkit {correct.mean():.4f} [{low:.4f}, {high:.4f}], {len(rounds)} seeds."]
    for peer in PADDING:
        assert (read_classes(peer, "labels") == labels).all(), "the test rows differ"
        difference = classification.difference(
            labels, read_classes(OURS, "predictions"), read_classes(peer, "predictions"), names
        )
        gap = f"{difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}], p {difference.p_value:.3f}"
        facts.append(f"Accuracy, llmkit minus {peer}: {gap}.")
    return facts
