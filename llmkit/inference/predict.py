"""Answers to texts, one record an example in the order they came, in flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT, Progress
from llmkit.inference.trained_model import Opened

__all__ = ["Texts", "answer", "recalibrated"]

CHUNK = 4096  # examples sorted by length together
CHARACTERS = 1_000_000  # of the texts of a chunk: a question about a book is many windows

# One example: the task's inputs by name, {"text": ...} or {"question": ..., "context": ...}.
# Of chat also {"prompt": [messages]}, a conversation to go on with.
Texts = Mapping[str, Any]


def recalibrated(opened: Opened) -> Opened:
    """The same model with calibrated probabilities. Raises RecipeError U01 where no temperature was fitted."""
    if not opened.task.spec.can_calibrate:
        message = f"{opened.name} has no temperature: none was fitted when it was trained"
        raise RecipeError("U01", "--calibrated", message, "leave it out")
    return replace(opened, calibrated=True)


def answer(
    opened: Opened, examples: Iterable[str | Texts], *, progress: Progress = SILENT
) -> Iterator[dict[str, Any]]:
    """`predict` with a model that is open already."""
    from llmkit.engine import session as sessions

    names = opened.task.spec.inputs
    notes: Counter[str] = Counter()
    done = 0
    with sessions.start(seed=0, precision="fp32") as session:
        opened.model.to(session.device)
        for chunk in _chunks(_texts(example, names) for example in examples):
            full = [texts for texts in chunk if _is_full(texts)]
            records = _answer(session, opened, full, progress, notes)
            notes["blank texts have no prediction"] += len(chunk) - len(full)
            answers = iter(records)
            for texts in chunk:
                yield next(answers) if _is_full(texts) else {**texts, "prediction": None, "probability": None}
            done += len(chunk)
            progress.advance("predicting", done, done + 1, "texts")  # how many more there are is not known
    progress.advance("predicting", done, done, "texts")
    for what, count in (+notes).items():
        progress.note(f"{count:,} {what}")


def _chunks(examples: Iterator[Texts]) -> Iterator[list[Texts]]:
    """Some examples at a time: CHUNK, or fewer that have CHARACTERS together."""
    chunk: list[Texts] = []
    characters = 0
    for example in examples:
        chunk.append(example)
        characters += sum(map(len, example.values()))
        if len(chunk) == CHUNK or characters >= CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _texts(example: str | Texts, names: Any) -> Texts:
    return {names[0]: example} if isinstance(example, str) else {name: example[name] for name in names}


def _is_full(texts: Texts) -> bool:
    return all(text.strip() if isinstance(text, str) else text for text in texts.values())


def _answer(
    session: Any, opened: Opened, examples: list[Texts], progress: Progress, notes: Counter[str]
) -> list[dict[str, Any]]:
    """Records of these examples; what was done to their texts is added to the notes."""
    from llmkit.data.encoding.features import Encoded
    from llmkit.engine.predict import predict as run
    from llmkit.inference.batches import make_batches

    if not examples:
        return []
    task, rows = opened.task, {name: [texts[name] for texts in examples] for name in opened.task.spec.inputs}
    features = task.encode(rows, {}, opened.tokenizer, max_length=opened.train.max_length, truncation=True)
    encoded = Encoded.from_batches([(0, features)])
    notes.update(features.notes)
    if features.limit is None:  # else the notes tell it
        notes[f"texts were cut to {opened.train.max_length} tokens"] += features.counts.cut_examples
    batches = make_batches(session, encoded, {}, opened.tokenizer, opened.train, task)
    outputs = run(
        session,
        opened.model,
        batches,
        task.decode,
        max_new_tokens=task.spec.max_new_tokens,
        on_progress=lambda done, total: (
            progress.advance("reading", done, total, "windows") if total > 1000 else None
        ),
    )
    predictions = task.predictions(outputs, encoded, rows, calibrated=opened.calibrated)
    return list(task.records(rows, predictions, opened.labels))
