import pytest

from llmkit.data.reading import table_builder as module
from llmkit.data.reading.table_builder import ArrowTableBuilder, rename_columns


def gathered(*rows, columns=None, **files):
    gather = ArrowTableBuilder(columns or {"text": "text"})
    for name, of_file in (files or {"a": rows}).items():
        gather.begin(name)
        for line, row in enumerate(of_file, 1):
            gather.add(line, row)
        gather.end()
    notes = gather.finish()
    usable = gather.in_memory and not gather.problems
    return gather, gather.schema(), gather.table() if usable else None, notes


def said(gather):
    return [str(problem) for problem in gather.problems]


def test_columns_take_the_tasks_names_and_others_stay():
    assert rename_columns({"sentence": "x", "id": 3}, {"text": "sentence"}) == {"text": "x", "id": 3}


def test_a_column_whose_name_is_taken_is_left_out():
    assert rename_columns({"sentence": "x", "text": "other"}, {"text": "sentence"}) == {"text": "x"}


def test_columns_can_change_places():
    assert rename_columns({"a": 1, "b": 2}, {"a": "b", "b": "a"}) == {"a": 2, "b": 1}


def test_rows_become_a_table_with_all_columns():
    _, _, table, notes = gathered({"text": "x", "n": 1}, {"text": None, "more": [1]}, {"text": "y", "n": 2.5})
    assert table.to_pylist() == [
        {"text": "x", "n": 1.0, "more": None},
        {"text": None, "n": None, "more": [1]},
        {"text": "y", "n": 2.5, "more": None},
    ]
    assert notes == []


@pytest.mark.parametrize("rows_in_chunk", [1, 2, 10_000])
def test_the_type_of_a_used_column_must_not_change(monkeypatch, rows_in_chunk):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    gather, *_ = gathered(
        {"text": None}, {"text": "x"}, {"text": "y"}, {"text": 3}, {"text": [1]}, {"text": 4.5}
    )
    assert said(gather) == [
        'error[J06] a:4: column "text" holds a number here, but a string in a:2. Fix: give all rows the same type',
        'error[J06] a:5: column "text" holds a list here, but a string in a:2. Fix: give all rows the same type',
    ]


def test_the_type_is_watched_over_all_files_of_a_part():
    gather, *_ = gathered(a=[{"text": "x"}], b=[{"text": True}])
    assert said(gather)[0].startswith(
        'error[J06] b:1: column "text" holds true or false here, but a string in a:1.'
    )


def test_whole_and_broken_numbers_are_one_type():
    gather, _, table, _ = gathered({"text": 1}, {"text": 2.5}, {"text": None})
    assert said(gather) == []
    assert table["text"].to_pylist() == [1.0, 2.5, None]


@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
def test_a_used_column_with_mixed_lists_is_j06_at_the_first_misfit(monkeypatch, rows_in_chunk):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    gather, *_ = gathered({"text": ["x"]}, {"text": []}, {"text": [1]}, {"text": ["y"]})
    assert said(gather) == [
        'error[J06] a:3: column "text" holds a value of another type than the rows before.'
        " Fix: give all rows the same type"
    ]


SOME = {"text": ["x"], "answer_start": [1]}


@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
@pytest.mark.parametrize("none", [{"text": [], "answer_start": []}, None, {"text": None}])
def test_empty_lists_in_an_object_take_the_type_of_the_others(monkeypatch, rows_in_chunk, none):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    rows = [{"text": none}, {"text": SOME}, {"text": none}]
    gather, schema, table, _ = gathered(*rows)
    assert said(gather) == []
    assert (
        str(schema.field("text").type) == "struct<text: list<item: string>, answer_start: list<item: int64>>"
    )
    assert table["text"].to_pylist()[1] == SOME
    assert not (table["text"].to_pylist()[0] or {}).get("text")


@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
def test_empty_lists_of_objects_take_the_type_of_the_others(monkeypatch, rows_in_chunk):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    rows = [{"text": []}, {"text": [{"text": "x", "answer_start": 1}]}, {"text": []}]
    gather, _, table, _ = gathered(*rows)
    assert said(gather) == []
    assert table.to_pylist() == rows


def test_a_number_too_large_for_64_bits_is_j06():
    gather, *_ = gathered({"text": 1}, {"text": 2**70})
    assert said(gather)[0].startswith("error[J06] a:2:")


@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
def test_another_column_whose_type_changes_is_left_out_and_said(monkeypatch, rows_in_chunk):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    gather, schema, table, notes = gathered(
        {"text": "x", "id": 1, "meta": {"a": 1}}, {"text": "y", "id": "2", "meta": {"a": "z"}}
    )
    assert said(gather) == []
    assert table.to_pylist() == [{"text": "x"}, {"text": "y"}]
    assert schema.names == ["text"]
    assert sorted(notes) == [
        'column "id" is left out: it holds a number (a:1) and a string (a:2)',
        'column "meta" is left out: its type changes (a:2)',
    ]


def test_a_missing_column_is_l01_for_each_file():
    gather, *_ = gathered(
        columns={"text": "sentence"}, a=[{"sentence": "x"}], b=[{"sentense": "y", "label": 1}]
    )
    assert said(gather) == [
        'error[L01] b: column "sentence" is missing (columns there: label, sentense).'
        ' Fix: set data.columns.text=NAME; did you mean "sentense"?'
    ]


def test_rows_over_the_memory_limit_leave_types_and_places_only(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 100)
    monkeypatch.setattr(module, "CHUNK_ROWS", 3)
    gather, schema, table, _ = gathered(*[{"text": "x" * 20, "n": i} for i in range(10)])
    assert table is None
    assert schema.names == ["text", "n"]
    assert gather.places()[1].tolist() == list(range(1, 11))


def test_the_digest_is_of_content_and_order():
    digest = lambda *rows: gathered(*rows)[0].digest()  # noqa: E731
    one = digest({"text": "x", "n": 1, "m": 2}, {"text": "y"})
    assert one == digest({"m": 2, "n": 1, "text": "x"}, {"text": "y", "n": None})
    assert one != digest({"text": "y"}, {"text": "x", "n": 1, "m": 2})
    assert one != digest({"text": "x", "n": "1", "m": 2}, {"text": "y"})
    assert digest({"text": "ab"}) != digest({"text": "a"}, {"text": "b"})
