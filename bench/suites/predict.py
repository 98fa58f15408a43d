"""Labels for film reviews with MiniLM: llmkit beside transformers' pipeline, one by one and in batches of 32."""

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
OURS, SINGLE, BATCHED = "llmkit", "pipeline, one by one", "pipeline, batches of 32"
WORK = each_example(between("ready", "done"))


def suite(settings: Settings) -> Suite:
    size = settings.size or 1600
    texts, model = str(prepared.sentences(settings.folder, size)), str(prepared.classifier(settings.folder))
    pipeline = [sys.executable, str(HERE / "peers" / "pipeline.py"), model, texts]
    return Suite(
        "predict",
        "MiniLM labels film reviews.",
        size,
        [
            Variant(OURS, [sys.executable, str(HERE / "ours" / "predict.py"), model, texts]),
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
        ],
        facts=_equality,
    )


def _equality(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    apart, others = 0.0, 0
    for outputs in rounds:
        for (label, probability), (their_label, theirs) in zip(outputs[OURS], outputs[SINGLE], strict=True):
            others += label != their_label
            apart = max(apart, abs(probability - theirs))
    count = len(rounds[0][OURS])
    labels = f"Of {count:,} labels {others / len(rounds):g} differ from pipeline's"
    return [f"{labels}; largest difference of probability {apart:.1e}."]
