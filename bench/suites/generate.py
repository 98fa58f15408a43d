"""Greedy decoding with SmolLM2, at most 32 tokens: llmkit in batches, compared with generate with batch size 1."""

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
OURS, SINGLE = "llmkit", "generate, batch size 1"
WORK = per_example(seconds_between("ready", "done"))


def suite(settings: Settings) -> Suite:
    size = settings.size or 64
    arguments = [
        str(prepared.fetch_model("SmolLM2-135M-Instruct")),
        str(prepared.write_sentences(settings.folder, size)),
        "32",
    ]
    return Suite(
        "generate",
        "SmolLM2-135M answers film reviews with greedy decoding, at most 32 tokens.",
        size,
        [
            Variant(OURS, [sys.executable, str(HERE / "ours" / "generate.py"), *arguments]),
            Variant(SINGLE, [sys.executable, str(HERE / "peers" / "generate.py"), *arguments]),
        ],
        [
            Figure("generation", "ms per example", WORK, 1000),
            Figure("until ready", "s", seconds_until("ready")),
            Figure("total time", "s", total_seconds),
            Figure("peak memory", "MB", peak_bytes, 1e-6),
        ],
        [Goal("speedup over generate, batch size 1", compare(WORK, SINGLE, OURS), 5, True)],
        facts=_compare_texts,
    )


def _compare_texts(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    pairs = [pair for outputs in rounds for pair in zip(outputs[OURS], outputs[SINGLE], strict=True)]
    same = sum(ours.strip() == theirs.strip() for ours, theirs in pairs)
    return [f"{same:,} of {len(pairs):,} texts are equal to those of generate."]
