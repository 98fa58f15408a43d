"""Confusions: a matrix for few classes, pairs for many."""

from __future__ import annotations

from collections.abc import Sequence

from llmkit.report.classes import confusion
from llmkit.report.report import Confusion, Details, Report
from llmkit.report.tables import Section


def _confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Section | None:
    return confusion(Report(details=Details(confusion=Confusion(labels, counts))))


def test_more_than_twenty_classes_show_the_most_frequent_confusions() -> None:
    labels = [f"class {i}" for i in range(21)]
    counts = [[90 if i == j else 0 for j in range(21)] for i in range(21)]
    counts[3][5], counts[4][0] = 30, 10
    section = _confusion(labels, counts)
    assert section is not None
    table = section.tables[0]
    assert not table.heat
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["class 3", "class 5", "30", "25.0 %"],
        ["class 4", "class 0", "10", "10.0 %"],
    ]


def test_nine_classes_show_a_picture_and_the_most_frequent_confusions(report: Report) -> None:
    labels = [f"class {i}" for i in range(9)]
    counts = [[9 if i == j else int(i == 3 and j == 5) for j in range(9)] for i in range(9)]
    section, few = _confusion(labels, counts), confusion(report)
    assert section is not None
    assert few is not None
    pairs, matrix = section.tables
    assert [[cell.text for cell in row] for row in pairs.rows] == [["class 3", "class 5", "1", "10.0 %"]]
    assert (matrix.heat, matrix.folded, section.heat, section.large) == (True, True, False, True)
    assert [(table.heat, table.folded) for table in few.tables] == [(True, False)]
    assert (few.heat, few.large) == (True, False)


def test_many_classes_without_an_error_have_no_section() -> None:
    labels = [f"class {i}" for i in range(21)]
    assert _confusion(labels, [[9 if i == j else 0 for j in range(21)] for i in range(21)]) is None


def test_a_class_without_examples_has_shares_of_zero() -> None:
    section = _confusion(["a", "b"], [[1, 0], [0, 0]])
    assert section is not None
    assert [cell.note for cell in section.tables[0].rows[1][1:3]] == ["0 %", "0 %"]
