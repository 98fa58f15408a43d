"""Is run B better than run A? Paired, on the same test examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from llmkit.errors import Problem, RunError
from llmkit.metrics import paired
from llmkit.recipe.schema import Evaluate
from llmkit.run import Run

__all__ = ["compare"]

Records = dict[tuple[str, str, int], dict[str, Any]]


def compare(first: Path, second: Path) -> dict[str, Any]:
    """second minus first: paired bootstrap on each headline metric (Holm over them), and McNemar's test.

    Raises RunError when the runs have no test examples in common or answer with other labels.
    """
    from llmkit import tasks

    a, b = Run.open(first), Run.open(second)
    reports = [_report(run) for run in (a, b)]
    task = tasks.load(reports[0]["task"])
    ours, theirs = _records(a, reports[0]["part"]), _records(b, reports[1]["part"])
    common = [key for key in ours if key in theirs]
    labels = _labels(reports, common)
    golds = {"labels": _numbers([ours[key] for key in common], "label", labels)}
    old = {"prediction": _numbers([ours[key] for key in common], "prediction", labels)}
    new = {"prediction": _numbers([theirs[key] for key in common], "prediction", labels)}
    differences = {
        metric: task.difference(golds, new, old, metric, labels, evaluate=Evaluate(), seed=1)
        for metric in reports[0]["headline"]
    }
    adjusted = paired.holm([difference.p_value for difference in differences.values()])
    right = [outputs["prediction"] == golds["labels"] for outputs in (old, new)]
    return {
        "first": str(first),
        "second": str(second),
        "n": len(common),
        "only_in_first": len(ours) - len(common),
        "only_in_second": len(theirs) - len(common),
        "differences": {
            metric: {**asdict(difference), "p_holm": float(p)}
            for (metric, difference), p in zip(differences.items(), adjusted, strict=True)
        },
        "mcnemar_p": paired.mcnemar(*right),
        "examples_needed": paired.examples_needed(*right),
        "verdict": [
            paired.verdict(difference, str(second), str(first)) for difference in differences.values()
        ],
    }


def _report(run: Run) -> Mapping[str, Any]:
    if not run.finished:
        raise RunError(Problem("R05", str(run.path), "is not finished", "go on with --resume"))
    return run.read_report()


def _records(run: Run, part: str) -> Records:
    """The predictions by text, label, and how many equal rows came before."""
    found: Records = {}
    seen: dict[tuple[str, str], int] = {}
    for line in run.predictions(part).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        key = (record["text"], record["label"])
        seen[key] = seen.get(key, -1) + 1
        found[(*key, seen[key])] = record
    return found


def _labels(reports: list[Mapping[str, Any]], common: list[tuple[str, str, int]]) -> list[str]:
    names = [report["confusion"]["labels"] for report in reports]
    if set(names[0]) != set(names[1]) or not common:
        what = "answer with different labels" if common else "share no test example"
        raise RunError(
            Problem(
                "R07",
                f"{reports[0]['run']}, {reports[1]['run']}",
                f"these runs {what}, so they can't be compared",
                "compare runs that were scored on the same test file",
            )
        )
    return list(names[0])


def _numbers(records: list[dict[str, Any]], key: str, labels: list[str]) -> Any:
    numbers = {name: number for number, name in enumerate(labels)}
    return np.array([numbers[record[key]] for record in records], np.int64)
