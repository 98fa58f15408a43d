"""Two systems by BLEU: counted, then an interval of one, then the whole paired test anew (both intervals, that of the
difference, its p-value).

Usage: bleu.py SYSTEMS.jsonl DRAWS    (rows of [first, second, reference])
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


def main(file: str, draws: int) -> None:
    *systems, references = zip(
        *(json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines())
    )
    listed = [[text] for text in references]
    ngram.bleu(systems[0][:1], listed[:1])
    clock.mark("ready")
    measured = [ngram.bleu(system, listed) for system in systems]
    clock.mark("counted")
    intervals.measure(measured[0].rows, measured[0].metrics, resampling=Resampling(resamples=draws))
    clock.mark("testing")
    first, second = (ngram.bleu(system, listed) for system in systems)
    values = [
        intervals.measure(each.rows, each.metrics, resampling=Resampling(resamples=draws))["bleu"].value
        for each in (first, second)
    ]
    paired.difference(
        np.hstack([first.rows, second.rows]), first.metrics[0], resampling=Resampling(resamples=draws)
    )
    clock.mark("done")
    clock.end(examples=len(references), outputs=values)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
