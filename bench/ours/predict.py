"""Predict labels for sentences, one per line, with llmkit.

Usage: predict.py MODEL SENTENCES.txt [--int8]
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.clock import Clock

clock = Clock()

from llmkit.base.progress import SILENT  # noqa: E402
from llmkit.inference.predict import predict_examples  # noqa: E402
from llmkit.inference.trained_model import open_model, quantize_model  # noqa: E402


def main(model: str, file: str, *flags: str) -> None:
    opened = open_model(model, SILENT)
    if "--int8" in flags:
        opened = quantize_model(opened)
    texts = Path(file).read_text(encoding="utf-8").splitlines()
    list(predict_examples(opened, texts[:1]))
    clock.mark("ready")
    records = list(predict_examples(opened, texts))
    clock.mark("done")
    clock.end(
        examples=len(texts),
        outputs=[[record["prediction"], record["probability"]] for record in records],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
