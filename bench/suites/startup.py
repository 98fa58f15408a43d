"""Start-up time: of --help, and from the command to the first training step on all reviews."""

from __future__ import annotations

import sys

from bench import prepared
from bench.suite import (
    Figure,
    Goal,
    Settings,
    Suite,
    Variant,
    compare,
    peak_bytes,
    seconds_until,
    total_seconds,
    value_of,
)
from bench.suites.train import EXAMPLE, OURS, make_llmkit_variant, make_trainer_variant

__all__ = ["suite"]

HELP, THEIRS = "llmkit --help", "transformers --help"
MAIN = "from transformers.cli.transformers import main; main()"
STEP = seconds_until("step")


def suite(settings: Settings) -> Suite:
    size = settings.size or 8056
    files = prepared.write_reviews(settings.folder, size)
    return Suite(
        "startup",
        "The help, and training MiniLM on film reviews until the first step, with empty data caches.",
        size,
        [
            Variant(HELP, [sys.executable, "-m", "llmkit", "--help"]),
            Variant(THEIRS, [sys.executable, "-c", MAIN, "--help"]),
            make_llmkit_variant(files, "--first-step"),
            make_trainer_variant(EXAMPLE, files, "--first-step"),
        ],
        [
            Figure("total time", "s", total_seconds),
            Figure("until training", "s", seconds_until("training")),
            Figure("until first step", "s", STEP),
            Figure("peak memory", "MB", peak_bytes, 1e-6),
        ],
        [
            Goal(
                "llmkit --help, CPU time",
                value_of(lambda run, _: run.cpu_seconds, HELP),
                0.1,
                False,
                "s",
            ),
            Goal("time until first step / Trainer, padded to 128", compare(STEP, OURS, EXAMPLE), 0.6, False),
        ],
    )
