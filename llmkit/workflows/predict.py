"""Answers to texts, one record a text in the order they came, in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from llmkit.progress import SILENT, Progress
from llmkit.workflows.opened import Opened, open_model

__all__ = ["predict"]

CHUNK = 4096  # texts sorted by length together


def predict(target: str, texts: Iterable[str], *, progress: Progress = SILENT) -> Iterator[dict[str, Any]]:
    """A record for each text: prediction, probability, probabilities, logits; a blank text gets None for all.

    target: a run folder, a model folder, a Hub id, or index:NAME. Reads on only as records are taken.
    Computes in fp32 on any device, so the logits are those of the saved model under plain transformers.
    """
    from llmkit.engine import session as sessions

    opened = open_model(target, progress)
    waiting = iter(texts)
    blank = cut = done = 0
    with sessions.start(seed=0, precision="fp32") as session:
        opened.model.to(session.device)
        while chunk := list(islice(waiting, CHUNK)):
            records, cut_here = _answer(session, opened, [text for text in chunk if text.strip()])
            cut += cut_here
            blank += len(chunk) - len(records)
            answers = iter(records)
            for text in chunk:
                yield (
                    next(answers) if text.strip() else {"text": text, "prediction": None, "probability": None}
                )
            done += len(chunk)
            progress.advance("predicting", done, done + 1, "texts")  # how many more there are is not known
    progress.advance("predicting", done, done, "texts")
    if blank:
        progress.note(f"{blank} blank texts have no prediction")
    if cut:
        progress.note(f"{cut} texts were cut to {opened.train.max_length} tokens")


def _answer(session: Any, opened: Opened, texts: list[str]) -> tuple[list[dict[str, Any]], int]:
    """Records of these texts, and how many of them were cut."""
    from llmkit.data.encode import Encoded, Ragged
    from llmkit.engine.predict import predict as run
    from llmkit.workflows.fit import make_batches

    if not texts:
        return [], 0
    rows = {next(iter(opened.task.columns)): texts}
    features = opened.task.encode(rows, opened.tokenizer, max_length=opened.train.max_length, truncation=True)
    encoded = Encoded({name: Ragged.of(column) for name, column in features.columns.items()}, features.counts)
    batches = make_batches(session, encoded, {}, opened.tokenizer, opened.train)
    outputs = run(session, opened.model, batches, opened.task.decode)
    return list(opened.task.records(rows, outputs, opened.labels)), features.counts.cut_examples
