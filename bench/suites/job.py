"""A small job whole: 512 reviews, from the command to the scores of the test rows, start-up included."""

from __future__ import annotations

from bench import prepared
from bench.suite import Figure, Goal, Settings, Suite, between, peak, ratio, until, whole
from bench.suites.train import EXAMPLE, GROUPED, LONGEST, OURS, PADDING, finetune, trainer

__all__ = ["suite"]

RESULT = until("predicted")  # llmkit's report is written after it


def suite(settings: Settings) -> Suite:
    size = settings.size or 512
    files = prepared.reviews(settings.folder, size)
    return Suite(
        "job",
        "MiniLM on film reviews, one epoch, from the command to the scores of 1,007 test rows; no report on any side.",
        size,
        [finetune(files), *(trainer(name, files) for name in PADDING)],
        [
            Figure("to training", "s", until("training")),
            Figure("training", "s", between("training", "trained")),
            Figure("to the test scores", "s", RESULT),
            Figure("whole", "s", whole),
            Figure("peak memory", "MB", peak, 1e-6),
        ],
        [
            Goal("beside length groups", ratio(RESULT, OURS, GROUPED), 0.7, False),
            Goal("beside padding by batch", ratio(RESULT, OURS, LONGEST), 0.7, False),
            Goal("beside the example's padding", ratio(RESULT, OURS, EXAMPLE), 0.35, False),
        ],
    )
