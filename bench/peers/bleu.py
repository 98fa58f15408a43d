"""Compare two systems by BLEU with sacrebleu: counting n-grams, then its paired bootstrap, which counts again.

Usage: bleu.py SYSTEMS.jsonl RESAMPLES    (rows of [first, second, reference])
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.clock import Clock

clock = Clock()

from sacrebleu import BLEU  # noqa: E402
from sacrebleu.significance import PairedTest  # noqa: E402


def main(file: str, resamples: int) -> None:
    *systems, references = (
        list(column)
        for column in zip(*(json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()))
    )
    BLEU().corpus_score(systems[0][:1], [references[:1]])
    clock.mark("ready")
    values = [BLEU().corpus_score(system, [references]).score for system in systems]
    clock.mark("counted")
    clock.mark("testing")
    named_systems = list(zip(("first", "second"), systems))
    PairedTest(named_systems, {"BLEU": BLEU()}, [references], test_type="bs", n_samples=resamples)()
    clock.mark("done")
    clock.end(examples=len(references), outputs=values)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
