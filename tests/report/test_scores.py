"""How good the model is: the scores that lead, and the ladder of baselines."""

from __future__ import annotations

from typing import Any

from llmkit.report.scores import baselines, headline


def test_without_a_headline_the_first_three_scores_lead(content: dict[str, Any]) -> None:
    assert list(headline(content)) == ["accuracy", "f1", "mcc"]
    assert list(headline(content | {"headline": []})) == ["accuracy", "precision", "recall"]


def test_each_leading_score_stands_beside_the_baselines(content: dict[str, Any]) -> None:
    tables = baselines(content).tables
    assert [table.caption for table in tables][:4] == ["Accuracy", "F1", "MCC", "Other scores"]
    assert [row[0].text for row in tables[0].rows] == ["This model", "TF-IDF", "Majority"]


def test_the_ladder_is_sorted_by_the_first_score_with_each_difference(content: dict[str, Any]) -> None:
    content["baselines"]["untuned"] = {"accuracy": content["scores"]["accuracy"] | {"value": 0.9}}
    untuned = content["comparisons"][0] | {"baseline": "untuned"}
    section = baselines(content | {"comparisons": [*content["comparisons"], untuned]})
    first, *_, other, differences = section.tables
    ladder = ["Untuned checkpoint", "This model", "TF-IDF", "Majority"]
    assert [row[0].text for row in first.rows] == ladder
    assert list(other.head[1:]) == ladder
    assert [row[0].text for row in differences.rows] == [name for name in ladder if name != "This model"]


def test_where_less_is_better_the_ladder_begins_with_the_least(content: dict[str, Any]) -> None:
    losses = {"majority": 0.1, "tfidf": 0.7}
    simple = {name: {"loss": content["scores"]["loss"] | {"value": value}} for name, value in losses.items()}
    more = {
        "headline": ["loss"],
        "baselines": simple | {"lstm": {"accuracy": content["scores"]["accuracy"]}},
    }
    first, others, *_ = baselines(content | more).tables
    assert [row[0].text for row in first.rows] == ["Majority", "This model", "TF-IDF"]
    assert list(others.head[1:]) == ["Majority", "This model", "TF-IDF", "LSTM from scratch"]
