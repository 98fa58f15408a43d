"""`llmkit evaluate`: the table and the JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.run import Run


def test_a_run_scores_as_it_did_when_it_ended(command: Callable[..., Any], finished: Path) -> None:
    done = command("evaluate", finished, "--json")
    assert done.code == 0
    assert done.json["run"] == str(finished)
    assert done.json["scores"] == Run(finished).read_report()["scores"]


def test_the_table_has_one_line_a_score_with_its_method(command: Callable[..., Any], finished: Path) -> None:
    done = command("evaluate", finished)
    title, header, *rows = done.out.splitlines()
    assert title == "test: 16 examples"
    assert header.split() == ["score", "value", "[95%]", "method"]
    assert [row.split()[0] for row in rows[:3]] == ["accuracy", "f1", "mcc"]
    assert len(rows) == len(Run(finished).read_report()["scores"])
    starts = {
        row.index(method)
        for row in rows
        for method in ("Wilson", "BCa boot", "percentile boot")
        if method in row
    }
    assert starts == {header.index("method")}  # aligned left


def test_chosen_metrics_come_first(command: Callable[..., Any], finished: Path) -> None:
    rows = command("evaluate", finished, "--metric", "recall", "--metric", "loss").out.splitlines()[2:]
    assert [row.split()[0] for row in rows[:3]] == ["recall", "loss", "accuracy"]


def test_new_data_may_name_its_columns_otherwise(
    command: Callable[..., Any], finished: Path, tmp_path: Path, make_reviews: Callable[..., Any]
) -> None:
    data = tmp_path / "new.jsonl"
    rows = [{"sentence": row["text"], "label": row["label"]} for row in make_reviews(20, 9)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = command("evaluate", finished, "--data", data, "--column", "text=sentence", "--json")
    assert done.code == 0, done.err
    assert done.json["scores"]["accuracy"]["n"] == 20
    assert done.json["data"] == str(data)


def test_texts_of_unknown_words_are_warned_about(
    command: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    data = tmp_path / "foreign.jsonl"
    rows = [{"text": f"ganz anders {n}", "label": label} for n, label in enumerate(["positive", "negative"])]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = command("evaluate", finished, "--data", data)
    assert "warning: " in done.out
    assert "of the tokens are unknown" in done.out


def test_wrong_requests_are_one_line_each(command: Callable[..., Any], finished: Path) -> None:
    for arguments, start in [
        (
            ["--metric", "acuracy"],
            'error[E01] --metric: "acuracy" is no score of this task; did you mean "accuracy"?',
        ),
        (["--column", "sentence"], "error[U01] --column sentence: has no ="),
        (["--data", "nowhere.jsonl"], "error[F01] nowhere.jsonl: no such file"),
    ]:
        done = command("evaluate", finished, *arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines()[-1].startswith(start)


def test_an_unfinished_run_has_nothing_to_score(command: Callable[..., Any], unfinished: Path) -> None:
    done = command("evaluate", unfinished)
    assert done.code == 2
    assert done.err.startswith(f"error[R05] {unfinished}: ")
