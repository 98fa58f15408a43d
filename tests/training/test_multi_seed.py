"""Several seeds: complete runs below one that later commands take as any other; resumable; the mean and its spread."""

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
from llmkit.metrics.spread import t_quantile
from llmkit.training import loop
from llmkit.training.multi_seed import _beaten, _best, _limits

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
    """Three seeds that differ in their scores."""
    folder = tmp_path_factory.mktemp("several") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        content = llmkit.finetune(str(tiny_recipe), LEARNING, out=folder)
    return Several(folder, content)


@pytest.fixture
def _without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take a second and are tested beside the report."""
    monkeypatch.setattr("llmkit.report.plots.draw", lambda _: {})


@pytest.fixture
def finetune(tiny_recipe: Path, tmp_path: Path, _without_plots: None) -> Callable[..., dict[str, Any]]:
    """Three seeds of a few steps in the folder `run` of the test."""

    def run(*overrides: str, **settings: Any) -> dict[str, Any]:
        settings = {"out": tmp_path / "run"} | settings
        return llmkit.finetune(str(tiny_recipe), [*SEEDS, "evaluate.baselines=false", *overrides], **settings)

    return run


@contextmanager
def stopped_at(training: int, step: int, number: signal.Signals) -> Iterator[None]:
    """Send this process a signal at a step of one of the trainings, counted from 1."""
    seen, plain, count = iter(range(1, 100)), loop.train, loop._count

    def count_and_stop(run: Any, made: Any) -> None:
        if made.step == step:
            signal.raise_signal(number)
        count(run, made)

    with pytest.MonkeyPatch.context() as patch:

        def train_and_stop(*arguments: Any) -> Any:
            if next(seen) == training:
                patch.setattr(loop, "_count", count_and_stop)
            return plain(*arguments)

        patch.setattr(loop, "train", train_and_stop)
        yield


def refusal(kind: type[UserError], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines()
    return line


def test_each_seed_is_the_run_that_it_is_alone(
    several: Several, tiny_recipe: Path, tmp_path: Path, _without_plots: None
) -> None:
    """To the bit: weights, predictions and scores; so nothing passes from one seed to the next."""
    for seed in (1, 3):
        own = several.of_seed(seed)
        alone = llmkit.finetune(
            str(tiny_recipe),
            [*LEARNING[:2], "evaluate.best=loss", f"train.seeds=[{seed}]"],
            out=tmp_path / f"{seed}",
        )
        assert own["weights_sha256"] == alone["weights_sha256"]
        assert own["scores"] == alone["scores"]
        assert own["baselines"] == alone["baselines"]
        assert own["data"]["fingerprint"] == alone["data"]["fingerprint"]
        assert own["command"].endswith(f"'train.seeds=[{seed}]'")
        assert own["command"].count("train.seeds") == 1
        for name in ("recipe.yaml", "predictions/test.jsonl"):
            assert (several.path / f"seed-{seed}" / name).read_bytes() == (
                tmp_path / f"{seed}" / name
            ).read_bytes()
    assert len({several.of_seed(seed)["weights_sha256"] for seed in (1, 2, 3)}) == 3


def test_scores_are_means_with_an_interval_over_the_seeds(several: Several) -> None:
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
    kept = json.loads((several.path / "scores.json").read_text())
    assert kept == {key: content[key] for key in ("part", "scores", "seeds", "spread", "kept_seed")}


def test_the_report_holds_the_keys_of_any_report(several: Several) -> None:
    content, own = several.content, several.of_seed(several.content["kept_seed"])
    assert json.loads(json.dumps(content)) == Run(several.path).read_report()
    assert content.keys() == own.keys() | {"seeds", "spread", "kept_seed"}
    assert content["run"] == str(several.path)
    assert content["baselines"] == own["baselines"]
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
    assert any(f"those of seed {content['kept_seed']}" in note for note in content["notes"])
    assert {path.name for path in several.path.iterdir()} >= {
        *("recipe.yaml", "environment.json", "log.jsonl", "model", "predictions", "scores.json"),
        *("report.json", "report.md", "report.html", "plots", "seed-1", "seed-2", "seed-3"),
    }


def test_the_page_shows_each_seed(several: Several) -> None:
    text = (several.path / "report.md").read_text(encoding="utf-8")
    chapter = text.split("## Seeds")[1].split("##")[0]
    kept = several.content["kept_seed"]
    assert f"| {kept} (model kept) |" in chapter
    for word in ("Mean", "Standard deviation", "Lowest", "Highest"):
        assert f"| {word} |" in chapter
    assert 'id="seeds"' in (several.path / "report.html").read_text(encoding="utf-8")
    assert "## Seeds" not in (several.path / "seed-1" / "report.md").read_text(encoding="utf-8")


def test_the_model_is_that_of_the_best_validation_score(several: Several) -> None:
    best = {}
    for seed in (1, 2, 3):
        curves = several.of_seed(seed)["curves"]
        best[seed] = min(line["loss"] for line in curves["evaluations"])
    kept = min(best, key=lambda seed: best[seed])
    assert several.content["kept_seed"] == kept
    assert several.content["weights_sha256"] == several.of_seed(kept)["weights_sha256"]
    for name in ("model", "predictions"):
        copied, own = several.path / name, several.path / f"seed-{kept}" / name
        assert files.verify_folder(copied) is None
        compared = [
            path.relative_to(own)
            for path in own.rglob("*")
            if path.is_file() and path.name != "manifest.json"
        ]
        assert compared
        assert all((copied / path).read_bytes() == (own / path).read_bytes() for path in compared)


def test_later_commands_take_the_run(
    several: Several, make_reviews: Any, tmp_path: Path, listener: Any
) -> None:
    content, own = several.content, several.of_seed(several.content["kept_seed"])
    again = llmkit.evaluate(str(several.path), progress=listener)
    assert again["scores"] == own["scores"]  # of the model that was kept, not the means
    assert any("trained with several seeds" in note for note in listener.notes)
    data = [tmp_path / f"{number}.jsonl" for number in (8, 9)]
    for path in data:
        path.write_text("".join(json.dumps(row) + "\n" for row in make_reviews(20, int(path.stem))))
    result = llmkit.evaluate(str(several.path), data=[str(path) for path in data])
    assert result["home"]["scores"] == own["scores"] != content["scores"]
    (answer,) = llmkit.predict(str(several.path), ["a fine film"])
    assert answer["prediction"] in ("negative", "positive")
    difference = llmkit.compare(several.path, several.path / f"seed-{content['kept_seed']}")
    assert difference["differences"]["accuracy"]["value"] == 0
    assert difference["n"] == 16


def test_the_runs_of_the_seeds_are_not_listed(several: Several) -> None:
    assert find_runs(several.path.parent) == [Run(several.path)]
    assert list(Run(several.path).seeds) == [1, 2, 3]


def test_a_dry_run_shows_one_plan(finetune: Callable[..., Any], tmp_path: Path) -> None:
    plan = finetune(dry_run=True)
    assert plan["seeds"] == [3, 1, 2]
    assert plan["schedule"]["total_steps"] == 3
    assert list(tmp_path.iterdir()) == []


def test_a_seed_named_twice_is_refused(
    finetune: Callable[..., Any], tiny_recipe: Path, tmp_path: Path
) -> None:
    line = refusal(
        RecipeError,
        lambda: llmkit.finetune(str(tiny_recipe), [*SHORT, "train.seeds=[2,1,2]"], out=tmp_path / "run"),
    )
    assert line == "error[C10] train.seeds: gives 2 twice. Fix: give each seed once"
    assert not (tmp_path / "run").exists()


def test_a_mistake_leaves_no_folder(finetune: Callable[..., Any], tmp_path: Path) -> None:
    assert "error[C10]" in refusal(RecipeError, lambda: finetune("train.precision=fp16"))
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_overwritten_and_not_repeated(
    finetune: Callable[..., Any], tmp_path: Path, listener: Any
) -> None:
    content = finetune()
    assert list(content["seeds"]) == ["3", "1", "2"]  # in the recipe's order
    assert "error[R02]" in refusal(RunError, finetune)
    assert finetune(resume=True, progress=listener) == json.loads(json.dumps(content))
    assert listener.notes == [f"{tmp_path / 'run'} is already finished"]


@pytest.mark.parametrize(
    ("number", "kind", "code"), [(signal.SIGTERM, Stopped, 75), (signal.SIGINT, Interrupted, 130)]
)
def test_a_stopped_run_goes_on_with_the_seed_it_was_at(
    finetune: Callable[..., Any],
    tmp_path: Path,
    listener: Any,
    number: signal.Signals,
    kind: type[Stopped],
    code: int,
) -> None:
    """Stopped at the second step of the second seed: the first is kept, the second resumed, the end is the same."""
    whole = finetune(out=tmp_path / "whole")
    with stopped_at(2, 2, number), pytest.raises(kind) as caught:
        finetune()
    assert (type(caught.value), caught.value.exit_code) == (kind, code)
    run = tmp_path / "run"
    (line,) = caught.value.lines()
    assert re.fullmatch(r"seed 1 stopped by (a signal|Ctrl-C) at step 2 of 3, saved; resume with: .*", line)
    about = json.loads(Run(run).stopped.read_text())
    assert about["seed"] == 1
    assert "train.seeds" in about["resume"]
    assert line.endswith(about["resume"])
    assert about["resume"].endswith(f" --out {run} --resume")
    assert [seed for seed, own in Run(run).seeds.items() if own.finished] == [3]
    assert not Run(run).finished
    before = (run / "seed-3" / "report.json").read_bytes()
    content = finetune(resume=True, progress=listener)
    assert f"{run / 'seed-3'} is already finished" in listener.notes
    assert f"resumed {run / 'seed-1'} at step 2 of 3" in listener.notes
    assert (run / "seed-3" / "report.json").read_bytes() == before
    for key in ("scores", "seeds", "spread", "kept_seed", "weights_sha256"):
        assert content[key] == whole[key], key


def test_seeds_that_are_finished_are_of_the_same_rows_and_recipe(
    finetune: Callable[..., Any], reviews_jsonl: Path, tmp_path: Path, listener: Any
) -> None:
    """Else the mean would be over different things."""
    data = tmp_path / "reviews.jsonl"
    data.write_bytes(reviews_jsonl.read_bytes())
    run = tmp_path / "run"
    whole = finetune(f"data.train={data}")
    shutil.rmtree(run / "seed-2")
    (run / "report.json").unlink()
    data.write_text("".join(reviews_jsonl.read_text().splitlines(keepends=True)[1:]))
    again = {"resume": True, "progress": listener}
    line = refusal(RunError, lambda: finetune(f"data.train={data}", **again))
    assert line.startswith(
        f"error[M09] {run / 'seed-3'}: the data is not the data that this run was trained on"
    )
    data.write_bytes(reviews_jsonl.read_bytes())
    recipe = run / "seed-1" / "recipe.yaml"
    kept = recipe.read_text()
    recipe.write_text(kept.replace("batch_size: 8", "batch_size: 4"))
    line = refusal(RunError, lambda: finetune(f"data.train={data}", **again))
    assert line.startswith(
        f"error[M09] {run / 'seed-1'}: was started with another recipe; train.batch_size differ"
    )
    recipe.write_text(kept)
    assert finetune(f"data.train={data}", **again)["scores"] == whole["scores"]


def test_only_the_last_report_was_missing(
    finetune: Callable[..., Any], tmp_path: Path, listener: Any
) -> None:
    """Killed between the last seed and the report: nothing is trained again."""
    content = finetune()
    (tmp_path / "run" / "report.json").unlink()
    shutil.rmtree(tmp_path / "run" / "model")
    again = finetune(resume=True, progress=listener)
    assert not any(note.startswith("loading") for note in listener.notes)
    assert again["scores"] == content["scores"]
    assert files.verify_folder(tmp_path / "run" / "model") is None


# The small decisions


def curves(values: dict[int, float]) -> dict[int, dict[str, Any]]:
    """Reports with these validation losses at their best step, and better ones before it at another."""
    return {
        seed: {
            "curves": {
                "best_step": 8,
                "evaluations": [{"step": 4, "loss": -1, "f1": 2}, {"step": 8, "loss": v, "f1": v}],
            }
        }
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
        ("f1", {5: 0.4, 2: 0.4}, 5),  # the first of equals
    ],
)
def test_the_best_seed_goes_by_the_direction_of_its_score(
    recipe_of: Callable[..., Any], best: str, values: dict[int, float], kept: int
) -> None:
    from llmkit import tasks

    recipe = recipe_of(f"evaluate.best={best}")
    prepared: Any = FakePrepared(recipe, tasks.load(recipe.task))
    assert _best(prepared, curves(values)) == (
        kept,
        f"which had the best validation score ({best} {values[kept]:.4f})",
    )


def test_without_validation_rows_the_first_seed_is_kept(finetune: Callable[..., Any], listener: Any) -> None:
    content = finetune("data.validation_share=0", progress=listener)
    assert content["kept_seed"] == 3
    assert any(
        "seed 3, the first seed, because there is no validation set" in note for note in listener.notes
    )


def comparison(low: float | None, high: float | None, higher: bool = True) -> dict[str, Any]:
    difference = {"low": low, "high": high, "higher_is_better": higher}
    return {"called": "TF-IDF with logistic regression", "difference": difference}


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
def test_how_many_seeds_beat_a_baseline(items: list[Any], sentence: str) -> None:
    assert _beaten([comparison(*item) for item in items]) == sentence


def test_of_an_error_less_is_better() -> None:
    assert "with all 2 seeds" in _beaten([comparison(-0.2, -0.1, higher=False)] * 2)


def test_the_interval_keeps_to_what_a_score_can_be() -> None:
    assert _limits("f1", [0.9, 1.0], lower=False) == (0.0, 1.0)
    assert _limits("mcc", [0.9, 0.0], lower=False) == (-1.0, 1.0)
    assert _limits("bleu", [30.2, 0.5], lower=False) == (0.0, math.inf)
    assert _limits("loss", [0.9, 0.2], lower=True) == (0.0, math.inf)
