"""Greedy answers of SmolLM2 in 32 tokens at most: llmkit in batches beside generate one by one."""

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
OURS, SINGLE = "llmkit", "generate, one by one"
WORK = each_example(between("ready", "done"))


def suite(settings: Settings) -> Suite:
    size = settings.size or 64
    how = [str(prepared.model("SmolLM2-135M-Instruct")), str(prepared.sentences(settings.folder, size)), "32"]
    return Suite(
        "generate",
        "SmolLM2-135M answers film reviews, greedily, with 32 tokens at most.",
        size,
        [
            Variant(OURS, [sys.executable, str(HERE / "ours" / "generate.py"), *how]),
            Variant(SINGLE, [sys.executable, str(HERE / "peers" / "generate.py"), *how]),
        ],
        [
            Figure("answers", "ms an example", WORK, 1000),
            Figure("until ready", "s", until("ready")),
            Figure("whole", "s", whole),
            Figure("peak memory", "MB", peak, 1e-6),
        ],
        [Goal("beside generate, one by one", ratio(WORK, SINGLE, OURS), 5, True)],
        facts=_equality,
    )


def _equality(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    pairs = [pair for outputs in rounds for pair in zip(outputs[OURS], outputs[SINGLE], strict=True)]
    same = sum(ours.strip() == theirs.strip() for ours, theirs in pairs)
    return [f"{same:,} of {len(pairs):,} answers are the same text as one by one."]
