"""Predict labels, spans, answers or text for new inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from llmkit.base.progress import SILENT, Progress
from llmkit.inference.predict import Texts, answer, recalibrated
from llmkit.inference.trained_model import in_int8, open_model

__all__ = ["predict"]


def predict(
    target: str,
    examples: Iterable[str | Texts],
    *,
    calibrated: bool = False,
    int8: bool = False,
    progress: Progress = SILENT,
) -> Iterator[dict[str, Any]]:
    """A record for each example: its texts, prediction, probability and more; None for both where a text is blank.

    target: a run folder, a model folder, a Hub id, or index:NAME. A plain text will do where the task reads a single
    one. Reads on only as records are taken. Computes in fp32 on any device, so the logits are those of the saved
    model under plain transformers. calibrated: the probabilities are those of the temperature that was fitted on the
    validation rows; RecipeError U01 where there is none. int8: with linear layers in 8 bits, on a CPU; `evaluate` tells
    what that costs.
    """
    opened = open_model(target, progress)
    opened = recalibrated(opened) if calibrated else opened
    yield from answer(in_int8(opened) if int8 else opened, examples, progress=progress)
