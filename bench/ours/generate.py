"""Answer questions, one per line, with greedy decoding in llmkit.

Usage: generate.py MODEL QUESTIONS.txt NEW_TOKENS
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.clock import Clock

clock = Clock()

from llmkit.base.progress import SILENT  # noqa: E402
from llmkit.inference.predict import predict_examples  # noqa: E402
from llmkit.inference.trained_model import open_model  # noqa: E402


def main(model: str, file: str, new_tokens: int) -> None:
    opened = open_model(model, SILENT, task="chat")
    task: Any = opened.task
    options = task.options.model_copy(update={"max_new_tokens": new_tokens})
    opened = replace(opened, task=replace(task, options=options))
    questions = Path(file).read_text(encoding="utf-8").splitlines()
    list(predict_examples(opened, questions[:1]))
    clock.mark("ready")
    texts = [record["prediction"] for record in predict_examples(opened, questions)]
    clock.mark("done")
    clock.end(examples=len(texts), outputs=texts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
