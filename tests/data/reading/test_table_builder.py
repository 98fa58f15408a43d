import pytest

from llmkit.data.reading import table_builder as module
from llmkit.data.reading.table_builder import ArrowTableBuilder, rename_columns


def build(*rows, columns=None, **files):
    """Return (builder, schema, table or None, notes) for the rows of one file or of several."""
    builder = ArrowTableBuilder(columns or {"text": "text"})
    for name, rows_of_file in (files or {"a": rows}).items():
        builder.begin_file(name)
        for line, row in enumerate(rows_of_file, 1):
            builder.add(line, row)
        builder.end_file()
    notes = builder.finish()
    has_table = builder.in_memory and not builder.errors
    return builder, builder.schema(), builder.table() if has_table else None, notes


def messages(builder):
    return [str(detail) for detail in builder.errors]


def test_columns_get_the_tasks_names_and_others_keep_theirs():
    assert rename_columns({"sentence": "x", "id": 3}, {"text": "sentence"}) == {"text": "x", "id": 3}


def test_a_column_whose_name_the_task_needs_is_left_out():
    assert rename_columns({"sentence": "x", "text": "other"}, {"text": "sentence"}) == {"text": "x"}


def test_two_columns_can_swap_names():
    assert rename_columns({"a": 1, "b": 2}, {"a": "b", "b": "a"}) == {"a": 2, "b": 1}


def test_rows_become_a_table_with_all_columns():
    _, _, table, notes = build({"text": "x", "n": 1}, {"text": None, "more": [1]}, {"text": "y", "n": 2.5})
    assert table.to_pylist() == [
        {"text": "x", "n": 1.0, "more": None},
        {"text": None, "n": None, "more": [1]},
        {"text": "y", "n": 2.5, "more": None},
    ]
    assert notes == []


@pytest.mark.parametrize("rows_in_chunk", [1, 2, 10_000])
def test_the_type_of_a_used_column_must_not_change(monkeypatch, rows_in_chunk):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    builder, *_ = build(
        {"text": None}, {"text": "x"}, {"text": "y"}, {"text": 3}, {"text": [1]}, {"text": 4.5}
    )
    assert messages(builder) == [
        'error[J06] a:4: column "text" contains a number here, but a string in a:2. Fix: give all rows the same type',
        'error[J06] a:5: column "text" contains a list here, but a string in a:2. Fix: give all rows the same type',
    ]


def test_the_type_of_a_column_is_checked_across_files():
    builder, *_ = build(a=[{"text": "x"}], b=[{"text": True}])
    assert messages(builder)[0].startswith(
        'error[J06] b:1: column "text" contains true or false here, but a string in a:1.'
    )


def test_integers_and_floats_are_one_type():
    builder, _, table, _ = build({"text": 1}, {"text": 2.5}, {"text": None})
    assert messages(builder) == []
    assert table["text"].to_pylist() == [1.0, 2.5, None]


@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
def test_a_used_column_with_mixed_lists_is_j06_at_the_first_misfit(monkeypatch, rows_in_chunk):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    builder, *_ = build({"text": ["x"]}, {"text": []}, {"text": [1]}, {"text": ["y"]})
    assert messages(builder) == [
        'error[J06] a:3: the type of this value in column "text" differs from the rows before.'
        " Fix: give all rows the same type"
    ]


ANSWERS = {"text": ["x"], "answer_start": [1]}


@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
@pytest.mark.parametrize("empty", [{"text": [], "answer_start": []}, None, {"text": None}])
def test_empty_lists_in_an_object_get_the_type_of_other_rows(monkeypatch, rows_in_chunk, empty):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    rows = [{"text": empty}, {"text": ANSWERS}, {"text": empty}]
    builder, schema, table, _ = build(*rows)
    assert messages(builder) == []
    types = {field.name: str(field.type) for field in schema.field("text").type}  # pyarrow 21 sorts the names
    assert types == {"text": "list<item: string>", "answer_start": "list<item: int64>"}
    assert table["text"].to_pylist()[1] == ANSWERS
    assert not (table["text"].to_pylist()[0] or {}).get("text")


@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
def test_empty_lists_of_objects_get_the_type_of_other_rows(monkeypatch, rows_in_chunk):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    rows = [{"text": []}, {"text": [{"text": "x", "answer_start": 1}]}, {"text": []}]
    builder, _, table, _ = build(*rows)
    assert messages(builder) == []
    assert table.to_pylist() == rows


def test_a_number_too_large_for_64_bits_is_j06():
    builder, *_ = build({"text": 1}, {"text": 2**70})
    assert messages(builder)[0].startswith("error[J06] a:2:")


@pytest.mark.parametrize("rows_in_chunk", [1, 10_000])
def test_an_unused_column_whose_type_changes_is_left_out_with_a_note(monkeypatch, rows_in_chunk):
    monkeypatch.setattr(module, "CHUNK_ROWS", rows_in_chunk)
    builder, schema, table, notes = build(
        {"text": "x", "id": 1, "meta": {"a": 1}}, {"text": "y", "id": "2", "meta": {"a": "z"}}
    )
    assert messages(builder) == []
    assert table.to_pylist() == [{"text": "x"}, {"text": "y"}]
    assert schema.names == ["text"]
    assert sorted(notes) == [
        'column "id" is left out: it contains a number (a:1) and a string (a:2)',
        'column "meta" is left out: its type changes (a:2)',
    ]


def test_a_missing_column_is_l01_for_each_file():
    builder, *_ = build(
        columns={"text": "sentence"}, a=[{"sentence": "x"}], b=[{"sentense": "y", "label": 1}]
    )
    assert messages(builder) == [
        'error[L01] b: column "sentence" is missing (the file has: label, sentense).'
        ' Fix: set data.columns.text=NAME; did you mean "sentense"?'
    ]


def test_only_types_and_places_are_kept_above_the_memory_limit(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 100)
    monkeypatch.setattr(module, "CHUNK_ROWS", 3)
    builder, schema, table, _ = build(*[{"text": "x" * 20, "n": i} for i in range(10)])
    assert table is None
    assert schema.names == ["text", "n"]
    assert builder.places()[1].tolist() == list(range(1, 11))


def test_the_digest_depends_on_content_and_order():
    digest = lambda *rows: build(*rows)[0].digest()  # noqa: E731
    first = digest({"text": "x", "n": 1, "m": 2}, {"text": "y"})
    assert first == digest({"m": 2, "n": 1, "text": "x"}, {"text": "y", "n": None})
    assert first != digest({"text": "y"}, {"text": "x", "n": 1, "m": 2})
    assert first != digest({"text": "x", "n": "1", "m": 2}, {"text": "y"})
    assert digest({"text": "ab"}) != digest({"text": "a"}, {"text": "b"})
