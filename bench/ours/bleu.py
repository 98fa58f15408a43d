"""Compare two systems by BLEU with llmkit.

Measured separately: counting n-grams, the confidence interval of one system, and the whole paired test with its own
counting (both intervals, the interval of the difference and its p-value).

Usage: bleu.py SYSTEMS.jsonl RESAMPLES    (rows of [first, second, reference])
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.clock import Clock

clock = Clock()

import numpy as np  # noqa: E402

from llmkit.metrics import intervals, paired  # noqa: E402
from llmkit.metrics.resampling import Resampling  # noqa: E402
from llmkit.metrics.text import ngram  # noqa: E402


def main(file: str, resamples: int) -> None:
    *systems, references = zip(
        *(json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines())
    )
    reference_lists = [[text] for text in references]
    ngram.bleu(systems[0][:1], reference_lists[:1])
    clock.mark("ready")
    measured = [ngram.bleu(system, reference_lists) for system in systems]
    clock.mark("counted")
    intervals.measure(measured[0].rows, measured[0].metrics, resampling=Resampling(resamples=resamples))
    clock.mark("testing")
    first, second = (ngram.bleu(system, reference_lists) for system in systems)
    values = [
        intervals.measure(system.rows, system.metrics, resampling=Resampling(resamples=resamples))[
            "bleu"
        ].value
        for system in (first, second)
    ]
    paired.difference(
        np.hstack([first.rows, second.rows]), first.metrics[0], resampling=Resampling(resamples=resamples)
    )
    clock.mark("done")
    clock.end(examples=len(references), outputs=values)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
