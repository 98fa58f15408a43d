"""Time to begin: the help's, and from the command to the first update of a training on the whole of the reviews."""

from __future__ import annotations

import sys

from bench import prepared
from bench.suite import Figure, Goal, Settings, Suite, Variant, only, peak, ratio, until, whole
from bench.suites.train import EXAMPLE, OURS, finetune, trainer

__all__ = ["suite"]

HELP, THEIRS = "llmkit --help", "transformers --help"
MAIN = "from transformers.cli.transformers import main; main()"
STEP = until("step")


def suite(settings: Settings) -> Suite:
    size = settings.size or 8056
    files = prepared.reviews(settings.folder, size)
    return Suite(
        "startup",
        "Help, and a training of MiniLM on film reviews that ends after its first update; data never read before.",
        size,
        [
            Variant(HELP, [sys.executable, "-m", "llmkit", "--help"]),
            Variant(THEIRS, [sys.executable, "-c", MAIN, "--help"]),
            finetune(files, "--first-step"),
            trainer(EXAMPLE, files, "--first-step"),
        ],
        [
            Figure("whole", "s", whole),
            Figure("to training", "s", until("training")),
            Figure("to the first step", "s", STEP),
            Figure("peak memory", "MB", peak, 1e-6),
        ],
        [
            Goal(
                "llmkit --help, seconds of the processor",
                only(lambda run, _: run.cpu_seconds, HELP),
                0.1,
                False,
                "s",
            ),
            Goal("first step beside the example's", ratio(STEP, OURS, EXAMPLE), 0.6, False),
        ],
    )
