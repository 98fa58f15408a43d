"""`llmkit pretrain`: the same as finetune, for the recipes of running text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.samples import rows, write


def test_a_recipe_of_the_other_command_is_named_with_its_own(command: Callable[..., Any]) -> None:
    done = command("finetune", "clm-continue", "data.train=a.txt")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        'error[C17] "clm-continue" is no recipe of `llmkit finetune`. Fix: run it as `llmkit pretrain clm-continue`\n'
    )
    done = command("pretrain", "sentiment")
    assert "run it as `llmkit finetune sentiment`" in done.err


def test_it_runs_and_says_how_to_repeat_it(
    command: Callable[..., Any], tiny_gpt: Path, tmp_path: Path
) -> None:
    write(tmp_path / "rows.jsonl", rows("clm", 60))
    settings = [f"model.name={tiny_gpt}", f"data.train={tmp_path}/rows.jsonl", "train.max_length=32"]
    settings += ["train.epochs=null", "train.max_steps=2", "evaluate.resamples=100"]
    done = command("pretrain", "clm-continue", *settings, "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    assert done.json["command"].startswith("llmkit pretrain clm-continue model.name=")
    assert set(done.json["baselines"]) == {"untuned"}
    assert "the base model before fine-tuning" in done.json["verdict"][0]
    samples = done.json["samples"]
    assert len(samples) == 3
    assert all(one["beginning"] and one["text"] for one in samples)
    shown = command("runs", "show", tmp_path / "run").out
    assert f"sample: {samples[0]['beginning']}|{samples[0]['text']}" in shown
    assert "What it writes" in (tmp_path / "run" / "report.md").read_text()
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["perplexity", "model", "untuned"]
    best, probability, text, choices = (
        command("predict", tmp_path / "run", "good good").out.rstrip().split("\t")
    )
    assert text == "good good"
    assert choices.startswith(f"{best} {float(probability):.2f}, ")
    assert choices.count(", ") == 4


def test_a_plan_of_running_text_names_no_labels(
    command: Callable[..., Any], tiny_gpt: Path, tmp_path: Path
) -> None:
    write(tmp_path / "rows.jsonl", rows("clm", 60))
    settings = [f"model.name={tiny_gpt}", f"data.train={tmp_path}/rows.jsonl", "train.max_length=32"]
    done = command("pretrain", "clm-continue", *settings, "--dry-run")
    assert done.code == 0, done.err
    assert "labels" not in done.out
