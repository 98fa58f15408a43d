"""The report of every task: its own words, its own columns, on both pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from llmkit import tasks
from llmkit.report import page, plots
from llmkit.report.content import sections
from llmkit.report.format import better, phrase, words
from llmkit.report.tables import Section, Table
from tests.report.made import CONTENTS, content, wording_of

KINDS = {
    "multi_label": "label",
    "relation_extraction": "relation",
    "token_classification": "entity type",
}
COLUMNS = {
    "chat": ["Text", "Answer in the data", "Generated answer", "Probability", "Place"],
    "classification": ["Text", "Label", "Prediction", "Probability", "Place"],
    "code": ["Text", "Solution in the data", "Generated program", "Probability", "Outcome", "Place"],
    "clm": ["Text", "Mean probability of a token", "Place"],
    "dpo": ["Text", "Chosen answer", "Rejected answer", "Probability of the rejected", "Place"],
    "mlm": ["Text", "Mean probability of a masked token", "Place"],
    "extractive_qa": ["Question", "Right answers", "Answer", "Probability", "Place"],
    "multi_label": ["Text", "Label", "Prediction", "Probability", "Place"],
    "pair_classification": ["Text", "Second text", "Label", "Prediction", "Probability", "Place"],
    "pair_regression": ["Text", "Second text", "Score in the data", "Prediction", "Place"],
    "regression": ["Text", "Score in the data", "Prediction", "Place"],
    "relation_extraction": ["Text", "Label", "Prediction", "Probability", "Place"],
    "summarization": ["Text", "Summary in the data", "Generated summary", "Probability", "Place"],
    "token_classification": ["Text", "Entities in the data", "Predicted entities", "Place"],
    "translation": ["Text", "Translation in the data", "Generated translation", "Probability", "Place"],
}


def _sections(found: dict[str, Any]) -> list[Section]:
    return sections(found, wording_of(found["task"])) if "task" in found else sections(found)


def _section(found: dict[str, Any], key: str) -> Section:
    return next(section for section in _sections(found) if section.key == key)


def _texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_every_task_is_here() -> None:
    assert sorted(CONTENTS) == sorted(COLUMNS) == tasks.names()


@pytest.mark.parametrize("task", tasks.names())
def test_both_pages_hold_every_section_whole(task: str, tmp_path: Path) -> None:
    found = content(task)
    page.write(tmp_path, found, wording_of(task))
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for section in _sections(found):
        assert f"## {section.title}\n" in markdown
        assert f">{section.title}</h2>" in html
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert all(
        len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1 for block in blocks
    )
    assert not re.search(r"\b(None|nan|inf)\b", markdown)
    shown = {path.stem for path in (tmp_path / "plots").iterdir()}
    assert set(re.findall(r"plots/(\w+)\.svg", markdown)) == shown >= {"loss", "metrics", "lengths"}


@pytest.mark.parametrize("task", tasks.names())
def test_the_mistakes_have_the_columns_of_the_task(task: str) -> None:
    table = _section(content(task), "errors").tables[0]
    assert list(table.head) == COLUMNS[task]
    numbers = {name for name in table.head if "robability" in name} | {"Score in the data"}
    numbers |= {"Prediction"} if task.endswith("regression") else set()
    for row in table.rows:
        assert len(row) == len(table.head)
        for name, cell in zip(table.head, row, strict=True):
            assert cell.numeric == (name in numbers), name
            assert len(cell.text) < 10 or not cell.numeric


def test_numbers_of_mistakes_keep_three_decimals() -> None:
    error = {"text": "a", "score": 3.799999952316284, "prediction": 0.30543077, "place": "a.jsonl:1"}
    table = _section({"task": "regression", "errors": [error]}, "errors").tables[0]
    assert _texts(table) == [["a", "3.800", "0.305", "a.jsonl:1"]]


def test_sentences_are_wide_and_places_may_break() -> None:
    row = _section(content("token_classification"), "errors").tables[0].rows[0]
    assert [(cell.wide, cell.path) for cell in row] == [(True, False)] * 3 + [(False, True)]


@pytest.mark.parametrize("task", tasks.names())
def test_what_the_answers_are_made_of_has_its_name(task: str) -> None:
    found = content(task)
    titles = {section.key: section.title for section in _sections(found)}
    kind = KINDS.get(task, "class")
    if "per_class" in found:
        assert titles["classes"] == f"Each {kind}"
        table = _section(found, "classes").tables[0]
        assert table.head[0] == words(kind)
        assert table.caption == f"Scores of each {kind}"
    else:
        assert "classes" not in titles
    captions = [table.caption for section in _sections(found) for table in section.tables]
    if kind != "class" or task in ("clm", "extractive_qa", "mlm", "regression", "pair_regression"):
        assert not any("class" in text.lower() for text in [*titles.values(), *captions])


def test_the_data_of_each_task_are_counted_in_its_own_words() -> None:
    captions = {
        task: [table.caption for table in _section(content(task), "data").tables] for task in CONTENTS
    }
    assert captions["classification"] == ["Parts", "Rows of each class"]
    assert captions["multi_label"] == ["Parts", "Rows of each label"]
    assert captions["token_classification"] == ["Parts", "Entities of each type"]
    assert captions["extractive_qa"] == ["Parts", "Questions with and without an answer"]
    assert captions["regression"] == ["Parts"]


def test_questions_that_all_have_an_answer_need_no_table() -> None:
    found = content("extractive_qa")
    found["data"]["parts"]["test"]["classes"] = {"answerable": 24}
    assert [table.caption for table in _section(found, "data").tables] == ["Parts"]


def test_the_threshold_of_a_label_stands_beside_its_scores() -> None:
    section = _section(content("multi_label"), "classes")
    table = section.tables[0]
    column = list(table.head).index("Threshold")
    assert [(row[0], row[column]) for row in _texts(table)] == [
        ("体育", "0.375"),
        ("news", "0.500"),
        ("never", "0.625"),
    ]
    assert "PR-AUC" in table.head
    assert section.lines == [
        "A label is given where its probability reaches its threshold, which gave the best F1 of this label on "
        "the validation rows; each label with fewer than 5 rows there has the one that is best for all."
    ]
    assert "thresholds" not in [section.key for section in _sections(content("multi_label"))]


def test_the_threshold_of_no_answer_is_said_in_a_sentence() -> None:
    (line,) = _section(content("extractive_qa"), "thresholds").lines
    assert "by more than -1.250 (in logits)" in line


def test_labels_without_thresholds_say_nothing_of_them() -> None:
    found = content("multi_label")
    del found["thresholds"]
    section = _section(found, "classes")
    assert "Threshold" not in section.tables[0].head
    assert section.lines == []


def test_many_labels_are_folded() -> None:
    found = content("multi_label")
    one = found["per_class"]["news"]
    assert not _section(found, "classes").tables[0].folded
    found["per_class"] = {f"label {number}": one for number in range(31)}
    assert _section(found, "classes").tables[0].folded


def test_predictions_of_numbers_stand_against_the_data() -> None:
    gold, predicted = [0.0, 1.0, 2.0, 4.0, 5.0, 5.0], [0.5, 1.0, 1.0, 2.0, 5.0, 3.0]
    section = _section({"scatter": {"gold": gold, "predicted": predicted}}, "scatter")
    assert section.plots == ["scatter"]
    assert _texts(section.tables[0]) == [
        ["0.000 to 1.000", "1", "0.500", "0.500"],
        ["1.000 to 2.000", "1", "1.000", "0.000"],
        ["2.000 to 3.000", "1", "1.000", "1.000"],
        ["3.000 to 4.000", "0", "–", "–"],
        ["4.000 to 5.000", "3", "3.333", "1.333"],
    ]


def test_equal_scores_make_one_range_and_missing_points_are_told() -> None:
    found = {"scatter": {"gold": [2.0, 2.0], "predicted": [1.0, 4.0]}, "scores": {"mse": {**SCORE, "n": 3}}}
    section = _section(found, "scatter")
    assert _texts(section.tables[0]) == [["2.000 to 2.000", "2", "2.500", "1.500"]]
    assert section.lines == ["Of the first 2 of 3 rows."]
    assert "scatter" in plots.draw(found)


SCORE = {"value": 3.5, "low": 3.0, "high": 4.0, "n": 2, "method": "bootstrap"}


def test_scores_of_which_less_is_better_say_so_wherever_they_stand(tmp_path: Path) -> None:
    found = content("regression")
    found["comparisons"] = [{"baseline": "mean", "metric": "mse", "difference": {**SCORE, "p_value": 0.5}}]
    page.write(tmp_path, found)
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert re.search(r"^- \*\*MSE [\d.]+\*\* \(lower is better\)", markdown, re.MULTILINE)
    assert re.search(r"^\| MSE \(lower is better\) \| [\d.]+ \|", markdown, re.MULTILINE)  # all scores
    assert "\nMSE (lower is better):\n" in markdown  # against the baselines
    assert "| Mean | MSE (lower is better) | 3.500 |" in markdown  # the difference
    assert "Scores on the validation rows; lower is better for loss, MSE, MAE" in markdown
    assert "| Pearson correlation |" in markdown
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<dt>MSE <small>lower is better</small></dt>" in html
    assert "<dt>Pearson correlation</dt>" in html
    svg = (tmp_path / "plots" / "metrics.svg").read_text(encoding="utf-8")
    assert "MSE (lower is better)" in svg
    assert 'id="metrics-axes_2"' in svg  # what should fall has a panel of its own, also below 1


@pytest.mark.parametrize("task", tasks.names())
def test_the_words_know_every_metric_and_which_way_it_goes(task: str) -> None:
    made = CONTENTS[task]()
    own = tasks.load({"name": task, **made.options})
    for name in {"loss", *own.spec.metrics, *content(task)["scores"]}:
        assert bool(better(name)) == (name in own.spec.lower_is_better), name
        for text in (words(name), phrase(name)):
            assert not re.search(r"_|\bf1\b|\bpr\b|\bmse\b|\bmae\b|semeval2010", text), text


def test_the_rows_that_were_judged_are_named() -> None:
    found = content("classification") | {"part": "validation"}
    assert _section(found, "scores").tables[0].caption == "All scores on the validation rows"
