"""Reading files of predictions and references, and pairing their rows."""

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

    def call(name: str, content: str | bytes) -> str:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return call


def table(name: str, ids: list[object]) -> Table:
    return Table(
        name, range(1, len(ids) + 1), [{"id": each, "row": number} for number, each in enumerate(ids)]
    )


@pytest.mark.parametrize("name", ["a.txt", "hyp.en", "system.out", "plain"])
def test_a_file_with_an_unknown_suffix_is_plain_text_including_blank_lines(write: Write, name: str) -> None:
    read = read_table(write(name, "a \n\n\u2028b\r\n{x\n"))
    assert [row["text"] for row in read.rows] == ["a ", "", "\u2028b", "{x"]
    assert read.place(2) == f"{name}:3"


def test_a_final_line_end_adds_no_row_and_gz_is_decompressed(write: Write) -> None:
    assert len(read_table(write("a.txt", "a\nb")).rows) == len(read_table(write("b.txt", "a\nb\n")).rows) == 2
    assert len(read_table(write("c.hyp.gz", gzip.compress(b"a\nb\n"))).rows) == 2


def test_an_object_of_answers_becomes_one_row_per_id(write: Write) -> None:
    read = read_table(write("p.json", '{"q1": "a",\n "q2": "",\n "data": "x"}'))
    assert read.rows == ({"id": "q1", "value": "a"}, {"id": "q2", "value": ""}, {"id": "data", "value": "x"})
    assert read.lines == (1, 2, 3)


def test_errors_with_the_same_code_are_merged(write: Write) -> None:
    with pytest.raises(DataError) as raised:
        read_table(write("p.jsonl", "{\n{\n[1]\n{\n"))
    first, second = raised.value.details
    assert (first.code, first.place) == ("J01", "p.jsonl:1:2")
    assert first.message.endswith("(and 2 more)")
    assert (second.code, second.place) == ("J03", "p.jsonl:3")


def test_rows_paired_by_id_have_the_order_of_the_references() -> None:
    paired = pair_rows(table("p", [2, 1, 3]), [table("r", ["1", "2", "3"]), table("s", ["3", "2", "1"])])
    assert [[row["row"] for row in each.rows] for each in paired] == [[1, 0, 2], [0, 1, 2], [2, 1, 0]]
    assert paired[0].lines == [2, 1, 3]


def test_rows_are_paired_by_order_unless_all_files_have_ids() -> None:
    plain = Table("p", [1, 2], [{"text": "a"}, {"text": "b"}])
    assert pair_rows(plain, [table("r", ["x", "y"])])[0] is plain
    with pytest.raises(DataError, match=r"error\[E04\] p: the file has 2 examples, but r has 1 example\."):
        pair_rows(plain, [table("r", ["x"])])


def test_each_file_of_references_must_have_the_same_ids() -> None:
    with pytest.raises(
        DataError, match=r'error\[E05\] s: 4 ids \("c", "d", "e" and 1 more\) are only in this file'
    ):
        pair_rows(
            table("p", ["a", "b"]), [table("r", ["b", "a"]), table("s", ["a", "b", "c", "d", "e", "f"])]
        )
    with pytest.raises(DataError, match=r'error\[E06\] s:3: id "a" was already used in line 1'):
        pair_rows(table("p", ["a", "b"]), [table("r", ["b", "a"]), table("s", ["a", "b", "a"])])


def test_a_named_id_column_must_exist() -> None:
    with pytest.raises(DataError, match='there is no column "rows"; did you mean "row"'):
        pair_rows(table("p", ["a"]), [table("r", ["a"])], "rows")
    assert len(pair_rows(table("p", ["a", "b"]), [table("r", ["c", "d"])], "row")) == 2
