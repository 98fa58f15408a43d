"""Use llmkit's metrics from the `evaluate` library. Modules written by `llmkit metrics export` import this module.

metric = evaluate.load("DIR/rouge")
metric.compute(predictions=["a cat sat"], references=[["the cat sat"]], stemmer=True)
# {"rouge1": 66.7, "rouge1_low": None, "rouge1_high": None, ...}; low and high are the bounds of the 95% interval
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmkit.base import files
from llmkit.data.reading.scored_values import convert_to_iob2
from llmkit.metrics.registry import KINDS, Entry, Kind, find_entry
from llmkit.metrics.settings import MetricSettings

__all__ = ["export", "metric_class"]

FILE = '''"""{summary} (llmkit's "{name}"), for the evaluate library: evaluate.load("{folder}")"""

from llmkit.commands.metric_export import metric_class

Metric = metric_class("{name}")
'''


def export(name: str, folder: Path) -> Path:
    """Write FOLDER/NAME/NAME.py for `evaluate.load("FOLDER/NAME")` and return FOLDER/NAME.

    Raises:
        UserError: E01 for an unknown metric.
    """
    metric, target = find_entry(name), folder / name
    files.create_folder(target)
    text = FILE.format(summary=metric.summary, name=name, folder=target.as_posix())
    files.write_text(target / f"{name}.py", text)
    return target


def metric_class(name: str) -> Any:
    """Return a subclass of evaluate.Metric that computes llmkit's metric of this name.

    Raises:
        UserError: E01 for an unknown metric.
    """
    import datasets
    import evaluate

    metric = find_entry(name)

    class Exported(evaluate.Metric):  # type: ignore[misc]
        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description=f"{metric.summary}. Keys: {', '.join(metric.keys)}, each with _low and _high.",
                citation="",
                inputs_description=f"Each example has {KINDS[metric.kind]}.",
                features=[datasets.Features(form) for form in _features(metric.kind)],
            )

        def _compute(self, predictions: list[Any], references: list[Any], **settings: Any) -> dict[str, Any]:
            return _compute_values(metric, predictions, references, settings)

    return Exported


def _features(kind: Kind) -> list[dict[str, Any]]:
    """Return the accepted feature types; two where a single reference may stand for a list of one."""
    from datasets import Sequence, Value

    text, number = Value("string"), Value("float64")
    many_references = {"predictions": text, "references": Sequence(text)}
    one_reference = {"predictions": text, "references": text}
    forms: dict[Kind, list[dict[str, Any]]] = {
        "labels": [{"predictions": Value("int64"), "references": Value("int64")}, one_reference],
        "numbers": [{"predictions": number, "references": number}],
        "texts": [many_references, one_reference],
        "answers": [many_references, one_reference],
        "tags": [{"predictions": Sequence(text), "references": Sequence(text)}],
        "log_probabilities": [{"predictions": Sequence(number), "references": text}],
    }
    return forms[kind]


def _compute_values(
    metric: Entry, predictions: list[Any], references: list[Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """Return each score under its key, and its bounds under KEY_low and KEY_high.

    Raises:
        TypeError: For a setting that the metric does not have.
    """
    unknown = [name for name in settings if name not in metric.settings]
    if unknown:
        raise TypeError(f"{metric.name} has no setting {unknown[0]}; it has {metric.settings}")
    if metric.kind == "labels":
        predictions, references = list(map(str, predictions)), list(map(str, references))
    if metric.kind == "tags":
        predictions, references = convert_to_iob2(
            predictions, references, strict=settings.get("strict", False)
        )
    if metric.kind in ("texts", "answers"):
        references = [[texts] if isinstance(texts, str) else list(texts) for texts in references]
    scores = metric.score(predictions, references, MetricSettings(**settings))
    return {
        name: value
        for key, score in scores.items()
        for name, value in ((key, score.value), (f"{key}_low", score.low), (f"{key}_high", score.high))
    }
