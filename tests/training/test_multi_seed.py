"""Training with several seeds: one complete run per seed, their mean and spread, resuming, and later commands."""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

import llmkit
from llmkit.base import files
from llmkit.base.errors import Interrupted, RecipeError, RunError, Stopped, UserError
from llmkit.base.run import Run, find_runs
from llmkit.metrics.paired import Difference
from llmkit.metrics.spread import t_quantile
from llmkit.report.report import BaselineComparison, Curves, Evaluation, Report
from llmkit.training import loop
from llmkit.training.multi_seed import SeedReports, _count_wins, _limits
from llmkit.training.training_run import TrainingRun

SHORT = ["train.epochs=null", "train.max_steps=3", "evaluate.resamples=100"]
SEEDS = [*SHORT, "train.seeds=[3,1,2]"]
LEARNING = ["train.epochs=null", "train.max_steps=64", "train.seeds=[1,2,3]", "evaluate.best=loss"]


@dataclass(frozen=True)
class Several:
    path: Path
    content: dict[str, Any]

    def of_seed(self, seed: int) -> dict[str, Any]:
        return Run(self.path).of_seed(seed).read_report()


@pytest.fixture(scope="module")
def several(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Several:
    """A run of three seeds with different scores."""
    folder = tmp_path_factory.mktemp("several") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        content = llmkit.finetune(str(tiny_recipe), LEARNING, out=folder)
    return Several(folder, content)


@pytest.fixture
def _without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the plots, which take a second and have tests of their own."""
    monkeypatch.setattr("llmkit.report.plots.draw", lambda _: {})


@pytest.fixture
def finetune(tiny_recipe: Path, tmp_path: Path, _without_plots: None) -> Callable[..., dict[str, Any]]:
    """Train three seeds for a few steps in the folder `run`."""

    def run(*overrides: str, **settings: Any) -> dict[str, Any]:
        settings = {"out": tmp_path / "run"} | settings
        return llmkit.finetune(str(tiny_recipe), [*SEEDS, "evaluate.baselines=false", *overrides], **settings)

    return run


@contextmanager
def stopped_at(training: int, step: int, number: signal.Signals) -> Iterator[None]:
    """Send this process a signal at a step of the nth training, counted from 1."""
    numbers, train, count = iter(range(1, 100)), loop.train, TrainingRun.count

    def count_and_stop(run: TrainingRun, finished: Any) -> None:
        if finished.step == step:
            signal.raise_signal(number)
        count(run, finished)

    with pytest.MonkeyPatch.context() as patch:

        def train_and_stop(*arguments: Any) -> Any:
            if next(numbers) == training:
                patch.setattr(TrainingRun, "count", count_and_stop)
            return train(*arguments)

        patch.setattr(loop, "train", train_and_stop)
        yield


def error_of(kind: type[UserError], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines()
    return line


def test_each_seed_equals_a_run_of_this_seed_alone(
    several: Several, tiny_recipe: Path, tmp_path: Path, _without_plots: None
) -> None:
    """Weights, predictions and scores are equal bit for bit, so no state leaks between seeds."""
    for seed in (1, 3):
        seed_report = several.of_seed(seed)
        alone = llmkit.finetune(
            str(tiny_recipe),
            [*LEARNING[:2], "evaluate.best=loss", f"train.seeds=[{seed}]"],
            out=tmp_path / f"{seed}",
        )
        assert seed_report["weights_sha256"] == alone["weights_sha256"]
        assert seed_report["scores"] == alone["scores"]
        assert seed_report["baselines"] == alone["baselines"]
        assert seed_report["data"]["fingerprint"] == alone["data"]["fingerprint"]
        assert seed_report["command"].endswith(f"'train.seeds=[{seed}]'")
        assert seed_report["command"].count("train.seeds") == 1
        for name in ("recipe.yaml", "predictions/test.jsonl"):
            assert (several.path / f"seed-{seed}" / name).read_bytes() == (
                tmp_path / f"{seed}" / name
            ).read_bytes()
    assert len({several.of_seed(seed)["weights_sha256"] for seed in (1, 2, 3)}) == 3


def test_scores_are_means_with_an_interval_over_seeds(several: Several) -> None:
    content = several.content
    assert list(content["seeds"]) == ["1", "2", "3"]
    for seed in (1, 2, 3):
        assert content["seeds"][str(seed)] == several.of_seed(seed)["scores"]
    for name in ("accuracy", "f1", "mcc", "loss"):
        values = [content["seeds"][seed][name]["value"] for seed in "123"]
        score, spread = content["scores"][name], content["spread"][name]
        assert score["value"] == pytest.approx(mean(values))
        assert spread == {"sd": pytest.approx(stdev(values)), "min": min(values), "max": max(values)}
        half = t_quantile(0.975, 2) * stdev(values) / 3**0.5
        least, most = {"mcc": (-1, 1), "loss": (0, math.inf)}.get(name, (0, 1))
        assert score["low"] == pytest.approx(max(mean(values) - half, least))
        assert score["high"] == pytest.approx(min(mean(values) + half, most))
        assert score["n"] == 16
        assert score["method"].startswith(
            "mean of 3 seeds, t interval 95% over seeds; test rows are the same"
        )
    assert content["spread"]["accuracy"]["sd"] > 0.05
    saved = json.loads((several.path / "scores.json").read_text())
    assert saved == {key: content[key] for key in ("part", "scores", "seeds", "spread", "kept_seed")}


def test_report_has_the_keys_of_a_single_run(several: Several) -> None:
    content, seed_report = several.content, several.of_seed(several.content["kept_seed"])
    assert json.loads(json.dumps(content)) == Run(several.path).read_report()
    assert content.keys() == seed_report.keys() | {"seeds", "spread", "kept_seed"}
    assert content["run"] == str(several.path)
    assert content["baselines"] == seed_report["baselines"]
    trains = [several.of_seed(seed)["train"] for seed in (1, 2, 3)]
    assert content["train"]["seconds"] == pytest.approx(sum(train["seconds"] for train in trains))
    assert content["train"]["steps"] == 192
    rates = [train["examples_per_second"] for train in trains]
    assert min(rates) <= content["train"]["examples_per_second"] <= max(rates)
    assert "seeds:\n" in content["recipe"]
    assert content["recipe"] == (several.path / "recipe.yaml").read_text()
    first, *others = content["verdict"]
    assert first.startswith("Over 3 seeds, mean accuracy is 0.")
    assert len(others) == len(content["baselines"]) == 3
    assert all(sentence.startswith("The model is better than ") for sentence in others)
    assert any(f"come from seed {content['kept_seed']}" in note for note in content["notes"])
    assert {path.name for path in several.path.iterdir()} >= {
        *("recipe.yaml", "environment.json", "log.jsonl", "model", "predictions", "scores.json"),
        *("report.json", "report.md", "report.html", "plots", "seed-1", "seed-2", "seed-3"),
    }


def test_report_page_shows_each_seed(several: Several) -> None:
    text = (several.path / "report.md").read_text(encoding="utf-8")
    chapter = text.split("## Seeds")[1].split("##")[0]
    kept = several.content["kept_seed"]
    assert f"| {kept} (model kept) |" in chapter
    for word in ("Mean", "Standard deviation", "Lowest", "Highest"):
        assert f"| {word} |" in chapter
    assert 'id="seeds"' in (several.path / "report.html").read_text(encoding="utf-8")
    assert "## Seeds" not in (several.path / "seed-1" / "report.md").read_text(encoding="utf-8")


def test_model_comes_from_the_best_validation_score(several: Several) -> None:
    best = {}
    for seed in (1, 2, 3):
        curves = several.of_seed(seed)["curves"]
        best[seed] = min(line["loss"] for line in curves["evaluations"])
    kept = min(best, key=lambda seed: best[seed])
    assert several.content["kept_seed"] == kept
    assert several.content["weights_sha256"] == several.of_seed(kept)["weights_sha256"]
    for name in ("model", "predictions"):
        copy, original = several.path / name, several.path / f"seed-{kept}" / name
        assert files.verify_folder(copy) is None
        compared = [
            path.relative_to(original)
            for path in original.rglob("*")
            if path.is_file() and path.name != "manifest.json"
        ]
        assert compared
        assert all((copy / path).read_bytes() == (original / path).read_bytes() for path in compared)


def test_later_commands_accept_the_run(
    several: Several, make_reviews: Any, tmp_path: Path, listener: Any
) -> None:
    content, seed_report = several.content, several.of_seed(several.content["kept_seed"])
    again = llmkit.evaluate(str(several.path), progress=listener)
    assert again["scores"] == seed_report["scores"]  # of the kept model, not the means
    assert any("trained with several seeds" in note for note in listener.notes)
    data = [tmp_path / f"{number}.jsonl" for number in (8, 9)]
    for path in data:
        path.write_text("".join(json.dumps(row) + "\n" for row in make_reviews(20, int(path.stem))))
    result = llmkit.evaluate(str(several.path), data=[str(path) for path in data])
    assert result["home"]["scores"] == seed_report["scores"] != content["scores"]
    (record,) = llmkit.predict(str(several.path), ["a fine film"])
    assert record["prediction"] in ("negative", "positive")
    difference = llmkit.compare(several.path, several.path / f"seed-{content['kept_seed']}")
    assert difference["differences"]["accuracy"]["value"] == 0
    assert difference["n"] == 16


def test_runs_of_single_seeds_are_not_listed(several: Several) -> None:
    assert find_runs(several.path.parent) == [Run(several.path)]
    assert list(Run(several.path).seeds) == [1, 2, 3]


def test_dry_run_shows_one_plan(finetune: Callable[..., Any], tmp_path: Path) -> None:
    plan = finetune(dry_run=True)
    assert plan["seeds"] == [3, 1, 2]
    assert plan["schedule"]["total_steps"] == 3
    assert list(tmp_path.iterdir()) == []


def test_duplicate_seed_is_an_error(finetune: Callable[..., Any], tiny_recipe: Path, tmp_path: Path) -> None:
    line = error_of(
        RecipeError,
        lambda: llmkit.finetune(str(tiny_recipe), [*SHORT, "train.seeds=[2,1,2]"], out=tmp_path / "run"),
    )
    assert line == "error[C10] train.seeds: gives 2 twice. Fix: give each seed once"
    assert not (tmp_path / "run").exists()


def test_error_leaves_no_run_folder(finetune: Callable[..., Any], tmp_path: Path) -> None:
    assert "error[C10]" in error_of(RecipeError, lambda: finetune("train.precision=fp16"))
    assert not (tmp_path / "run").exists()


def test_finished_run_is_neither_overwritten_nor_repeated(
    finetune: Callable[..., Any], tmp_path: Path, listener: Any
) -> None:
    content = finetune()
    assert list(content["seeds"]) == ["3", "1", "2"]  # in the recipe's order
    assert "error[R02]" in error_of(RunError, finetune)
    assert finetune(resume=True, progress=listener) == json.loads(json.dumps(content))
    assert listener.notes == [f"{tmp_path / 'run'} is already finished"]


@pytest.mark.parametrize(
    ("number", "kind", "code"), [(signal.SIGTERM, Stopped, 75), (signal.SIGINT, Interrupted, 130)]
)
def test_stopped_run_resumes_with_the_stopped_seed(
    finetune: Callable[..., Any],
    tmp_path: Path,
    listener: Any,
    number: signal.Signals,
    kind: type[Stopped],
    code: int,
) -> None:
    """Stopped at step 2 of the second seed: the first seed is kept, the second resumed, the result is the same."""
    uninterrupted = finetune(out=tmp_path / "uninterrupted")
    with stopped_at(2, 2, number), pytest.raises(kind) as caught:
        finetune()
    assert (type(caught.value), caught.value.exit_code) == (kind, code)
    run = tmp_path / "run"
    (line,) = caught.value.lines()
    assert re.fullmatch(r"seed 1 stopped by (a signal|Ctrl-C) at step 2 of 3, saved; resume with: .*", line)
    details = json.loads(Run(run).stopped.read_text())
    assert details["seed"] == 1
    assert "train.seeds" in details["resume"]
    assert line.endswith(details["resume"])
    assert details["resume"].endswith(f" --out {run} --resume")
    assert [seed for seed, seed_run in Run(run).seeds.items() if seed_run.finished] == [3]
    assert not Run(run).finished
    before = (run / "seed-3" / "report.json").read_bytes()
    content = finetune(resume=True, progress=listener)
    assert f"{run / 'seed-3'} is already finished" in listener.notes
    assert f"resumed {run / 'seed-1'} at step 2 of 3" in listener.notes
    assert (run / "seed-3" / "report.json").read_bytes() == before
    for key in ("scores", "seeds", "spread", "kept_seed", "weights_sha256"):
        assert content[key] == uninterrupted[key], key


def test_finished_seeds_with_other_data_or_recipe_are_an_error(
    finetune: Callable[..., Any], reviews_jsonl: Path, tmp_path: Path, listener: Any
) -> None:
    """Otherwise the mean would cover different data or settings."""
    data = tmp_path / "reviews.jsonl"
    data.write_bytes(reviews_jsonl.read_bytes())
    run = tmp_path / "run"
    uninterrupted = finetune(f"data.train={data}")
    shutil.rmtree(run / "seed-2")
    (run / "report.json").unlink()
    data.write_text("".join(reviews_jsonl.read_text().splitlines(keepends=True)[1:]))
    options = {"resume": True, "progress": listener}
    line = error_of(RunError, lambda: finetune(f"data.train={data}", **options))
    assert line.startswith(
        f"error[M09] {run / 'seed-3'}: the data is not the data that this run was trained on"
    )
    data.write_bytes(reviews_jsonl.read_bytes())
    recipe = run / "seed-1" / "recipe.yaml"
    original = recipe.read_text()
    recipe.write_text(original.replace("batch_size: 8", "batch_size: 4"))
    line = error_of(RunError, lambda: finetune(f"data.train={data}", **options))
    assert line.startswith(
        f"error[M09] {run / 'seed-1'}: was started with another recipe; train.batch_size differ"
    )
    recipe.write_text(original)
    assert finetune(f"data.train={data}", **options)["scores"] == uninterrupted["scores"]


def test_missing_report_is_written_without_training_again(
    finetune: Callable[..., Any], tmp_path: Path, listener: Any
) -> None:
    """A run killed between the last seed and its report is not trained again."""
    content = finetune()
    (tmp_path / "run" / "report.json").unlink()
    shutil.rmtree(tmp_path / "run" / "model")
    again = finetune(resume=True, progress=listener)
    assert not any(note.startswith("loading") for note in listener.notes)
    assert again["scores"] == content["scores"]
    assert files.verify_folder(tmp_path / "run" / "model") is None


# Details of the summary


def curves(values: dict[int, float]) -> dict[int, Report]:
    """Reports with these validation scores at their best step, and better ones at another step."""
    return {
        seed: Report(
            curves=Curves(
                best_step=8,
                evaluations=[Evaluation(4, {"loss": -1, "f1": 2}), Evaluation(8, {"loss": v, "f1": v})],
            )
        )
        for seed, v in values.items()
    }


@dataclass(frozen=True)
class FakePrepared:
    recipe: Any
    task: Any


@pytest.mark.parametrize(
    ("best", "values", "kept"),
    [
        ("loss", {1: 0.3, 2: 0.2, 3: 0.4}, 2),
        ("f1", {1: 0.3, 2: 0.2, 3: 0.4}, 3),
        ("f1", {5: 0.4, 2: 0.4}, 5),  # the first of equal scores
    ],
)
def test_best_seed_respects_the_direction_of_the_metric(
    recipe_of: Callable[..., Any], best: str, values: dict[int, float], kept: int
) -> None:
    from llmkit import tasks

    recipe = recipe_of(f"evaluate.best={best}")
    prepared: Any = FakePrepared(recipe, tasks.load(recipe.task))
    assert SeedReports(prepared, curves(values)).choose_best() == (
        kept,
        f"which had the best validation score ({best} {values[kept]:.4f})",
    )


def test_first_seed_is_kept_without_a_validation_set(finetune: Callable[..., Any], listener: Any) -> None:
    content = finetune("data.validation_share=0", progress=listener)
    assert content["kept_seed"] == 3
    assert any(
        "seed 3, the first seed, because there is no validation set" in note for note in listener.notes
    )


def comparison(low: float | None, high: float | None, higher: bool = True) -> BaselineComparison:
    difference = Difference("f1", 0.0, low, high, 100, 0.95, 0.5, "", higher_is_better=higher)
    return BaselineComparison("tfidf", "TF-IDF with logistic regression", "f1", difference, "")


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([(0.1, 0.2)] * 3, "The model is better than TF-IDF with logistic regression with all 3 seeds."),
        (
            [(0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)],
            "The model is better than TF-IDF with logistic regression with 1 of 3 seeds, worse with 1, "
            "undecided with 1.",
        ),
        (
            [(-0.1, 0.2), (None, None)],
            "The model is better than TF-IDF with logistic regression with none of 2 seeds, undecided with 2.",
        ),
    ],
)
def test_verdict_counts_the_seeds_that_beat_a_baseline(items: list[Any], sentence: str) -> None:
    assert _count_wins([comparison(*item) for item in items]) == sentence


def test_lower_is_better_metrics_count_as_better_below_zero() -> None:
    assert "with all 2 seeds" in _count_wins([comparison(-0.2, -0.1, higher=False)] * 2)


def test_interval_is_limited_to_possible_scores() -> None:
    assert _limits("f1", [0.9, 1.0], lower=False) == (0.0, 1.0)
    assert _limits("mcc", [0.9, 0.0], lower=False) == (-1.0, 1.0)
    assert _limits("bleu", [30.2, 0.5], lower=False) == (0.0, math.inf)
    assert _limits("loss", [0.9, 0.2], lower=True) == (0.0, math.inf)
