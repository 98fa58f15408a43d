"""`llmkit evaluate RUN_OR_MODEL`: tables and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.base.run import Run


def test_run_has_the_scores_of_its_report(command: Callable[..., Any], finished: Path) -> None:
    outcome = command("evaluate", finished, "--json")
    assert outcome.code == 0
    assert outcome.json["run"] == str(finished)
    assert outcome.json["scores"] == Run(finished).read_report()["scores"]


def test_table_has_one_row_per_score_with_its_method(command: Callable[..., Any], finished: Path) -> None:
    outcome = command("evaluate", finished)
    title, header, *rows = outcome.out.splitlines()
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


def test_columns_of_new_data_can_be_named(
    command: Callable[..., Any], finished: Path, tmp_path: Path, make_reviews: Callable[..., Any]
) -> None:
    data = tmp_path / "new.jsonl"
    rows = [{"sentence": row["text"], "label": row["label"]} for row in make_reviews(20, 9)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    outcome = command("evaluate", finished, "--data", data, "--column", "text=sentence", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["scores"]["accuracy"]["n"] == 20
    assert outcome.json["data"] == str(data)


def test_many_unknown_tokens_give_a_warning(
    command: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    data = tmp_path / "foreign.jsonl"
    rows = [{"text": f"ganz anders {n}", "label": label} for n, label in enumerate(["positive", "negative"])]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    outcome = command("evaluate", finished, "--data", data)
    assert "warning: " in outcome.out
    assert "of the tokens are not in the model's vocabulary" in outcome.out


def test_int8_reports_the_change_of_each_score(command: Callable[..., Any], finished: Path) -> None:
    outcome = command("evaluate", finished, "--int8")
    assert re.search(r"^accuracy with int8 minus float32 weights: [+-]\d\.\d{3}", outcome.out, re.MULTILINE)
    result = json.loads(command("predict", finished, "a good film", "--int8", "--json").out)
    assert len(result["predictions"]) == 1


def test_usage_errors_are_one_line(command: Callable[..., Any], finished: Path) -> None:
    for arguments, start in [
        (
            ["--metric", "acuracy"],
            'error[E01] --metric: "acuracy" is not a metric of this task; did you mean "accuracy"?',
        ),
        (["--column", "sentence"], "error[U01] --column sentence: has no ="),
        (["--data", "nowhere.jsonl"], "error[F01] nowhere.jsonl: no such file"),
    ]:
        outcome = command("evaluate", finished, *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.splitlines()[-1].startswith(start)


def test_unfinished_run_is_an_error(command: Callable[..., Any], unfinished: Path) -> None:
    outcome = command("evaluate", unfinished)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error[R05] {unfinished}: ")


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_several_data_sets_are_shown_with_their_drops(
    command: Callable[..., Any], finished: Path, tmp_path: Path, make_reviews: Callable[..., Any]
) -> None:
    rows = make_reviews(40, 11)
    swapped = {"negative": "positive", "positive": "negative"}
    mislabelled = [{**row, "label": swapped[row["label"]]} for row in rows]
    foreign = [{"text": f"ganz anders {n}", "label": row["label"]} for n, row in enumerate(rows)]
    data = [
        write_jsonl(tmp_path / "like.jsonl", rows),
        write_jsonl(tmp_path / "wrong.jsonl", mislabelled),
        write_jsonl(tmp_path / "foreign.jsonl", foreign),
    ]
    options = [word for path in data for word in ("--data", path)]
    outcome = command("evaluate", finished, *options, "--metric", "accuracy", "--metric", "loss")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "scores, 95% intervals"
    assert lines[1].split() == ["corpus", "n", "accuracy", "loss"]
    assert lines[2].split()[:4] == ["in-domain", "(test)", "16", "1.000"]
    assert [line.split()[:2] for line in lines[3:6]] == [[str(path), "40"] for path in data]
    assert lines[6:8] == ["", "worse than the in-domain test set by (negative: better), 95% intervals"]
    assert " ".join(lines[8].split()) == "corpus accuracy lower by loss higher by"
    result = command(
        "evaluate", finished, *options, "--metric", "accuracy", "--metric", "loss", "--json"
    ).json
    for line, path in zip(lines[9:12], data, strict=True):
        drop = result["corpora"][str(path)]["drop"]
        accuracy, loss = drop["accuracy"], drop["loss"]
        assert " ".join(line.split()) == (
            f"{path} {accuracy['value']:+.3f} [{accuracy['low']:+.3f}, {accuracy['high']:+.3f}] "
            f"{-loss['value']:+.3f} [{-loss['high']:+.3f}, {-loss['low']:+.3f}]"
        )
    assert re.search(
        rf"warning: {data[2]}: \d\d\.\d% of the tokens are not in the model's vocabulary", lines[12]
    )
    assert lines[13:] == result["verdict"]
    assert lines[13].startswith(f"On {data[1]}, accuracy is lower than on the in-domain test set by ")


def test_model_folder_has_no_drops(
    command: Callable[..., Any], finished: Path, tmp_path: Path, make_reviews: Callable[..., Any]
) -> None:
    data = [write_jsonl(tmp_path / f"{n}.jsonl", make_reviews(20, n)) for n in (8, 9)]
    outcome = command("evaluate", finished / "model", "--data", data[0], "--data", data[1])
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 4
    assert "in-domain" not in outcome.out


def test_label_errors_of_all_data_sets_are_reported(
    command: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    rows = [{"text": "a film", "label": label} for label in ("good", "bad")]
    data = [write_jsonl(tmp_path / f"{n}.jsonl", rows) for n in (8, 9)]
    outcome = command("evaluate", finished, "--data", data[0], "--data", data[1])
    assert (outcome.code, outcome.out) == (2, "")
    assert [line.split(": ")[0] for line in outcome.err.splitlines()[-2:]] == [
        f"error[L05] {p}" for p in data
    ]


def test_slices_have_a_separate_table(
    command: Callable[..., Any], finished: Path, tmp_path: Path, make_reviews: Callable[..., Any]
) -> None:
    data = tmp_path / "new.jsonl"
    rows = [{**row, "domain": "ab"[n % 2]} for n, row in enumerate(make_reviews(40, 9))]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ("evaluate", finished, "--data", data, "--slice", "domain", "--slice", "length")
    outcome = command(*arguments)
    assert "slices, worst first" in outcome.out
    header = next(line for line in outcome.out.splitlines() if line.startswith("slice "))
    assert re.split(r"\s{2,}", header.strip()) == [
        "slice", "n", "score", "value [95%]", "minus others", "p (Holm)",
    ]  # fmt: skip
    assert re.search(r"^domain: a +20 +accuracy +[\d.]+ \[[\d.]+, [\d.]+\] +[-+][\d.]+ \[", outcome.out, re.M)
    slices = command(*arguments, "--json").json["slices"]["slices"]
    assert {item["grouping"] for item in slices} >= {"domain", "length"}


def test_run_programs_needs_a_code_model(command: Callable[..., Any], finished: Path) -> None:
    outcome = command("evaluate", finished, "--run-programs")
    assert outcome.code == 2
    assert outcome.err.startswith(
        "error[U01] --run-programs: this is a model of classification, which writes no"
    )
