"""Labels for a file of sentences, one a line, in one process.

Usage: predict.py MODEL SENTENCES.txt [--int8]
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.clock import Clock

clock = Clock()

from llmkit.base.progress import SILENT  # noqa: E402
from llmkit.inference.predict import answer  # noqa: E402
from llmkit.inference.trained_model import in_int8, open_model  # noqa: E402


def main(model: str, file: str, *how: str) -> None:
    opened = open_model(model, SILENT)
    if "--int8" in how:
        opened = in_int8(opened)
    texts = Path(file).read_text(encoding="utf-8").splitlines()
    list(answer(opened, texts[:1]))
    clock.mark("ready")
    records = list(answer(opened, texts))
    clock.mark("done")
    clock.end(
        examples=len(texts),
        outputs=[[record["prediction"], record["probability"]] for record in records],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
