"""A small job from start to end: 512 reviews, from the command to the test scores, start-up included."""

from __future__ import annotations

from bench import prepared
from bench.suite import (
    Figure,
    Goal,
    Settings,
    Suite,
    compare,
    peak_bytes,
    seconds_between,
    seconds_until,
    total_seconds,
)
from bench.suites.train import (
    EXAMPLE,
    GROUPED,
    LONGEST,
    OURS,
    PADDING,
    make_llmkit_variant,
    make_trainer_variant,
)

__all__ = ["suite"]

RESULT = seconds_until("predicted")  # llmkit writes its report after this


def suite(settings: Settings) -> Suite:
    size = settings.size or 512
    files = prepared.write_reviews(settings.folder, size)
    return Suite(
        "job",
        "MiniLM on film reviews, one epoch, from the command to the scores of 1,007 test rows; without a report.",
        size,
        [make_llmkit_variant(files), *(make_trainer_variant(name, files) for name in PADDING)],
        [
            Figure("until training", "s", seconds_until("training")),
            Figure("training", "s", seconds_between("training", "trained")),
            Figure("until test scores", "s", RESULT),
            Figure("total time", "s", total_seconds),
            Figure("peak memory", "MB", peak_bytes, 1e-6),
        ],
        [
            Goal("time / Trainer, grouped by length", compare(RESULT, OURS, GROUPED), 0.7, False),
            Goal("time / Trainer, padded by batch", compare(RESULT, OURS, LONGEST), 0.7, False),
            Goal("time / Trainer, padded to 128", compare(RESULT, OURS, EXAMPLE), 0.35, False),
        ],
    )
