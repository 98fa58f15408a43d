"""Sections on scores: the comparison with baselines."""

from __future__ import annotations

from dataclasses import replace

from llmkit.report.report import Report
from llmkit.report.scores import baselines
from llmkit.report.tables import Section


def _baselines(report: Report) -> Section:
    section = baselines(report)
    assert section is not None
    return section


def test_each_headline_score_is_compared_with_the_baselines(report: Report) -> None:
    tables = _baselines(report).tables
    assert [table.caption for table in tables][:4] == ["Accuracy", "F1", "MCC", "Other scores"]
    assert [row[0].text for row in tables[0].rows] == ["This model", "TF-IDF", "Most frequent class"]


def test_systems_are_sorted_by_the_first_score_in_every_table(report: Report) -> None:
    untuned = {"accuracy": replace(report.scores["accuracy"], value=0.9)}
    comparison = replace(report.comparisons[0], baseline="untuned")
    section = _baselines(
        replace(
            report,
            baselines={**report.baselines, "untuned": untuned},
            comparisons=[*report.comparisons, comparison],
        )
    )
    first, *_, others, differences = section.tables
    order = ["Base model", "This model", "TF-IDF", "Most frequent class"]
    assert [row[0].text for row in first.rows] == order
    assert list(others.head[1:]) == order
    assert [row[0].text for row in differences.rows] == [name for name in order if name != "This model"]


def test_systems_are_sorted_in_ascending_order_where_lower_is_better(report: Report) -> None:
    loss = report.scores["loss"]
    by_name = {
        "majority": {"loss": replace(loss, value=0.1)},
        "tfidf": {"loss": replace(loss, value=0.7)},
        "lstm": {"accuracy": report.scores["accuracy"]},
    }
    first, others, *_ = _baselines(replace(report, headline=["loss"], baselines=by_name)).tables
    order = ["Most frequent class", "This model", "TF-IDF"]
    assert [row[0].text for row in first.rows] == order
    assert list(others.head[1:]) == [*order, "LSTM from scratch"]
