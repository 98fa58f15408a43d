"""Label film reviews with MiniLM: llmkit, also with int8, compared with transformers' pipeline (batch sizes 1, 32)."""

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
    peak_bytes,
    per_example,
    seconds_between,
    seconds_until,
    total_seconds,
)

__all__ = ["suite"]

HERE = Path(__file__).parent.parent
OURS, INT8 = "llmkit", "llmkit, int8"
SINGLE, BATCHED = "pipeline, batch size 1", "pipeline, batch size 32"
WORK = per_example(seconds_between("ready", "done"))


def suite(settings: Settings) -> Suite:
    size = settings.size or 1600
    texts, model = (
        str(prepared.write_sentences(settings.folder, size)),
        str(prepared.write_classifier(settings.folder)),
    )
    llmkit = [sys.executable, str(HERE / "ours" / "predict.py"), model, texts]
    pipeline = [sys.executable, str(HERE / "peers" / "pipeline.py"), model, texts]
    return Suite(
        "predict",
        "MiniLM labels film reviews.",
        size,
        [
            Variant(OURS, llmkit),
            Variant(INT8, [*llmkit, "--int8"]),
            Variant(SINGLE, [*pipeline, "1"]),
            Variant(BATCHED, [*pipeline, "32"]),
        ],
        [
            Figure("prediction", "ms per example", WORK, 1000),
            Figure("until ready", "s", seconds_until("ready")),
            Figure("total time", "s", total_seconds),
            Figure("peak memory", "MB", peak_bytes, 1e-6),
        ],
        [
            Goal("speedup over pipeline, batch size 1", compare(WORK, SINGLE, OURS), 3.2, True),
            Goal("speedup over pipeline, batch size 32", compare(WORK, BATCHED, OURS), 2.2, True),
            Goal("speedup of int8 over float32", compare(WORK, OURS, INT8), 1.0, True),
        ],
        facts=_compare_outputs,
    )


def _compare_outputs(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{name} and pipeline: {_count_differences(rounds, name)}." for name in (OURS, INT8)]


def _count_differences(rounds: Sequence[Mapping[str, Any]], name: str) -> str:
    difference, others = 0.0, 0
    for outputs in rounds:
        for (label, probability), (their_label, theirs) in zip(outputs[name], outputs[SINGLE], strict=True):
            others += label != their_label
            difference = max(difference, abs(probability - theirs) if label == their_label else 0)
    count = len(rounds[0][name])
    labels = f"{others / len(rounds):g} of {count:,} labels differ"
    return f"{labels}; for equal labels, the largest difference of probabilities is {difference:.1e}"
