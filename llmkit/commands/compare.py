"""Compare two runs on the same test examples with paired tests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit import tasks
from llmkit.base.errors import RunError
from llmkit.base.run import Run
from llmkit.metrics import paired
from llmkit.metrics.resampling import Resampling
from llmkit.report import page
from llmkit.report.format import phrase
from llmkit.report.report import ComparedRun, ComparisonReport, MetricDifference, Report, RunComparison

if TYPE_CHECKING:
    from llmkit.models.save import ModelMetadata
    from llmkit.tasks.protocol import Task

__all__ = ["compare"]

Records = dict[tuple[str, ...], dict[str, Any]]


def compare(first: Path, second: Path, *, out: Path | None = None) -> dict[str, Any]:
    """Compare two finished runs: second minus first on each headline metric.

    Intervals come from a paired bootstrap, p-values from McNemar's test or a permutation test, with Holm's correction
    over the metrics.

    Args:
        first: Run folder.
        second: Run folder of the same task, with the same labels.
        out: A new folder for a report on both runs; None writes no report.

    Returns:
        JSON values: differences, p-values, verdict, and the number of common examples.

    Raises:
        RunError: R07 for runs without common test examples or of different tasks or labels, R05 for an unfinished
            run, R04 when `out` exists.
    """
    if out is not None and out.exists():
        raise RunError("R04", str(out), "already exists", "choose another --out")
    runs = [Run.open(first), Run.open(second)]
    for run in runs:
        if not run.finished:
            raise RunError("R05", str(run.path), "is not finished", "continue it with --resume")
    reports = [Report.from_json(run.read_report()) for run in runs]
    metadata = _load_metadata(runs, reports)
    task, labels = tasks.load(metadata.task, metadata.tuned), metadata.labels
    first_records, second_records = (
        _read_records(run, report.split, task) for run, report in zip(runs, reports, strict=True)
    )
    common = [key for key in first_records if key in second_records]
    if not common:
        raise _not_comparable(runs, "share no test example")
    references, old = task.parse_records([first_records[key] for key in common], labels)
    _, new = task.parse_records([second_records[key] for key in common], labels)
    differences = {
        metric: task.difference(references, new, old, metric, labels, resampling=Resampling(seed=1))
        for metric in reports[0].headline
    }
    p_values = paired.holm([difference.p_value for difference in differences.values()])
    old_correct, new_correct = task.correct(references, old), task.correct(references, new)
    correct = None if old_correct is None or new_correct is None else (old_correct, new_correct)
    comparison = RunComparison(
        first=str(first),
        second=str(second),
        n=len(common),
        only_in_first=len(first_records) - len(common),
        only_in_second=len(second_records) - len(common),
        differences={
            metric: MetricDifference(difference, float(p))
            for (metric, difference), p in zip(differences.items(), p_values, strict=True)
        },
        mcnemar_p=correct and paired.mcnemar(*correct),
        examples_needed=correct and paired.examples_needed(*correct),
        verdict=[
            paired.describe_difference(replace(difference, metric=phrase(metric)), str(second), str(first))
            for metric, difference in differences.items()
        ],
    )
    if out is not None:
        name = f"{second} against {first}"
        shown = [
            ComparedRun(str(path), report.scores, report.curves, report.train, report.samples)
            for path, report in zip((first, second), reports, strict=True)
        ]
        page.write(out, ComparisonReport(name, reports[0].task, comparison, shown))
    return comparison.to_json()


def _load_metadata(runs: Sequence[Run], reports: Sequence[Report]) -> ModelMetadata:
    """Return the first run's model metadata. Raises RunError R07 where task or labels differ."""
    from llmkit.models.save import load_metadata

    first, second = (load_metadata(run.model) for run in runs)
    assert first and second, "a finished run has a model with metadata"
    if reports[0].task != reports[1].task:
        raise _not_comparable(runs, "are of different tasks")
    if set(first.labels) != set(second.labels):
        raise _not_comparable(runs, "have different labels")
    return first


def _read_records(run: Run, split: str, task: Task) -> Records:
    """Read prediction records, keyed by the inputs of their example and the number of earlier equal inputs."""
    records: Records = {}
    counts: Counter[tuple[str, ...]] = Counter()
    for line in run.predictions(split).read_text(encoding="utf-8").split("\n")[:-1]:
        record = json.loads(line)
        key = tuple(str(record[name]) for name in task.spec.identity)
        records[(*key, str(counts[key]))] = record
        counts[key] += 1
    return records


def _not_comparable(runs: Sequence[Run], reason: str) -> RunError:
    places = ", ".join(str(run.path) for run in runs)
    fix = "compare runs that were scored on the same test file"
    return RunError("R07", places, f"these runs {reason}, so they can't be compared", fix)
