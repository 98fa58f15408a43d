"""Predict new inputs with a loaded model, in input order and constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT, Progress
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
    """Predict examples with a loaded model; see `llmkit.commands.predict.predict` for inputs and records."""
    from llmkit.engine import session as sessions

    names = opened.task.spec.inputs
    notes: Counter[str] = Counter()
    done = 0
    with sessions.start(seed=0, precision="fp32") as session:
        opened.model.to(session.device)
        for chunk in _split_into_chunks(_name_inputs(example, names) for example in examples):
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
    for what, count in (+notes).items():
        progress.note(f"{count:,} {what}")


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


def _name_inputs(example: str | Inputs, names: Sequence[str]) -> Inputs:
    return {names[0]: example} if isinstance(example, str) else {name: example[name] for name in names}


def _is_blank(inputs: Inputs) -> bool:
    return not all(value.strip() if isinstance(value, str) else value for value in inputs.values())


def _predict_chunk(
    session: Session, opened: TrainedModel, examples: list[Inputs], progress: Progress, notes: Counter[str]
) -> list[dict[str, Any]]:
    """Return the records of some examples; truncation is counted in `notes`."""
    from llmkit.data.encoding.features import Encoded
    from llmkit.engine.predict import predict as run
    from llmkit.inference.batches import make_batches

    if not examples:
        return []
    task, rows = (
        opened.task,
        {name: [inputs[name] for inputs in examples] for name in opened.task.spec.inputs},
    )
    features = task.encode(rows, {}, opened.tokenizer, max_length=opened.train.max_length, truncation=True)
    encoded = Encoded.from_batches([(0, features)])
    notes.update(features.notes)
    if features.limit is None:  # otherwise the features' own notes say so
        notes[f"texts were truncated to {opened.train.max_length} tokens"] += features.counts.cut_examples
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
