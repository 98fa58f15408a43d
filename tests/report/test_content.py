from __future__ import annotations

from typing import Any

from llmkit.report.content import facts, headline, sections

EVERY = [
    "scores",
    "baselines",
    "curves",
    "classes",
    "confusion",
    "slices",
    "calibration",
    "errors",
    "lengths",
    "notes",
    "data",
    "speed",
    "environment",
    "recipe",
    "repeat",
]


def _keys(content: dict[str, Any]) -> list[str]:
    return [section.key for section in sections(content)]


def _section(content: dict[str, Any], key: str) -> Any:
    return next(section for section in sections(content) if section.key == key)


def test_a_full_content_fills_every_section(content: dict[str, Any]) -> None:
    assert _keys(content) == EVERY


def test_empty_parts_leave_their_section_out(content: dict[str, Any]) -> None:
    assert _keys({}) == []
    assert _keys(dict.fromkeys(content)) == []
    assert _keys({name: type(part)() for name, part in content.items()}) == []


def test_without_a_headline_the_first_three_scores_lead(content: dict[str, Any]) -> None:
    assert list(headline(content)) == ["accuracy", "f1", "mcc"]
    assert list(headline(content | {"headline": []})) == ["accuracy", "precision", "recall"]


def test_facts_name_what_is_known() -> None:
    assert facts({"task": "clm", "created": "2026-11-22T13:00:00Z", "run": None}) == {
        "Task": "clm",
        "Created": "2026-11-22 13:00:00 UTC",
    }


def test_each_leading_score_stands_beside_the_baselines(content: dict[str, Any]) -> None:
    tables = _section(content, "baselines").tables
    assert [table.caption for table in tables][:4] == ["Accuracy", "F1", "MCC", "Other scores"]
    assert [row[0].text for row in tables[0].rows] == ["This model", "TF-IDF", "Majority"]


def test_the_ladder_is_sorted_by_the_first_score_with_each_difference(content: dict[str, Any]) -> None:
    content["baselines"]["untuned"] = {"accuracy": content["scores"]["accuracy"] | {"value": 0.9}}
    untuned = content["comparisons"][0] | {"baseline": "untuned"}
    section = _section(content | {"comparisons": [*content["comparisons"], untuned]}, "baselines")
    first, *_, other, differences = section.tables
    ladder = ["Untuned checkpoint", "This model", "TF-IDF", "Majority"]
    assert [row[0].text for row in first.rows] == ladder
    assert list(other.head[1:]) == ladder
    assert [row[0].text for row in differences.rows] == [name for name in ladder if name != "This model"]


def test_where_less_is_better_the_ladder_begins_with_the_least(content: dict[str, Any]) -> None:
    losses = {"majority": 0.1, "tfidf": 0.7}
    baselines = {
        name: {"loss": content["scores"]["loss"] | {"value": value}} for name, value in losses.items()
    }
    more = {
        "headline": ["loss"],
        "baselines": baselines | {"lstm": {"accuracy": content["scores"]["accuracy"]}},
    }
    first, others, *_ = _section(content | more, "baselines").tables
    assert [row[0].text for row in first.rows] == ["Majority", "This model", "TF-IDF"]
    assert list(others.head[1:]) == ["Majority", "This model", "TF-IDF", "LSTM from scratch"]


def test_more_than_twenty_classes_show_the_most_confused_pairs(content: dict[str, Any]) -> None:
    labels = [f"class {i}" for i in range(21)]
    counts = [[90 if i == j else 0 for j in range(21)] for i in range(21)]
    counts[3][5], counts[4][0] = 30, 10
    table = _section(content | {"confusion": {"labels": labels, "counts": counts}}, "confusion").tables[0]
    assert not table.heat
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["class 3", "class 5", "30", "25.0 %"],
        ["class 4", "class 0", "10", "10.0 %"],
    ]


def test_from_nine_classes_on_the_matrix_is_a_picture_beside_the_most_confused_pairs(
    content: dict[str, Any],
) -> None:
    labels = [f"class {i}" for i in range(9)]
    counts = [[9 if i == j else int(i == 3 and j == 5) for j in range(9)] for i in range(9)]
    section = _section(content | {"confusion": {"labels": labels, "counts": counts}}, "confusion")
    pairs, matrix = section.tables
    assert [[cell.text for cell in row] for row in pairs.rows] == [["class 3", "class 5", "1", "10.0 %"]]
    assert (matrix.heat, matrix.folded, section.heat, section.large) == (True, True, False, True)
    few = _section(content, "confusion")
    assert [(table.heat, table.folded) for table in few.tables] == [(True, False)]
    assert (few.heat, few.large) == (True, False)


def test_a_model_without_a_mistake_among_many_classes_confuses_nothing(content: dict[str, Any]) -> None:
    labels = [f"class {i}" for i in range(21)]
    counts = [[9 if i == j else 0 for j in range(21)] for i in range(21)]
    assert "confusion" not in _keys(content | {"confusion": {"labels": labels, "counts": counts}})


def test_a_class_without_rows_has_shares_of_zero(content: dict[str, Any]) -> None:
    table = _section(
        content | {"confusion": {"labels": ["a", "b"], "counts": [[1, 0], [0, 0]]}}, "confusion"
    ).tables[0]
    assert [cell.note for cell in table.rows[1][1:3]] == ["0 %", "0 %"]


def test_many_evaluations_keep_the_best_and_the_last(content: dict[str, Any]) -> None:
    evaluations = [{"step": step, "loss": 1.0} for step in range(1, 1001)]
    curves = {"evaluations": evaluations, "best_step": 577}
    table = _section(content | {"curves": curves}, "curves").tables[0]
    steps = [row[0].text for row in table.rows]
    assert len(steps) <= 32
    assert {"577", "1,000"} <= set(steps)
    assert "best" in [row[0].note for row in table.rows]


def test_errors_show_only_what_they_have(content: dict[str, Any]) -> None:
    errors = [{"text": "a", "label": "B-PER", "prediction": "O", "probability": None}]
    assert list(_section(content | {"errors": errors}, "errors").tables[0].head) == [
        "Text",
        "Label",
        "Prediction",
    ]


def test_slices_stand_against_the_rest_and_the_shown_ones_are_named(content: dict[str, Any]) -> None:
    section = _section(content, "slices")
    assert section.lines == [
        "Worse than the rest, corrected for all slices: length 1 to 40.",
        "2 slices were too small to be judged.",
        "Lengths are in characters; languages are told by their script.",
    ]
    (table,) = section.tables
    assert [row[0].text for row in table.rows] == ["Length: 1 to 40", "Label: 积极"]
    assert [cell.text for cell in table.rows[0][3:7]] == ["0.700", "-0.190", "-0.250 to -0.130", "0.0003"]


def test_no_slice_is_called_worse_that_is_not_shown_to_be(content: dict[str, Any]) -> None:
    first, second = content["slices"]["slices"]
    for changes in ({"p_holm": 0.06}, {"p_holm": None}, {"metric": "loss"}):
        slices = {**content["slices"], "slices": [{**first, **changes}, second], "left_out": 0}
        lines = _section(content | {"slices": slices}, "slices").lines
        assert lines[0] == "No slice is shown to be worse than the rest, corrected for all slices."
        assert len(lines) == 2


def test_the_temperature_is_said_with_what_it_mends(content: dict[str, Any]) -> None:
    section = _section(content, "calibration")
    (line,) = section.lines
    assert line.startswith(
        "The model is too sure of its answers. Its logits divided by 1.420, the temperature"
    )
    names = [row[0].text for row in section.tables[0].rows]
    assert names == ["ECE", "Brier score", "ECE, calibrated", "Brier score, calibrated"]
    without = {**content["calibration"], "temperature": 1.0}
    assert _section(content | {"calibration": without}, "calibration").lines == [
        "No temperature was found: the validation rows hold no mistake to learn it from."
    ]
    cold = content | {"calibration": {**without, "temperature": 0.5}, "part": "validation"}
    lines = _section(cold, "calibration").lines
    assert lines[0].startswith("The model is not sure enough")
    assert len(lines) == 2
