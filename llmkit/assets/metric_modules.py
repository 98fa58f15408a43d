"""Modules of the `evaluate` library as metrics: a folder, a file.py, or a name on the Hub.

    load_metric_module("./my_metric").score(["a cat"], [["the cat"]], MetricSettings())

What such a module computes is not known beforehand, so its intervals come from computing it again on drawn pairs;
where it gives one number an example (as bertscore does), from these numbers. Its code is run: it is the user's choice.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmkit.base.errors import AssetError, ErrorDetail, UserError, closest
from llmkit.metrics import intervals
from llmkit.metrics.registry import ENTRIES, Entry, Kind, MetricSettings
from llmkit.metrics.score import Score

__all__ = ["load_metric_module"]

DRAWS = 200  # computations; a module may take seconds for one

# What a module takes (predictions, references) -> the kind of our files that gives it.
KINDS: Mapping[tuple[str, str], Kind] = {
    ("text", "texts"): "texts",
    ("text", "text"): "texts",
    ("texts", "texts"): "tags",
    ("integer", "integer"): "labels",
    ("float", "float"): "numbers",
}


def load_metric_module(name: str) -> Entry:
    """A metric from a module of the `evaluate` library.

    UserError E01 for a name that neither llmkit nor the Hub knows (or the Hub can't be reached), E09 for a module
    that does not load or that wants what files of predictions and references don't hold.
    """
    loaded = _load(name)
    for features in loaded.features if isinstance(loaded.features, list) else [loaded.features]:
        if set(features) == {"predictions", "references"}:
            forms = _form(features["predictions"]), _form(features["references"])
            if forms in KINDS:
                return _entry(name, loaded, forms)
    takes = " or ".join(sorted({", ".join(features) for features in _as_list(loaded.features)}))
    message = f"this module takes {takes} in a form that files of predictions and references can't give"
    raise UserError("E09", f"--metric {name}", message, "compute it in Python with evaluate.load")


def _load(name: str) -> Any:
    """The module; one on the Hub from its cache where the Hub can't be reached."""
    here = Path(name).exists()
    reached = here or _on_hub(name)
    if not reached and not _cached(name):
        raise UserError.of(_unknown(name, reached))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # stdout is for the scores
            import evaluate

            evaluate.config.HF_EVALUATE_OFFLINE = not reached  # it would try for minutes
            return evaluate.load(str(Path(name)) if here else name, keep_in_memory=True)
    except Exception as error:
        raise UserError.of(_failed(name, "does not load", error)) from None


def _on_hub(name: str) -> bool:
    """Whether the Hub has a metric of that name; False where it can't be reached. UserError E01 when it has not."""
    from llmkit.assets import hub_requests

    repository = name if "/" in name else f"evaluate-metric/{name}"
    reference = hub_requests.parse_reference(repository)
    if reference is None:
        raise UserError.of(_unknown(name, reached=True))
    try:
        return hub_requests.resolve_commit(reference, "space") is not None
    except AssetError:
        raise UserError.of(_unknown(name, reached=True)) from None


def _cached(name: str) -> bool:
    """Whether the library has loaded it from the Hub before; seen without importing it, which takes seconds."""
    from huggingface_hub.constants import HF_HOME

    modules = (
        Path(os.environ.get("HF_MODULES_CACHE", Path(HF_HOME) / "modules")) / "evaluate_modules" / "metrics"
    )
    return any(modules.glob(f"*--{name}" if "/" not in name else name.replace("/", "--")))


def _unknown(name: str, reached: bool) -> ErrorDetail:
    where = "" if reached else ", and the Hub can't be reached"
    message = f'unknown metric "{name}"{where}{closest(name, ENTRIES)}'
    fix = "`llmkit metrics list` shows those of llmkit; of the evaluate library name a folder, or what is on the Hub"
    return ErrorDetail("E01", "--metric", message, fix)


def _failed(name: str, what: str, error: Exception) -> ErrorDetail:
    lines = str(error).strip().splitlines() or [""]
    message = f"this module of the evaluate library {what} ({type(error).__name__}: {lines[0][:200]})"
    return ErrorDetail("E09", f"--metric {name}", message, "try it in Python with evaluate.load")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _form(feature: Any) -> str:
    """text, integer, float, texts (a list of them), or nothing that we know."""
    if (inner := getattr(feature, "feature", None)) is not None:
        return "texts" if _form(inner) == "text" else ""
    dtype = str(getattr(feature, "dtype", ""))
    starts = {"string": "text", "large_string": "text", "int": "integer", "uint": "integer", "float": "float"}
    return next((form for start, form in starts.items() if dtype.startswith(start)), "")


def _entry(name: str, loaded: Any, forms: tuple[str, str]) -> Entry:
    def score(
        predictions: Sequence[Any], references: Sequence[Any], settings: MetricSettings
    ) -> dict[str, Score]:
        ours, gold = _as_taken(name, predictions, references, forms)
        return _scores(name, loaded, ours, gold, settings)

    return Entry(name, KINDS[forms], (), "a module of the evaluate library", score)


def _as_taken(
    name: str, predictions: Sequence[Any], references: Sequence[Any], forms: tuple[str, str]
) -> tuple[list[Any], list[Any]]:
    """Predictions and references in the module's own forms. UserError E07."""
    if forms == ("text", "text"):
        if any(len(texts) > 1 for texts in references):
            message = "this module takes one reference text for each prediction"
            raise UserError("E07", f"--metric {name}", message, "name one file of references")
        return list(predictions), [texts[0] for texts in references]
    if forms == ("integer", "integer"):
        return [_integer(name, label) for label in predictions], [
            _integer(name, label) for label in references
        ]
    return list(predictions), list(references)


def _integer(name: str, label: str) -> int:
    try:
        return int(label)
    except ValueError:
        message = f'this module takes numbers of classes, and "{label}" is none'
        raise UserError("E07", f"--metric {name}", message, "write labels as 0, 1, 2 ...") from None


def _scores(
    name: str, loaded: Any, ours: list[Any], gold: list[Any], settings: MetricSettings
) -> dict[str, Score]:
    """Each number that the module gives, and the mean of each list of as many numbers as there are pairs."""
    found = _compute(name, loaded, ours, gold)
    numbers = {key: float(value) for key, value in found.items() if _is_number(value)}
    lists = {key: value for key, value in found.items() if _is_numbers(value, len(ours))}
    if not numbers and not lists:
        error = ValueError(f"it gives {', '.join(found) or 'nothing'}")
        raise UserError.of(_failed(name, "gives no number", error))
    drawn = _drawn(name, loaded, ours, gold, list(numbers), settings) if numbers and len(ours) > 1 else {}
    return {
        **{
            key: _percentile(name, value, drawn.get(key, []), len(ours), settings)
            for key, value in numbers.items()
        },
        **{key: _mean(name, values, settings) for key, values in lists.items()},
    }


def _compute(name: str, loaded: Any, ours: list[Any], gold: list[Any]) -> dict[str, Any]:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return dict(loaded.compute(predictions=ours, references=gold))
    except Exception as error:
        raise UserError.of(_failed(name, "failed", error)) from None


def _drawn(
    name: str, loaded: Any, ours: list[Any], gold: list[Any], keys: list[str], settings: MetricSettings
) -> dict[str, list[float]]:
    """Each key's numbers on DRAWS samples of the pairs, drawn with replacement."""
    rng = np.random.default_rng(settings.resampling.seed)
    found: dict[str, list[float]] = {key: [] for key in keys}
    for _ in range(DRAWS):
        chosen = rng.integers(0, len(ours), len(ours)).tolist()
        scores = _compute(name, loaded, [ours[i] for i in chosen], [gold[i] for i in chosen])
        for key in keys:
            found[key].append(float(scores[key]))
    return found


def _percentile(name: str, value: float, drawn: Sequence[float], n: int, settings: MetricSettings) -> Score:
    finite = [score for score in drawn if np.isfinite(score)]
    if not np.isfinite(value):
        return Score(
            0.0, None, None, n, f"no interval: undefined on these examples, 0 stands in; {_of(name)}"
        )
    if len(finite) < intervals.ENOUGH * DRAWS:
        return Score(value, None, None, n, f"no interval: too few examples; {_of(name)}")
    confidence = settings.resampling.confidence
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    method = (
        f"percentile bootstrap, {DRAWS} draws of pairs, {intervals.format_percent(confidence)}; {_of(name)}"
    )
    return Score(value, min(low, value), max(high, value), n, method)


def _mean(name: str, values: Sequence[float], settings: MetricSettings) -> Score:
    score = intervals.mean(np.array(values, np.float64), resampling=settings.resampling)
    return Score(
        score.value, score.low, score.high, score.n, f"{score.method}; mean over the pairs; {_of(name)}"
    )


def _of(name: str) -> str:
    return f"evaluate module {name}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list | np.ndarray) and len(value) == count and all(map(_is_number, value))
