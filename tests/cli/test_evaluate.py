"""`llmkit evaluate`: the table and the JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.base.run import Run


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
    assert "of the tokens are not in the model's vocabulary" in done.out


def test_8_bits_are_scored_beside_32(command: Callable[..., Any], finished: Path) -> None:
    done = command("evaluate", finished, "--int8")
    assert re.search(r"^accuracy with int8 minus float32 weights: [+-]\d\.\d{3}", done.out, re.MULTILINE)
    found = json.loads(command("predict", finished, "a good film", "--int8", "--json").out)
    assert len(found["predictions"]) == 1


def test_wrong_requests_are_one_line_each(command: Callable[..., Any], finished: Path) -> None:
    for arguments, start in [
        (
            ["--metric", "acuracy"],
            'error[E01] --metric: "acuracy" is not a metric of this task; did you mean "accuracy"?',
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


def corpus(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_several_corpora_make_a_table_with_their_drops(
    command: Callable[..., Any], finished: Path, tmp_path: Path, make_reviews: Callable[..., Any]
) -> None:
    rows = make_reviews(40, 11)
    swapped = {"negative": "positive", "positive": "negative"}
    wrong = [{**row, "label": swapped[row["label"]]} for row in rows]
    foreign = [{"text": f"ganz anders {n}", "label": row["label"]} for n, row in enumerate(rows)]
    data = [
        corpus(tmp_path / "like.jsonl", rows),
        corpus(tmp_path / "wrong.jsonl", wrong),
        corpus(tmp_path / "foreign.jsonl", foreign),
    ]
    named = [part for path in data for part in ("--data", path)]
    done = command("evaluate", finished, *named, "--metric", "accuracy", "--metric", "loss")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "scores, 95% intervals"
    assert lines[1].split() == ["corpus", "n", "accuracy", "loss"]
    assert lines[2].split()[:4] == ["in-domain", "(test)", "16", "1.000"]
    assert [line.split()[:2] for line in lines[3:6]] == [[str(path), "40"] for path in data]
    assert lines[6:8] == ["", "worse than the in-domain test set by (negative: better), 95% intervals"]
    assert " ".join(lines[8].split()) == "corpus accuracy lower by loss higher by"
    result = command("evaluate", finished, *named, "--metric", "accuracy", "--metric", "loss", "--json").json
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


def test_a_model_folder_has_no_drops(
    command: Callable[..., Any], finished: Path, tmp_path: Path, make_reviews: Callable[..., Any]
) -> None:
    data = [corpus(tmp_path / f"{n}.jsonl", make_reviews(20, n)) for n in (8, 9)]
    done = command("evaluate", finished / "model", "--data", data[0], "--data", data[1])
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 4
    assert "home" not in done.out


def test_corpora_that_do_not_fit_are_told_together(
    command: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    rows = [{"text": "a film", "label": label} for label in ("good", "bad")]
    data = [corpus(tmp_path / f"{n}.jsonl", rows) for n in (8, 9)]
    done = command("evaluate", finished, "--data", data[0], "--data", data[1])
    assert (done.code, done.out) == (2, "")
    assert [line.split(": ")[0] for line in done.err.splitlines()[-2:]] == [f"error[L05] {p}" for p in data]


def test_slices_make_a_table_of_their_own(
    command: Callable[..., Any], finished: Path, tmp_path: Path, make_reviews: Callable[..., Any]
) -> None:
    data = tmp_path / "new.jsonl"
    rows = [{**row, "domain": "ab"[n % 2]} for n, row in enumerate(make_reviews(40, 9))]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = ("evaluate", finished, "--data", data, "--slice", "domain", "--slice", "length")
    done = command(*asked)
    assert "slices, worst first" in done.out
    header = next(line for line in done.out.splitlines() if line.startswith("slice "))
    assert re.split(r"\s{2,}", header.strip()) == [
        "slice", "n", "score", "value [95%]", "minus others", "p (Holm)",
    ]  # fmt: skip
    assert re.search(r"^domain: a +20 +accuracy +[\d.]+ \[[\d.]+, [\d.]+\] +[-+][\d.]+ \[", done.out, re.M)
    found = command(*asked, "--json").json["slices"]["slices"]
    assert {one["grouping"] for one in found} >= {"domain", "length"}


def test_only_a_model_that_writes_programs_has_some_to_run(
    command: Callable[..., Any], finished: Path
) -> None:
    done = command("evaluate", finished, "--run-programs")
    assert done.code == 2
    assert done.err.startswith(
        "error[U01] --run-programs: this is a model of classification, which writes no"
    )
