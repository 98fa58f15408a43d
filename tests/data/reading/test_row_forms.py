"""Tests of the conversion of rows."""

import pytest

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import ignore_progress
from llmkit.data.reading.row_forms import SAMPLE_ROWS, RowForm, convert_source, read_sample
from llmkit.data.reading.sources import Source


def source_of(rows, error=""):
    def read(errors, report_bytes):
        yield from enumerate(rows, 1)
        if error:
            errors.fail("J01", error)

    return Source("a.jsonl", 1, read)


def converted(rows, form):
    errors = FileErrors("a.jsonl")
    return list(convert_source(source_of(rows), form).read(errors, ignore_progress)), errors.notes


@pytest.mark.parametrize("mark", [{"_task_hash": 1}, {"_input_hash": 2}, {"spans": []}])
def test_rows_that_an_annotator_did_not_accept_are_skipped_and_counted(mark):
    rows = [{"text": answer, "answer": answer, **mark} for answer in ("accept", "reject", "ignore")]
    assert converted(rows, RowForm({})) == (
        [(1, rows[0])],
        ['a.jsonl: 2 rows skipped, whose "answer" is not "accept"'],
    )


def test_a_column_named_answer_alone_does_not_skip_rows():
    rows = [{"question": "What did they do?", "answer": "reject"}]
    assert converted(rows, RowForm({})) == ([(1, rows[0])], [])


def test_a_file_without_accepted_rows_is_f03():
    with pytest.raises(DataError) as caught:
        converted([{"text": "a", "spans": [], "answer": "reject"}], RowForm({}))
    assert caught.value.lines() == [
        'error[F03] a.jsonl: no row is left (1 row skipped, whose "answer" is not "accept").'
        " Fix: export rows that are annotated"
    ]


def test_rows_are_converted_or_skipped_and_errors_are_raised_after_the_last():
    def convert(row, line, errors):
        if row["text"] == "bad":
            errors.add("N05", "no span", line=line)
        return None if row["text"] == "none" else {"text": row["text"].upper()}

    rows, notes = converted([{"text": "a"}, {"text": "none"}], RowForm({"text": "text"}, convert))
    assert rows == [(1, {"text": "A"})]
    assert notes == ["a.jsonl: 1 row skipped, without a finished annotation"]
    with pytest.raises(DataError, match="N05"):
        converted([{"text": "bad"}, {"text": "a"}], RowForm({"text": "text"}, convert))


def test_the_sample_is_the_first_rows_also_of_a_file_with_errors():
    assert len(read_sample(source_of([{"text": "a"}] * (SAMPLE_ROWS + 5)))) == SAMPLE_ROWS
    assert read_sample(source_of([{"text": "a"}], error="broken")) == [{"text": "a"}]
