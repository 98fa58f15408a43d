"""Metrics: ROUGE compared with rouge_score; a confidence interval and a paired test of BLEU compared with sacrebleu."""

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
    compare,
    peak_bytes,
    per_example,
    seconds_between,
    value_of,
)

__all__ = ["suite"]

HERE = Path(__file__).parent.parent
ROUGE, ROUGE_SCORE = "llmkit, ROUGE", "rouge_score"
PAIRED, SACREBLEU = "llmkit, paired BLEU", "sacrebleu, paired bootstrap"
RESAMPLES = "1000"
FEW = 500  # pairs for rouge_score, which would need minutes for all of them
SCORING = per_example(seconds_between("ready", "scored"))
COUNTING, TESTING = (
    seconds_between("ready", "counted"),
    seconds_between("testing", "done"),
)  # the test counts again
INTERVAL = seconds_between("counted", "testing")  # llmkit only


def seconds_of_resampling(record: Record, clock: Clock) -> float | None:
    """Return the seconds of the test without counting n-grams, for which both sides run the same code."""
    counting, testing = COUNTING(record, clock), TESTING(record, clock)
    return None if counting is None or testing is None else testing - counting


def suite(settings: Settings) -> Suite:
    size = settings.size or 10_000
    pairs, systems = (str(path) for path in prepared.write_pairs_and_systems(settings.folder, size))
    return Suite(
        "metrics",
        f"ROUGE of texts of 100 words ({ROUGE_SCORE}: {FEW} of them); BLEU of two systems with {RESAMPLES} resamples.",
        size,
        [
            _make_variant(ROUGE, "ours/rouge.py", pairs),
            _make_variant(ROUGE_SCORE, "peers/rouge.py", pairs, str(min(FEW, size))),
            _make_variant(PAIRED, "ours/bleu.py", systems, RESAMPLES),
            _make_variant(SACREBLEU, "peers/bleu.py", systems, RESAMPLES),
        ],
        [
            Figure("ROUGE", "ms per pair", SCORING, 1000),
            Figure("paired test", "s", TESTING),
            Figure("resampling only", "s", seconds_of_resampling),
            Figure("peak memory", "MB", peak_bytes, 1e-6),
        ],
        [
            Goal("ROUGE, speedup over rouge_score", compare(SCORING, ROUGE_SCORE, ROUGE), 20, True),
            Goal("confidence interval of BLEU, 1000 resamples", value_of(INTERVAL, PAIRED), 0.5, False, "s"),
            Goal("paired test of BLEU, speedup over sacrebleu", compare(TESTING, SACREBLEU, PAIRED), 5, True),
            Goal(
                "resampling only, speedup over sacrebleu",
                compare(seconds_of_resampling, SACREBLEU, PAIRED),
                5,
                True,
            ),
        ],
        facts=_compare_values,
    )


def _make_variant(name: str, script: str, *arguments: str) -> Variant:
    return Variant(name, [sys.executable, str(HERE / script), *arguments])


def _compare_values(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    import numpy as np

    outputs = rounds[-1]
    theirs = np.array(outputs[ROUGE_SCORE])
    difference = np.abs(np.array(outputs[ROUGE])[: len(theirs)] - theirs).max()
    bleu = np.abs(np.array(outputs[PAIRED]) - outputs[SACREBLEU]).max()
    return [
        f"Largest difference of a ROUGE score from rouge_score ({len(theirs)} pairs, 0 to 100): {difference:.1e}.",
        f"Largest difference of BLEU from sacrebleu: {bleu:.1e}.",
    ]
