"""Labels for film reviews with MiniLM: llmkit, also in 8 bits, beside transformers' pipeline, one by one and in batches
of 32."""

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
    peak,
    ratio,
    until,
    whole,
)

__all__ = ["suite"]

HERE = Path(__file__).parent.parent
OURS, ROUNDED = "llmkit", "llmkit, 8 bits"
SINGLE, BATCHED = "pipeline, one by one", "pipeline, batches of 32"
WORK = each_example(between("ready", "done"))


def suite(settings: Settings) -> Suite:
    size = settings.size or 1600
    texts, model = str(prepared.sentences(settings.folder, size)), str(prepared.classifier(settings.folder))
    ours = [sys.executable, str(HERE / "ours" / "predict.py"), model, texts]
    pipeline = [sys.executable, str(HERE / "peers" / "pipeline.py"), model, texts]
    return Suite(
        "predict",
        "MiniLM labels film reviews.",
        size,
        [
            Variant(OURS, ours),
            Variant(ROUNDED, [*ours, "--int8"]),
            Variant(SINGLE, [*pipeline, "1"]),
            Variant(BATCHED, [*pipeline, "32"]),
        ],
        [
            Figure("answers", "ms an example", WORK, 1000),
            Figure("until ready", "s", until("ready")),
            Figure("whole", "s", whole),
            Figure("peak memory", "MB", peak, 1e-6),
        ],
        [
            Goal("beside pipeline, one by one", ratio(WORK, SINGLE, OURS), 3.2, True),
            Goal("beside pipeline, batches of 32", ratio(WORK, BATCHED, OURS), 2.2, True),
            Goal("8 bits beside 32", ratio(WORK, OURS, ROUNDED), 1.0, True),
        ],
        facts=_equality,
    )


def _equality(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{name} beside pipeline: {_apart(rounds, name)}." for name in (OURS, ROUNDED)]


def _apart(rounds: Sequence[Mapping[str, Any]], name: str) -> str:
    apart, others = 0.0, 0
    for outputs in rounds:
        for (label, probability), (their_label, theirs) in zip(outputs[name], outputs[SINGLE], strict=True):
            others += label != their_label
            apart = max(apart, abs(probability - theirs) if label == their_label else 0)
    count = len(rounds[0][name])
    labels = f"of {count:,} labels {others / len(rounds):g} differ"
    return f"{labels}; of the others' probabilities the largest difference is {apart:.1e}"
