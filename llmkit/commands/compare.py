"""Is run B better than run A? Paired, on the same test examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import RunError
from llmkit.base.run import Run
from llmkit.metrics import paired
from llmkit.metrics.resampling import Resampling
from llmkit.report.format import phrase

if TYPE_CHECKING:
    from llmkit.models.save import ModelMetadata
    from llmkit.tasks.protocol import Task

__all__ = ["compare"]

Records = dict[tuple[str, ...], dict[str, Any]]


def compare(first: Path, second: Path, *, out: Path | None = None) -> dict[str, Any]:
    """second minus first: paired bootstrap on each headline metric, p-values of McNemar's test or random swaps,
    adjusted over the metrics (Holm). out: a new folder for a report with both.

    Raises RunError when the runs have no test examples in common, or are of different tasks or labels, and R04 when
    something stands at out.
    """
    from llmkit import tasks

    if out is not None and out.exists():
        raise RunError("R04", str(out), "exists already", "choose another --out")
    runs = [Run.open(first), Run.open(second)]
    reports = [_report(run) for run in runs]
    card = _card(runs, reports)
    task, labels = tasks.load(card.task, card.tuned), card.labels
    ours, theirs = (_records(run, report["part"], task) for run, report in zip(runs, reports, strict=True))
    common = [key for key in ours if key in theirs]
    if not common:
        raise _not_comparable(runs, "share no test example")
    references, old = task.parse_records([ours[key] for key in common], labels)
    _, new = task.parse_records([theirs[key] for key in common], labels)
    differences = {
        metric: task.difference(references, new, old, metric, labels, resampling=Resampling(seed=1))
        for metric in reports[0]["headline"]
    }
    adjusted = paired.holm([difference.p_value for difference in differences.values()])
    right = [task.correct(references, predictions) for predictions in (old, new)]
    pair = None if right[0] is None or right[1] is None else (right[0], right[1])
    result = {
        "first": str(first),
        "second": str(second),
        "n": len(common),
        "only_in_first": len(ours) - len(common),
        "only_in_second": len(theirs) - len(common),
        "differences": {
            metric: {**asdict(difference), "p_holm": float(p)}
            for (metric, difference), p in zip(differences.items(), adjusted, strict=True)
        },
        "mcnemar_p": pair and paired.mcnemar(*pair),
        "examples_needed": pair and paired.examples_needed(*pair),
        "verdict": [
            paired.describe_difference(replace(difference, metric=phrase(metric)), str(second), str(first))
            for metric, difference in differences.items()
        ],
    }
    if out is not None:
        _write(out, result, reports)
    return result


def _write(out: Path, result: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> None:
    from llmkit.report import page

    shown = ("scores", "curves", "train", "samples")
    names = (result["first"], result["second"])
    content = {
        **result,
        "name": f"{names[1]} against {names[0]}",
        "task": reports[0]["task"],
        "verdict": list(dict.fromkeys(result["verdict"])),
        "compared": [
            {"run": name, **{key: report[key] for key in shown if key in report}}
            for name, report in zip(names, reports, strict=True)
        ],
    }
    page.write(out, content)


def _report(run: Run) -> Mapping[str, Any]:
    if not run.finished:
        raise RunError("R05", str(run.path), "is not finished", "go on with --resume")
    return run.read_report()


def _card(runs: Sequence[Run], reports: Sequence[Mapping[str, Any]]) -> ModelMetadata:
    """The first run's card. Both runs must be of the same task and labels."""
    from llmkit.models.save import load_metadata

    cards = [load_metadata(run.model) for run in runs]
    assert cards[0] and cards[1], "a finished run has a model with a card"
    if reports[0]["task"] != reports[1]["task"]:
        raise _not_comparable(runs, "are of different tasks")
    if set(cards[0].labels) != set(cards[1].labels):
        raise _not_comparable(runs, "answer with different labels")
    return cards[0]


def _records(run: Run, part: str, task: Task) -> Records:
    """The predictions by the columns of the row, and by how many equal rows came before."""
    found: Records = {}
    seen: Counter[tuple[str, ...]] = Counter()
    for line in run.predictions(part).read_text(encoding="utf-8").split("\n")[:-1]:
        record = json.loads(line)
        key = tuple(str(record[name]) for name in task.spec.identity)
        found[(*key, str(seen[key]))] = record
        seen[key] += 1
    return found


def _not_comparable(runs: Sequence[Run], why: str) -> RunError:
    places = ", ".join(str(run.path) for run in runs)
    fix = "compare runs that were scored on the same test file"
    return RunError("R07", places, f"these runs {why}, so they can't be compared", fix)
