"""Compute ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum of the first pairs of texts with rouge_score.

Usage: rouge.py PAIRS.jsonl EXAMPLES
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

from bench.clock import Clock

clock = Clock()

from rouge_score.rouge_scorer import RougeScorer  # noqa: E402

NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
SHOWN = 200  # pairs whose scores are compared with those of llmkit


def main(file: str, examples: int) -> None:
    pairs = [
        json.loads(line) for line in islice(Path(file).read_text(encoding="utf-8").splitlines(), examples)
    ]
    scorer = RougeScorer(list(NAMES))
    scorer.score(*pairs[0])
    clock.mark("ready")
    scores = [scorer.score(reference, prediction) for prediction, reference in pairs]
    clock.mark("scored")
    rows = [[100 * score[name].fmeasure for name in NAMES] for score in scores[:SHOWN]]
    clock.end(examples=len(pairs), outputs=rows)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
