"""Use modules of the `evaluate` library as metrics: a folder, a file.py, or a name on the Hub.

    load_metric_module("./my_metric").score(["a cat"], [["the cat"]], MetricSettings())

llmkit does not know what such a module computes. A confidence interval therefore comes from computing the metric again
on resampled pairs, or, if the module returns one number per example (as bertscore does), from these numbers. Loading a
module executes its code, which the user has chosen.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.constants import HF_HOME

from llmkit.assets.hub_requests import parse_reference, resolve_commit
from llmkit.base.errors import AssetError, UserError, suggest
from llmkit.metrics import intervals
from llmkit.metrics.registry import ENTRIES, Entry, Kind
from llmkit.metrics.score import Score
from llmkit.metrics.settings import MetricSettings

__all__ = ["load_metric_module"]

DRAWS = 200  # bootstrap resamples; a module may take seconds for each

# The module's types of (prediction, reference) -> the kind of values that files provide for it.
KINDS: Mapping[tuple[str, str], Kind] = {
    ("text", "texts"): "texts",
    ("text", "text"): "texts",
    ("texts", "texts"): "tags",
    ("integer", "integer"): "labels",
    ("float", "float"): "numbers",
}


def load_metric_module(name: str) -> Entry:
    """Load a module of the `evaluate` library as a metric.

    Args:
        name: A folder, a file, or a name on the Hub.

    Raises:
        UserError: E01 for an unknown name or an unreachable Hub, E09 for a module that can't be loaded or that needs
            inputs which files of predictions and references don't contain.
    """
    module = _load(name)
    alternatives = module.features if isinstance(module.features, list) else [module.features]
    for features in alternatives:
        if set(features) == {"predictions", "references"}:
            types = _name_type(features["predictions"]), _name_type(features["references"])
            if types in KINDS:
                return _MetricModule(name, module, types).make_entry()
    inputs = " or ".join(sorted({", ".join(features) for features in alternatives}))
    message = f"this module takes {inputs} in types that files of predictions and references can't provide"
    raise UserError("E09", f"--metric {name}", message, "compute it in Python with evaluate.load")


def _load(name: str) -> Any:
    """Load a module; one on the Hub comes from the local cache when the Hub can't be reached."""
    is_local = Path(name).exists()
    reachable = is_local or _check_hub(name)
    if not reachable and not _is_cached(name):
        raise _unknown_metric_error(name, reachable=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # stdout is reserved for the scores
            import evaluate

            evaluate.config.HF_EVALUATE_OFFLINE = not reachable  # otherwise it would try for minutes
            return evaluate.load(str(Path(name)) if is_local else name, keep_in_memory=True)
    except Exception as error:  # the module's own code may raise anything
        raise _module_error(name, "can't be loaded", error) from None


def _check_hub(name: str) -> bool:
    """Return whether the Hub can be reached. Raises UserError E01 when it has no metric of this name."""
    reference = parse_reference(name if "/" in name else f"evaluate-metric/{name}")
    if reference is None:
        raise _unknown_metric_error(name, reachable=True)
    try:
        return resolve_commit(reference, "space") is not None
    except AssetError:
        raise _unknown_metric_error(name, reachable=True) from None


def _is_cached(name: str) -> bool:
    """Return whether the library has loaded a module before, without importing the library, which takes seconds."""
    cache = Path(os.environ.get("HF_MODULES_CACHE", Path(HF_HOME) / "modules"))
    pattern = f"*--{name}" if "/" not in name else name.replace("/", "--")
    return any((cache / "evaluate_modules" / "metrics").glob(pattern))


def _unknown_metric_error(name: str, *, reachable: bool) -> UserError:
    why = "" if reachable else ", and the Hub can't be reached"
    message = f'unknown metric "{name}"{why}{suggest(name, ENTRIES)}'
    fix = "run `llmkit metrics list`, or name a folder or a metric on the Hub for the evaluate library"
    return UserError("E01", "--metric", message, fix)


def _module_error(name: str, what: str, error: Exception) -> UserError:
    lines = str(error).strip().splitlines() or [""]
    message = f"this module of the evaluate library {what} ({type(error).__name__}: {lines[0][:200]})"
    return UserError("E09", f"--metric {name}", message, "try it in Python with evaluate.load")


def _name_type(feature: object) -> str:
    """Return text, integer, float, texts (a list of them), or "" for a type that files can't provide."""
    if (inner := getattr(feature, "feature", None)) is not None:
        return "texts" if _name_type(inner) == "text" else ""
    dtype = str(getattr(feature, "dtype", ""))
    names = {"string": "text", "large_string": "text", "int": "integer", "uint": "integer", "float": "float"}
    return next((name for prefix, name in names.items() if dtype.startswith(prefix)), "")


class _MetricModule:
    """A loaded module and the types of its predictions and references."""

    def __init__(self, name: str, module: Any, types: tuple[str, str]) -> None:
        self.name, self.types = name, types
        self.module = module  # Any, because evaluate has no type annotations

    def make_entry(self) -> Entry:
        return Entry(self.name, KINDS[self.types], (), "a module of the evaluate library", self.score)

    def score(
        self, predictions: Sequence[Any], references: Sequence[Any], settings: MetricSettings
    ) -> dict[str, Score]:
        """Return each number of the module's result, and the mean of each list with one number per example."""
        predictions, references = self._convert_inputs(predictions, references)
        count = len(predictions)
        result = self._compute(predictions, references)
        numbers = {key: float(value) for key, value in result.items() if _is_number(value)}
        lists = {
            key: value
            for key, value in result.items()
            if isinstance(value, list | np.ndarray) and len(value) == count and all(map(_is_number, value))
        }
        if not numbers and not lists:
            error = ValueError(f"its result is {', '.join(result) or 'empty'}")
            raise _module_error(self.name, "returns no number", error)
        drawn = self._resample(predictions, references, settings, list(numbers)) if count > 1 else {}
        scores = {
            key: self._add_interval(value, drawn.get(key, []), count, settings)
            for key, value in numbers.items()
        }
        for key, values in lists.items():
            mean = intervals.mean(np.array(values, np.float64), resampling=settings.resampling)
            method = f"{mean.method}; mean over the pairs; evaluate module {self.name}"
            scores[key] = Score(mean.value, mean.low, mean.high, mean.n, method)
        return scores

    def _convert_inputs(
        self, predictions: Sequence[Any], references: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Convert predictions and references to the module's types. Raises UserError E07."""
        place = f"--metric {self.name}"
        if self.types == ("text", "text"):
            if any(len(texts) > 1 for texts in references):
                message = "this module takes only one reference text per prediction"
                raise UserError("E07", place, message, "name one file of references")
            return list(predictions), [texts[0] for texts in references]
        if self.types == ("integer", "integer"):
            for label in (*predictions, *references):
                try:
                    int(label)
                except ValueError:
                    message = f'this module takes class numbers, but "{label}" is not a whole number'
                    raise UserError("E07", place, message, "write labels as 0, 1, 2 ...") from None
            return [int(label) for label in predictions], [int(label) for label in references]
        return list(predictions), list(references)

    def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return dict(self.module.compute(predictions=predictions, references=references))
        except Exception as error:  # the module's own code may raise anything
            raise _module_error(self.name, "failed", error) from None

    def _resample(
        self, predictions: list[Any], references: list[Any], settings: MetricSettings, keys: list[str]
    ) -> dict[str, list[float]]:
        """Return the numbers under these keys for DRAWS samples of the pairs, drawn with replacement."""
        if not keys:
            return {}
        rng = np.random.default_rng(settings.resampling.seed)
        drawn: dict[str, list[float]] = {key: [] for key in keys}
        for _ in range(DRAWS):
            indices = rng.integers(0, len(predictions), len(predictions)).tolist()
            result = self._compute([predictions[i] for i in indices], [references[i] for i in indices])
            for key in keys:
                drawn[key].append(float(result[key]))
        return drawn

    def _add_interval(self, value: float, drawn: Sequence[float], n: int, settings: MetricSettings) -> Score:
        """Return a score with the percentile interval of the resampled values, where it has one."""
        source = f"evaluate module {self.name}"
        finite = [score for score in drawn if np.isfinite(score)]
        if not np.isfinite(value):
            why = "no interval: undefined on these examples, reported as 0"
            return Score(0.0, None, None, n, f"{why}; {source}")
        if len(finite) < intervals.ENOUGH * DRAWS:
            return Score(value, None, None, n, f"no interval: too few examples; {source}")
        confidence = settings.resampling.confidence
        low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
        method = (
            f"percentile bootstrap, {DRAWS} draws of pairs, {intervals.format_percent(confidence)}; {source}"
        )
        return Score(value, min(low, value), max(high, value), n, method)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
