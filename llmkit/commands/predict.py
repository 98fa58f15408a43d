"""Predict labels, spans, answers or text for new inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from llmkit.base.progress import SILENT, Progress
from llmkit.inference.predict import Inputs, predict_examples, use_calibration
from llmkit.inference.trained_model import open_model, quantize_model

__all__ = ["predict"]


def predict(
    target: str,
    examples: Iterable[str | Inputs],
    *,
    calibrated: bool = False,
    int8: bool = False,
    progress: Progress = SILENT,
) -> Iterator[dict[str, Any]]:
    """Predict new inputs, one record per example in input order. Memory does not grow with the number of examples.

    Predictions run in float32 on any device, so the logits are those of the saved model under plain transformers.

    Args:
        target: A run folder, a model folder, a Hub id, or index:NAME.
        examples: Mappings with the task's inputs, or plain texts for tasks with a single input. Read lazily.
        calibrated: Calibrate probabilities with the temperature fitted on the validation set.
        int8: Quantize linear layers to int8 (CPU); `evaluate` measures the accuracy cost.
        progress: Receives messages and progress.

    Yields:
        The inputs with `prediction`, `probability` and more, depending on the task. Both are None for blank inputs.

    Raises:
        RecipeError: U01, for `calibrated` without a fitted temperature, or `int8` on a machine with a GPU.
        ModelError: For a model that cannot be used.
    """
    model = open_model(target, progress)
    model = use_calibration(model) if calibrated else model
    model = quantize_model(model) if int8 else model
    yield from predict_examples(model, examples, progress=progress)
