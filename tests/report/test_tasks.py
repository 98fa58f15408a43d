"""The report of every task: its words and columns, on both pages."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from llmkit import tasks
from llmkit.metrics.paired import Difference
from llmkit.metrics.score import Score
from llmkit.report import page, plots
from llmkit.report.format import better, phrase, words
from llmkit.report.page import list_sections
from llmkit.report.report import BaselineComparison, Data, Details, Report, Scatter, SplitCounts
from llmkit.report.tables import Section, Table
from tests.report.made_reports import MADE, make_report

KINDS = {
    "multi_label": "label",
    "relation_extraction": "relation",
    "token_classification": "entity type",
}
COLUMNS = {
    "chat": ["Text", "Reference answer", "Generated answer", "Probability", "Place"],
    "classification": ["Text", "Label", "Prediction", "Probability", "Place"],
    "code": ["Text", "Reference program", "Generated program", "Probability", "Outcome", "Place"],
    "clm": ["Text", "Mean token probability", "Place"],
    "dpo": ["Text", "Chosen answer", "Rejected answer", "Probability of the rejected answer", "Place"],
    "mlm": ["Text", "Mean probability of a masked token", "Place"],
    "extractive_qa": ["Question", "Reference answers", "Predicted answer", "Probability", "Place"],
    "multi_label": ["Text", "Label", "Prediction", "Probability", "Place"],
    "pair_classification": ["Text", "Second text", "Label", "Prediction", "Probability", "Place"],
    "pair_regression": ["Text", "Second text", "Reference", "Prediction", "Place"],
    "regression": ["Text", "Reference", "Prediction", "Place"],
    "relation_extraction": ["Text", "Label", "Prediction", "Probability", "Place"],
    "summarization": ["Text", "Reference summary", "Generated summary", "Probability", "Place"],
    "token_classification": ["Text", "Reference entities", "Predicted entities", "Place"],
    "translation": ["Text", "Reference translation", "Generated translation", "Probability", "Place"],
}


def _section(report: Report, key: str) -> Section:
    return next(section for section in list_sections(report) if section.key == key)


def _texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_every_task_has_a_report() -> None:
    assert sorted(MADE) == sorted(COLUMNS) == tasks.names()


@pytest.mark.parametrize("task", tasks.names())
def test_both_pages_show_every_section_completely(task: str, tmp_path: Path) -> None:
    report = make_report(task)
    page.write(tmp_path, report)
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for section in list_sections(report):
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
def test_errors_have_the_columns_of_the_task(task: str) -> None:
    table = _section(make_report(task), "errors").tables[0]
    assert list(table.head) == COLUMNS[task]
    numbers = {name for name in table.head if "robability" in name} | {"Reference"}
    numbers |= {"Prediction"} if task.endswith("regression") else set()
    for row in table.rows:
        assert len(row) == len(table.head)
        for name, cell in zip(table.head, row, strict=True):
            assert cell.numeric == (name in numbers), name
            assert len(cell.text) < 10 or not cell.numeric


def test_numbers_of_errors_have_three_decimals() -> None:
    error = {"text": "a", "score": 3.799999952316284, "prediction": 0.30543077, "place": "a.jsonl:1"}
    table = _section(Report(errors=[error]), "errors").tables[0]
    assert _texts(table) == [["a", "3.800", "0.305", "a.jsonl:1"]]


def test_cells_of_sentences_are_wide_and_cells_of_places_may_break() -> None:
    row = _section(make_report("token_classification"), "errors").tables[0].rows[0]
    assert [(cell.wide, cell.path) for cell in row] == [(True, False)] * 3 + [(False, True)]


@pytest.mark.parametrize("task", tasks.names())
def test_titles_name_what_the_task_predicts(task: str) -> None:
    report = make_report(task)
    titles = {section.key: section.title for section in list_sections(report)}
    kind = KINDS.get(task, "class")
    if report.details.per_class is not None:
        assert titles["classes"] == f"Scores by {kind}"
        table = _section(report, "classes").tables[0]
        assert table.head[0] == words(kind)
        assert table.caption == f"Scores of each {kind} on the test set"
    else:
        assert "classes" not in titles
    captions = [table.caption for section in list_sections(report) for table in section.tables]
    if kind != "class" or task in ("clm", "extractive_qa", "mlm", "regression", "pair_regression"):
        assert not any("class" in text.lower() for text in [*titles.values(), *captions])


def test_classes_are_counted_in_the_words_of_the_task() -> None:
    captions = {
        task: [table.caption for table in _section(make_report(task), "data").tables] for task in MADE
    }
    assert captions["classification"] == ["Splits", "Examples by class"]
    assert captions["multi_label"] == ["Splits", "Examples by label"]
    assert captions["token_classification"] == ["Splits", "Entities by type"]
    assert captions["extractive_qa"] == ["Splits", "Questions with and without an answer"]
    assert captions["regression"] == ["Splits"]


def test_answerable_questions_alone_have_no_table() -> None:
    answerable = Data({"test": SplitCounts(24, {"answerable": 24})})
    report = replace(make_report("extractive_qa"), data=answerable)
    assert [table.caption for table in _section(report, "data").tables] == ["Splits"]


def test_the_threshold_of_a_label_is_shown_beside_its_scores() -> None:
    section = _section(make_report("multi_label"), "classes")
    table = section.tables[0]
    column = list(table.head).index("Threshold")
    assert [(row[0], row[column]) for row in _texts(table)] == [
        ("体育", "0.375"),
        ("news", "0.500"),
        ("never", "0.625"),
    ]
    assert "PR-AUC" in table.head
    assert section.lines == [
        "A label is predicted when its probability reaches its threshold, which gave the best F1 of this label on "
        "the validation set. Labels with fewer than 5 examples there share the threshold that is best for all."
    ]
    assert "thresholds" not in [section.key for section in list_sections(make_report("multi_label"))]


def test_the_no_answer_threshold_is_described() -> None:
    (line,) = _section(make_report("extractive_qa"), "thresholds").lines
    assert "by more than -1.250 (in logits)" in line


def test_labels_without_thresholds_have_no_column_for_them() -> None:
    report = make_report("multi_label")
    section = _section(replace(report, details=replace(report.details, thresholds=None)), "classes")
    assert "Threshold" not in section.tables[0].head
    assert section.lines == []


def test_many_labels_are_folded() -> None:
    report = make_report("multi_label")
    assert report.details.per_class is not None
    per_class = {f"label {number}": report.details.per_class["news"] for number in range(31)}
    many = replace(report, details=replace(report.details, per_class=per_class))
    assert not _section(report, "classes").tables[0].folded
    assert _section(many, "classes").tables[0].folded


def test_predicted_numbers_are_shown_by_range_of_references() -> None:
    references, predicted = [0.0, 1.0, 2.0, 4.0, 5.0, 5.0], [0.5, 1.0, 1.0, 2.0, 5.0, 3.0]
    section = _section(Report(details=Details(scatter=Scatter(references, predicted))), "scatter")
    assert section.plots == ["scatter"]
    assert _texts(section.tables[0]) == [
        ["0.000 to 1.000", "1", "0.500", "0.500"],
        ["1.000 to 2.000", "1", "1.000", "0.000"],
        ["2.000 to 3.000", "1", "1.000", "1.000"],
        ["3.000 to 4.000", "0", "–", "–"],
        ["4.000 to 5.000", "3", "3.333", "1.333"],
    ]


def test_equal_references_make_one_range_and_omitted_points_are_mentioned() -> None:
    report = Report(scores={"mse": SCORE}, details=Details(scatter=Scatter([2.0, 2.0], [1.0, 4.0])))
    section = _section(report, "scatter")
    assert _texts(section.tables[0]) == [["2.000 to 2.000", "2", "2.500", "1.500"]]
    assert section.lines == ["The first 2 of 3 examples are shown."]
    assert "scatter" in plots.draw(report)


SCORE = Score(3.5, 3.0, 4.0, 3, "bootstrap")


def test_scores_where_lower_is_better_are_marked_everywhere(tmp_path: Path) -> None:
    difference = Difference("mse", 3.5, 3.0, 4.0, 3, 0.95, 0.5, "", higher_is_better=False)
    comparison = BaselineComparison("mean", "the mean", "mse", difference, "")
    page.write(tmp_path, replace(make_report("regression"), comparisons=[comparison]))
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert re.search(r"^- \*\*MSE [\d.]+\*\* \(lower is better\)", markdown, re.MULTILINE)
    assert re.search(r"^\| MSE \(lower is better\) \| [\d.]+ \|", markdown, re.MULTILINE)  # all scores
    assert "\nMSE (lower is better):\n" in markdown  # against the baselines
    assert "| Mean score | MSE (lower is better) | 3.500 |" in markdown  # the difference
    assert "Scores on the validation set; lower is better for loss, MSE, MAE" in markdown
    assert "| Pearson correlation |" in markdown
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<dt>MSE <small>lower is better</small></dt>" in html
    assert "<dt>Pearson correlation</dt>" in html
    svg = (tmp_path / "plots" / "metrics.svg").read_text(encoding="utf-8")
    assert "MSE (lower is better)" in svg
    assert 'id="metrics-axes_2"' in svg  # a separate panel, even for values below 1


@pytest.mark.parametrize("task", tasks.names())
def test_every_metric_has_words_and_a_direction(task: str) -> None:
    made = MADE[task]()
    spec = tasks.load({"name": task, **made.options}).spec
    for name in {"loss", *spec.metrics, *make_report(task).scores}:
        assert bool(better(name)) == (name in spec.lower_is_better), name
        for text in (words(name), phrase(name)):
            assert not re.search(r"_|\bf1\b|\bpr\b|\bmse\b|\bmae\b|semeval2010", text), text


def test_the_evaluated_split_is_named() -> None:
    report = replace(make_report("classification"), split="validation")
    assert _section(report, "scores").tables[0].caption == "All scores on the validation set"
