"""Tests of encoded examples: ragged arrays, token counts and windows."""

from __future__ import annotations

from collections.abc import Sequence

from llmkit.data.encoding.features import Encoded, Features, Ragged, TokenCounts


def test_the_prompt_of_a_preference_pair_counts_twice() -> None:
    columns = {"input_ids": [[1, 2, 3], [1]], "targets": [[4], [4, 5]], "rejected": [[6, 7], [8]]}
    alone = {name: columns[name] for name in ("input_ids", "targets")}
    assert Encoded.from_batches([(0, Features(columns, TokenCounts()))]).lengths.tolist() == [9, 5]
    assert Encoded.from_batches([(0, Features(alone, TokenCounts()))]).lengths.tolist() == [4, 3]


def test_a_ragged_array_returns_its_rows() -> None:
    rows = [[1, 2, 3], [], [4]]
    ragged = Ragged.from_rows(rows)
    assert [ragged[number].tolist() for number in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [3, 0, 1]


def make_features(rows: Sequence[int]) -> Features:
    """Return one window of two tokens for each row number."""
    return Features(
        {"input_ids": [[row, row] for row in rows], "labels": [[row, -100] for row in rows]},
        TokenCounts(tokens=2 * len(rows), longest=2),
        decode_columns={"words": [[0, row] for row in rows]},
        rows=rows,
        notes={"sentences in several windows": 1},
    )


def test_windows_of_all_batches_have_their_example() -> None:
    encoded = Encoded.from_batches(
        [(0, make_features([0, 0, 1])), (1000, make_features([0, 2])), (2000, make_features([]))]
    )
    assert encoded.examples.tolist() == [0, 0, 1, 1000, 1002]
    assert len(encoded) == 5
    assert encoded.ragged["labels"][4].tolist() == [2, -100]
    assert encoded.decode_columns["words"][3].tolist() == [0, 0]
    assert encoded.notes == {"sentences in several windows": 3}
    assert encoded.counts == TokenCounts(tokens=10, longest=2)


def test_examples_are_numbered_across_batches() -> None:
    plain = Features({"input_ids": [[1], [2, 3]]}, TokenCounts(tokens=3, longest=2))
    encoded = Encoded.from_batches([(0, plain), (2, plain)])
    assert encoded.examples.tolist() == [0, 1, 2, 3]
    assert encoded.lengths.tolist() == [1, 2, 1, 2]
