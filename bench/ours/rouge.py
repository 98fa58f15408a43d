"""Compute ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum of pairs of texts with llmkit.

Usage: rouge.py PAIRS.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.clock import Clock

clock = Clock()

from llmkit.metrics.text.rouge import NAMES, rouge  # noqa: E402

SHOWN = 200  # pairs whose scores are compared with those of rouge_score


def main(file: str) -> None:
    pairs = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    predictions, references = [pair[0] for pair in pairs], [[pair[1]] for pair in pairs]
    rouge(predictions[:1], references[:1])
    clock.mark("ready")
    measured = rouge(predictions, references)
    clock.mark("scored")
    clock.end(examples=len(pairs), outputs=measured.rows[:SHOWN, : len(NAMES)].tolist())


if __name__ == "__main__":
    main(*sys.argv[1:])
