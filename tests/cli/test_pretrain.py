"""`llmkit pretrain`: like finetune, for recipes on plain text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.samples import rows, write


def test_recipe_of_the_other_command_is_an_error_that_names_it(command: Callable[..., Any]) -> None:
    outcome = command("finetune", "clm-continue", "data.train=a.txt")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        'error[C17] "clm-continue" is not a recipe of `llmkit finetune`. '
        "Fix: run it as `llmkit pretrain clm-continue`\n"
    )
    outcome = command("pretrain", "sentiment")
    assert "run it as `llmkit finetune sentiment`" in outcome.err


def test_pretrain_reports_samples_and_its_command(
    command: Callable[..., Any], tiny_gpt: Path, tmp_path: Path
) -> None:
    write(tmp_path / "rows.jsonl", rows("clm", 60))
    settings = [f"model.name={tiny_gpt}", f"data.train={tmp_path}/rows.jsonl", "train.max_length=32"]
    settings += ["train.epochs=null", "train.max_steps=2", "evaluate.resamples=100"]
    outcome = command("pretrain", "clm-continue", *settings, "--out", tmp_path / "run", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["command"].startswith("llmkit pretrain clm-continue model.name=")
    assert set(outcome.json["baselines"]) == {"untuned"}
    assert "the base model before fine-tuning" in outcome.json["verdict"][0]
    samples = outcome.json["samples"]
    assert len(samples) == 3
    assert all(sample["beginning"] and sample["text"] for sample in samples)
    shown = command("runs", "show", tmp_path / "run").out
    assert f"sample: {samples[0]['beginning']}|{samples[0]['text']}" in shown
    assert "## Samples" in (tmp_path / "run" / "report.md").read_text()
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["perplexity", "model", "untuned"]
    best, probability, text, choices = (
        command("predict", tmp_path / "run", "good good").out.rstrip().split("\t")
    )
    assert text == "good good"
    assert choices.startswith(f"{best} {float(probability):.2f}, ")
    assert choices.count(", ") == 4


def test_plan_for_plain_text_has_no_labels(
    command: Callable[..., Any], tiny_gpt: Path, tmp_path: Path
) -> None:
    write(tmp_path / "rows.jsonl", rows("clm", 60))
    settings = [f"model.name={tiny_gpt}", f"data.train={tmp_path}/rows.jsonl", "train.max_length=32"]
    outcome = command("pretrain", "clm-continue", *settings, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "labels" not in outcome.out
