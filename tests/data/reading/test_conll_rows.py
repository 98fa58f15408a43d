import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmkit.base.errors import DataError
from llmkit.data.reading.conll_rows import parse_conll
from llmkit.data.reading.file_errors import FileErrors


def sentences(text, named_columns=(), limit=10_000):
    errors = FileErrors("a.conll")
    rows = list(parse_conll(enumerate(text.split("\n"), 1), errors, named_columns=named_columns, limit=limit))
    errors.raise_if_any()
    return rows, errors.notes


def error_lines(text, **keys):
    with pytest.raises(DataError) as caught:
        sentences(text, **keys)
    return caught.value.lines()


FOUR = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP B-NP B-PER\n"


def test_each_sentence_is_a_row_at_the_line_of_its_first_token():
    assert sentences(FOUR) == (
        [
            (3, {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"],
                 "1": ["NNP", "VBZ"], "2": ["B-NP", "B-VP"]}),
            (7, {"tokens": ["Peter"], "tags": ["B-PER"], "1": ["NNP"], "2": ["B-NP"]}),
        ],
        [],
    )  # fmt: skip


def test_columns_that_repeat_tokens_or_tags_are_kept_only_when_named():
    assert list(sentences("a x O\n", named_columns={"0", "2"})[0][0][1]) == ["tokens", "tags", "0", "1", "2"]
    assert list(sentences("a O\n", named_columns={"text"})[0][0][1]) == ["tokens", "tags"]
    assert list(sentences("a O\n", named_columns={"2"})[0][0][1]) == [
        "tokens",
        "tags",
        "0",
        "1",
    ]  # for the error L01


def test_a_file_with_one_column_has_no_tags():
    assert sentences("a\nb\n\nc") == ([(1, {"tokens": ["a", "b"]}), (4, {"tokens": ["c"]})], [])


def test_columns_are_separated_by_tabs_if_the_first_token_line_has_one():
    assert sentences("New York\tB-LOC \n\t\na\t O\n")[0] == [
        (1, {"tokens": ["New York"], "tags": ["B-LOC"]}),
        (3, {"tokens": ["a"], "tags": ["O"]}),
    ]


def test_only_spaces_separate_columns_in_a_file_without_tabs():
    assert sentences("a\u00a0b   O  \n\u3000 O\n")[0] == [
        (1, {"tokens": ["a\u00a0b", "\u3000"], "tags": ["O", "O"]})
    ]


def test_docstart_ends_a_sentence():
    assert [line for line, _ in sentences("a O\n-DOCSTART- O\nb O\n")[0]] == [1, 3]


def test_comments_before_a_sentence_are_skipped_and_counted():
    text = "# id 1\tdomain=en\na _ _ O\n\n# id 2\tdomain=en\n# sent 2\nb _ _ O\n"  # as in MultiCoNER
    rows, notes = sentences(text)
    assert [(line, row["tokens"]) for line, row in rows] == [(2, ["a"]), (6, ["b"])]
    assert notes == ["a.conll: skipped 3 comment lines"]


def test_comments_in_a_file_with_tabs_are_skipped():
    rows, notes = sentences("# text = a b\na\tO\nb\tO\n")
    assert [(line, row["tokens"]) for line, row in rows] == [(2, ["a", "b"])]
    assert notes == ["a.conll: skipped 1 comment line"]


@pytest.mark.parametrize("text", ["# O\n1 B-X\n", "#\tO\n1\tB-X\n"])
def test_a_sentence_may_begin_with_the_token_hash(text):
    assert sentences(text) == ([(1, {"tokens": ["#", "1"], "tags": ["O", "B-X"]})], [])


def test_a_comment_inside_a_sentence_is_an_error():
    assert error_lines("a x O\n# 1\nb x O\n") == [
        "error[N04] a.conll:2: the line has 2 columns, but line 1 has 3."
        " Fix: write 3 columns separated by spaces, and a blank line between sentences"
    ]


def test_each_line_with_another_number_of_columns_is_reported():
    assert error_lines("-DOCSTART-\n\na\tx\tO\nb\tO\n\nc d O\n\te\tx\tO\n") == [
        "error[N04] a.conll:4: the line has 2 columns, but line 3 has 3."
        " Fix: write 3 columns separated by tabs, and a blank line between sentences",
        "error[N04] a.conll:6: the line has 1 column, but line 3 has 3."
        " Fix: write 3 columns separated by tabs, and a blank line between sentences",
        "error[N04] a.conll:7: the line has 4 columns, but line 3 has 3."
        " Fix: write 3 columns separated by tabs, and a blank line between sentences",
    ]


def test_a_sentence_above_the_limit_is_an_error():
    assert error_lines("a O\n\n" + "b O\n" * 10, limit=15) == [
        "error[F09] a.conll:3: the sentence that begins here is longer than 15 characters."
        " Fix: write a blank line between sentences, or raise data.max_line_bytes"
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "# a\n", "-DOCSTART- O\n"])
def test_a_file_without_tokens_has_no_rows(text):
    assert sentences(text)[0] == []


FIELD = st.text(
    st.characters(exclude_characters=" \t\r\n", exclude_categories=["Cs"]), min_size=1, max_size=4
)


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.lists(FIELD, min_size=width, max_size=width), min_size=1), min_size=1
        )
    ),
    st.sampled_from([" ", "\t"]),
)
def test_written_sentences_are_read_back(sentences_written, separator):
    text = "\n\n".join(
        "\n".join(separator.join(fields) for fields in sentence) for sentence in sentences_written
    )
    assume(not all(line.startswith(("# ", "-DOCSTART-")) for line in text.split("\n")))
    assume("\n-DOCSTART-" not in f"\n{text}")
    width = len(sentences_written[0][0])
    rows = [row for _, row in sentences(text, named_columns=[str(n) for n in range(width)])[0]]
    assert [
        [list(fields) for fields in zip(*(row[str(n)] for n in range(width)))] for row in rows
    ] == sentences_written
    assert all(row["tokens"] == row["0"] for row in rows)
    assert all(row.get("tags") == (row[str(width - 1)] if width > 1 else None) for row in rows)
