"""Scores: ROUGE beside rouge_score, an interval, and a paired test of two systems by BLEU beside sacrebleu's."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import prepared
from bench.suite import (
    Clock,
    Figure,
    Goal,
    Record,
    Settings,
    Suite,
    Variant,
    between,
    each_example,
    only,
    peak,
    ratio,
)

__all__ = ["suite"]

HERE = Path(__file__).parent.parent
ROUGE, ROUGE_SCORE = "llmkit, ROUGE", "rouge_score"
PAIRED, SACREBLEU = "llmkit, paired BLEU", "sacrebleu, paired bootstrap"
DRAWS = "1000"
FEW = 500  # pairs for rouge_score, which needs minutes for all
SCORING = each_example(between("ready", "scored"))
COUNTING, TESTING = between("ready", "counted"), between("testing", "done")  # the test counts anew
INTERVAL = between("counted", "testing")  # of llmkit


def resampling(record: Record, clock: Clock) -> float | None:
    """Seconds of the test without its counting of n-grams, which is the same code on both sides."""
    counting, testing = COUNTING(record, clock), TESTING(record, clock)
    return None if counting is None or testing is None else testing - counting


def suite(settings: Settings) -> Suite:
    size = settings.size or 10_000
    pairs, systems = (str(path) for path in prepared.written(settings.folder, size))
    return Suite(
        "metrics",
        f"ROUGE of texts of 100 words ({ROUGE_SCORE}: {FEW} of them); two systems by BLEU with {DRAWS} draws.",
        size,
        [
            _variant(ROUGE, "ours/rouge.py", pairs),
            _variant(ROUGE_SCORE, "peers/rouge.py", pairs, str(min(FEW, size))),
            _variant(PAIRED, "ours/bleu.py", systems, DRAWS),
            _variant(SACREBLEU, "peers/bleu.py", systems, DRAWS),
        ],
        [
            Figure("ROUGE", "ms a pair", SCORING, 1000),
            Figure("paired test", "s", TESTING),
            Figure("draws alone", "s", resampling),
            Figure("peak memory", "MB", peak, 1e-6),
        ],
        [
            Goal("ROUGE beside rouge_score", ratio(SCORING, ROUGE_SCORE, ROUGE), 20, True),
            Goal("an interval of BLEU, 1000 draws", only(INTERVAL, PAIRED), 0.5, False, "s"),
            Goal("paired test by BLEU beside sacrebleu's", ratio(TESTING, SACREBLEU, PAIRED), 5, True),
            Goal("its draws alone", ratio(resampling, SACREBLEU, PAIRED), 5, True),
        ],
        facts=_equality,
    )


def _variant(name: str, script: str, *arguments: str) -> Variant:
    return Variant(name, [sys.executable, str(HERE / script), *arguments])


def _equality(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    import numpy as np

    outputs = rounds[-1]
    theirs = np.array(outputs[ROUGE_SCORE])
    apart = np.abs(np.array(outputs[ROUGE])[: len(theirs)] - theirs).max()
    bleu = np.abs(np.array(outputs[PAIRED]) - outputs[SACREBLEU]).max()
    return [
        f"Largest difference of a ROUGE value to rouge_score's (of {len(theirs)} pairs, 0 to 100): {apart:.1e}.",
        f"Largest difference of BLEU to sacrebleu's: {bleu:.1e}.",
    ]
