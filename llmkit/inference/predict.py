"""Predict new inputs with a loaded model, in input order and constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT, Progress
from llmkit.data.encoding.features import Encoded
from llmkit.inference.batches import make_batches
from llmkit.inference.trained_model import TrainedModel

if TYPE_CHECKING:
    from llmkit.engine.session import Session

__all__ = ["Inputs", "predict_examples", "use_calibration"]

CHUNK = 4096  # examples sorted by length together
MAX_CHARACTERS = 1_000_000  # per chunk, because one question about a book has many windows

# One example: the task's inputs by name, such as {"text": ...} or {"question": ..., "context": ...}.
# For chat also {"prompt": [messages]}, a conversation to continue.
Inputs = Mapping[str, Any]


def use_calibration(opened: TrainedModel) -> TrainedModel:
    """Return the model with calibrated probabilities. Raises RecipeError U01 where no temperature was fitted."""
    if not opened.task.spec.can_calibrate:
        message = f"{opened.name} has no fitted temperature"
        raise RecipeError("U01", "--calibrated", message, "leave it out")
    return replace(opened, calibrated=True)


def predict_examples(
    opened: TrainedModel, examples: Iterable[str | Inputs], *, progress: Progress = SILENT
) -> Iterator[dict[str, Any]]:
    """Predict examples with a loaded model, in input order.

    Args:
        opened: The model.
        examples: Mappings with the task's inputs, or plain texts for tasks with a single input. Read lazily.
        progress: Receives messages and progress.

    Yields:
        The inputs with `prediction`, `probability` and more, depending on the task. Both are None for blank inputs.
    """
    from llmkit.engine import session as sessions

    names = opened.task.spec.inputs
    notes: Counter[str] = Counter()
    done = 0
    with sessions.start(seed=0, precision="fp32") as session:
        opened.model.to(session.device)
        named = (
            {names[0]: example} if isinstance(example, str) else {name: example[name] for name in names}
            for example in examples
        )
        for chunk in _split_into_chunks(named):
            filled = [inputs for inputs in chunk if not _is_blank(inputs)]
            notes["blank texts have no prediction"] += len(chunk) - len(filled)
            records = iter(_predict_chunk(session, opened, filled, progress, notes))
            for inputs in chunk:
                yield (
                    {**inputs, "prediction": None, "probability": None}
                    if _is_blank(inputs)
                    else next(records)
                )
            done += len(chunk)
            progress.advance("predicting", done, done + 1, "texts")  # the total is unknown
    progress.advance("predicting", done, done, "texts")
    for note, count in (+notes).items():  # those with a count above 0
        progress.note(f"{count:,} {note}")


def _split_into_chunks(examples: Iterator[Inputs]) -> Iterator[list[Inputs]]:
    """Yield chunks of CHUNK examples, or of fewer where they have MAX_CHARACTERS together."""
    chunk: list[Inputs] = []
    characters = 0
    for example in examples:
        chunk.append(example)
        characters += sum(map(len, example.values()))
        if len(chunk) == CHUNK or characters >= MAX_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _is_blank(inputs: Inputs) -> bool:
    return not all(value.strip() if isinstance(value, str) else value for value in inputs.values())


def _predict_chunk(
    session: Session, opened: TrainedModel, examples: list[Inputs], progress: Progress, notes: Counter[str]
) -> list[dict[str, Any]]:
    """Return the prediction records of some examples, and count in `notes` what happened to them."""
    from llmkit.engine.predict import predict

    if not examples:
        return []
    task = opened.task
    rows = {name: [inputs[name] for inputs in examples] for name in task.spec.inputs}
    features = task.encode(rows, {}, opened.tokenizer, max_length=opened.train.max_length, truncation=True)
    encoded = Encoded.from_batches([(0, features)])
    notes.update(features.notes)
    if features.limit is None:  # with a limit, the task's own notes report the truncation
        notes[f"texts were truncated to {opened.train.max_length} tokens"] += features.counts.cut_examples
    batches = make_batches(session, encoded, {}, opened.tokenizer, opened.train, task)
    outputs = predict(
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
