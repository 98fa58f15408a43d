"""Classes taken for each other: a matrix where there are few, pairs where there are many."""

from __future__ import annotations

from typing import Any

from llmkit.report.classes import confusion


def test_more_than_twenty_classes_show_the_most_confused_pairs(content: dict[str, Any]) -> None:
    labels = [f"class {i}" for i in range(21)]
    counts = [[90 if i == j else 0 for j in range(21)] for i in range(21)]
    counts[3][5], counts[4][0] = 30, 10
    table = confusion(content | {"confusion": {"labels": labels, "counts": counts}}).tables[0]
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
    section = confusion(content | {"confusion": {"labels": labels, "counts": counts}})
    pairs, matrix = section.tables
    assert [[cell.text for cell in row] for row in pairs.rows] == [["class 3", "class 5", "1", "10.0 %"]]
    assert (matrix.heat, matrix.folded, section.heat, section.large) == (True, True, False, True)
    few = confusion(content)
    assert [(table.heat, table.folded) for table in few.tables] == [(True, False)]
    assert (few.heat, few.large) == (True, False)


def test_a_model_without_a_mistake_among_many_classes_confuses_nothing(content: dict[str, Any]) -> None:
    labels = [f"class {i}" for i in range(21)]
    counts = [[9 if i == j else 0 for j in range(21)] for i in range(21)]
    assert confusion(content | {"confusion": {"labels": labels, "counts": counts}}) is None


def test_a_class_without_rows_has_shares_of_zero(content: dict[str, Any]) -> None:
    table = confusion(content | {"confusion": {"labels": ["a", "b"], "counts": [[1, 0], [0, 0]]}}).tables[0]
    assert [cell.note for cell in table.rows[1][1:3]] == ["0 %", "0 %"]
