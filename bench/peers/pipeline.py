"""Predict labels for sentences, one per line, with transformers' pipeline.

Usage: pipeline.py MODEL SENTENCES.txt BATCH_SIZE
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.clock import Clock

clock = Clock()

from transformers import pipeline  # noqa: E402


def main(model: str, file: str, batch_size: int) -> None:
    classify = pipeline("text-classification", model=model, device="cpu")
    texts = Path(file).read_text(encoding="utf-8").splitlines()
    classify(texts[:1])
    clock.mark("ready")
    predictions = classify(texts, batch_size=batch_size)
    clock.mark("done")
    clock.end(
        examples=len(texts),
        outputs=[[prediction["label"], prediction["score"]] for prediction in predictions],
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
