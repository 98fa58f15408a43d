"""Rows of predictions and references: how files are read, and which rows belong together."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from llmkit.base.errors import DataError
from llmkit.data.reading.scored_files import Table, pair_rows, read_table

Write = Callable[[str, str | bytes], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def written(name: str, content: str | bytes) -> str:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return written


def table(name: str, ids: list[object]) -> Table:
    return Table(
        name, range(1, len(ids) + 1), [{"id": each, "row": number} for number, each in enumerate(ids)]
    )


@pytest.mark.parametrize("name", ["a.txt", "hyp.en", "system.out", "plain"])
def test_any_unknown_suffix_is_plain_text_with_its_blank_lines(write: Write, name: str) -> None:
    found = read_table(write(name, "a \n\n\u2028b\r\n{x\n"))
    assert [row["text"] for row in found.rows] == ["a ", "", "\u2028b", "{x"]
    assert found.place(2) == f"{name}:3"


def test_a_last_line_end_is_no_line_and_gz_is_read(write: Write) -> None:
    assert len(read_table(write("a.txt", "a\nb")).rows) == len(read_table(write("b.txt", "a\nb\n")).rows) == 2
    assert len(read_table(write("c.hyp.gz", gzip.compress(b"a\nb\n"))).rows) == 2


def test_an_object_of_answers_is_a_row_for_each_id(write: Write) -> None:
    found = read_table(write("p.json", '{"q1": "a",\n "q2": "",\n "data": "x"}'))
    assert found.rows == ({"id": "q1", "value": "a"}, {"id": "q2", "value": ""}, {"id": "data", "value": "x"})
    assert found.lines == (1, 2, 3)


def test_faults_of_a_kind_are_one_line(write: Write) -> None:
    with pytest.raises(DataError) as raised:
        read_table(write("p.jsonl", "{\n{\n[1]\n{\n"))
    first, second = raised.value.details
    assert (first.code, first.place) == ("J01", "p.jsonl:1:2")
    assert first.message.endswith("(and 2 more)")
    assert (second.code, second.place) == ("J03", "p.jsonl:3")


def test_ids_pair_in_the_order_of_the_references() -> None:
    found = pair_rows(table("p", [2, 1, 3]), [table("r", ["1", "2", "3"]), table("s", ["3", "2", "1"])])
    assert [[row["row"] for row in each.rows] for each in found] == [[1, 0, 2], [0, 1, 2], [2, 1, 0]]
    assert found[0].lines == [2, 1, 3]


def test_without_ids_on_both_sides_rows_pair_by_their_order() -> None:
    plain = Table("p", [1, 2], [{"text": "a"}, {"text": "b"}])
    assert pair_rows(plain, [table("r", ["x", "y"])])[0] is plain
    with pytest.raises(DataError, match=r"error\[E04\] p: has 2 examples, but r has 1 example\."):
        pair_rows(plain, [table("r", ["x"])])


def test_each_file_of_references_must_fit() -> None:
    with pytest.raises(
        DataError, match=r'error\[E05\] s: 4 ids \("c", "d", "e" and 1 more\) stand only here'
    ):
        pair_rows(
            table("p", ["a", "b"]), [table("r", ["b", "a"]), table("s", ["a", "b", "c", "d", "e", "f"])]
        )
    with pytest.raises(DataError, match=r'error\[E06\] s:3: id "a" stands in line 1 already'):
        pair_rows(table("p", ["a", "b"]), [table("r", ["b", "a"]), table("s", ["a", "b", "a"])])


def test_an_id_column_that_is_named_must_be_there() -> None:
    with pytest.raises(DataError, match='there is no column "rows"; did you mean "row"'):
        pair_rows(table("p", ["a"]), [table("r", ["a"])], "rows")
    assert len(pair_rows(table("p", ["a", "b"]), [table("r", ["c", "d"])], "row")) == 2
