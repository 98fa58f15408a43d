"""Two systems by BLEU: counted, then sacrebleu's paired bootstrap, which counts anew.

Usage: bleu.py SYSTEMS.jsonl DRAWS    (rows of [first, second, reference])
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.clock import Clock

clock = Clock()

from sacrebleu import BLEU  # noqa: E402
from sacrebleu.significance import PairedTest  # noqa: E402


def main(file: str, draws: int) -> None:
    *systems, references = (
        list(column)
        for column in zip(*(json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()))
    )
    BLEU().corpus_score(systems[0][:1], [references[:1]])
    clock.mark("ready")
    values = [BLEU().corpus_score(system, [references]).score for system in systems]
    clock.mark("counted")
    clock.mark("testing")
    named = list(zip(("first", "second"), systems))
    PairedTest(named, {"BLEU": BLEU()}, [references], test_type="bs", n_samples=draws)()
    clock.mark("done")
    clock.end(examples=len(references), outputs=values)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
