import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmkit.base.errors import DataError
from llmkit.data.reading.conll_rows import looks_like_conll, parse_conll
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


# other layouts


GERMEVAL = (
    "#\thttp://example.org/p0\t[2026-01-01]\n1\tAnna\tB-PER\tO\n2\tschlief\tO\tO\n\n"
    "#\thttp://example.org/p1\t[2026-01-02]\n1\tRio\tB-LOC\tB-LOCderiv\n"
)


def test_comments_may_begin_with_a_tab_behind_the_hash():
    rows, notes = sentences(GERMEVAL, named_columns=["1", "2"])
    assert [(line, row["1"], row["2"]) for line, row in rows] == [
        (2, ["Anna", "schlief"], ["B-PER", "O"]),
        (6, ["Rio"], ["B-LOC"]),
    ]
    assert notes == ["a.conll: skipped 2 comment lines"]


def test_a_first_column_that_numbers_the_tokens_is_not_the_tokens():
    rows, notes = sentences(GERMEVAL)
    assert [(row["tokens"], row["tags"]) for _, row in rows] == [
        (["Anna", "schlief"], ["B-PER", "O"]),
        (["Rio"], ["B-LOC"]),
    ]
    assert notes == [
        "a.conll: the first column numbers the tokens; tokens are column 1 and tags column 2 (counted from 0)",
        "a.conll: skipped 2 comment lines",
    ]


def test_comments_as_wide_as_the_file_are_skipped_when_tokens_are_numbered():
    rows, _ = sentences("#\ta\tb\n1\tRio\tB-LOC\n\n#\ta\tb\n1\tIn\tO\n2\tRio\tB-LOC\n")
    assert [row["tokens"] for _, row in rows] == [["Rio"], ["In", "Rio"]]


@pytest.mark.parametrize("text", ["1\tCD\tO\n5\tCD\tO\n", "1 O\n2 O\n", "a\t1\tO\nb\t2\tO\n"])
def test_numbers_that_do_not_count_the_tokens_are_tokens(text):
    ((_, row),) = sentences(text)[0]
    assert row["tokens"] == [line.split()[0] for line in text.splitlines()]


CONLLU = """# sent_id = 1
# text = Sie geht zum Zoo.
1\tSie\tsie\tPRON\t_\t_\t2\tnsubj\t_\t_
2\tgeht\tgehen\tVERB\t_\t_\t0\troot\t_\t_
3-4\tzum\t_\t_\t_\t_\t_\t_\t_\t_
3\tzu\tzu\tADP\t_\t_\t5\tcase\t_\t_
4\tdem\tder\tDET\t_\t_\t5\tdet\t_\t_
4.1\tX\t_\t_\t_\t_\t_\t_\t_\t_
5\tZoo\tZoo\tNOUN\t_\t_\t2\tobl\t_\tSpaceAfter=No
6\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_

"""


def test_conllu_has_words_and_parts_of_speech():
    ((line, row),), notes = sentences(CONLLU)
    assert (line, row["tokens"]) == (3, ["Sie", "geht", "zu", "dem", "Zoo", "."])
    assert row["tags"] == ["PRON", "VERB", "ADP", "DET", "NOUN", "PUNCT"]
    assert row["9"][4] == "SpaceAfter=No"
    assert notes == [
        "a.conll: the first column numbers the tokens; tokens are column 1 and tags column 3 (counted from 0)",
        "a.conll: skipped 2 comment lines",
    ]


def test_an_empty_last_column_is_ignored():
    expected = [(1, {"tokens": ["Anna", "slept"], "tags": ["B-PER", "O"]})]
    for text in ("Anna\tB-PER\t\nslept\tO\t\n", "Anna\tB-PER\nslept\tO\t\n", "Anna\tB-PER\t\t\nslept\tO\n"):
        assert sentences(text)[0] == expected


def test_a_tag_missing_behind_the_last_tab_stays_empty():
    assert sentences("Anna\tB-PER\nslept\t\n")[0][0][1]["tags"] == ["B-PER", ""]


def test_lines_of_ontonotes_that_begin_and_end_a_document_are_comments():
    text = "#begin document (a); part 000\na\tx\tO\n\n#end document\n"
    assert sentences(text)[1] == ["a.conll: skipped 2 comment lines"]


@pytest.mark.parametrize(
    "head",
    [
        FOUR,
        GERMEVAL,
        CONLLU,
        "# a comment\nAnna B-PER\nslept O\n",
        "Anna\tB_PER\t\nslept\tO\t\n",
        "Anna PER\nslept O\nin O\nRio LOC\n\nNo O\none O\n",
        "Anna NOUN\nslept VERB\nin ADP\nRio NOUN\n\nNo DET\none NOUN\n",
        "No O\none O\n\nNo O\nmore O\n",
        "-DOCSTART- -X- O\nAnna -X- _ B-PER\nslept -X- _ O\n",
    ],
)
def test_the_content_shows_the_format(head):
    assert looks_like_conll(head, 4096)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "Anna slept in Rio.\n\nNo one came.\n",
        "text\tlabel\nAnna slept\tO\n",
        "a good film\tpos\na bad one\tneg\n",
        "HELLO WORLD\nGOOD MORNING\n",
        "HELLO WORLD\n\nGOOD MORNING\n\nGOOD NIGHT\n",
        "Anna B-PER\nslept\n",
        "No O\none O\n",
        "Anna\nslept\n\n",
    ],
)
def test_other_content_is_not_in_the_format(head):
    assert not looks_like_conll(head, 4096)


def test_an_incomplete_last_line_does_not_count():
    text = "Anna B-PER\nslept O\n\n" * 50
    assert looks_like_conll(text[:200], 200)
    assert looks_like_conll(text[:195], 195)
