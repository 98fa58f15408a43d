import json
from pathlib import Path

import numpy as np
import pytest

from llmkit.data.checks.row_checks import (
    check_all_texts,
    check_texts,
    drop_unknown_labels,
    label_ids,
    label_marks,
    label_names,
    label_set,
    numbers,
)
from llmkit.recipe.schema import Data

GOOD = [("a fine film", "pos"), ("a dull film", "neg")]


def lines(problems):
    return [str(problem) for problem in problems]


def checked(corpus, known=None, **keys):
    names, problems = label_names(corpus, "label", Data(**keys), known)
    return names, lines(problems)


# texts


def test_good_texts_have_no_problem(make):
    corpus = make(train=GOOD)
    assert check_texts(corpus, "text", Data()) == (corpus, [], [])


def test_texts_that_are_null_are_named_row_by_row(make):
    corpus = make(train=[*GOOD, (None, "pos")], test=[(None, "neg"), *GOOD])
    assert lines(check_texts(corpus, "text", Data())[1]) == [
        'error[L02] train.jsonl:3: "text" is null. Fix: write a text there',
        'error[L02] test.jsonl:1: "text" is null. Fix: write a text there',
    ]


def test_texts_that_are_numbers_are_shown_up_to_a_limit(make):
    corpus = make(train=[(i, "pos") for i in range(30)])
    problems = lines(check_texts(corpus, "text", Data())[1])
    assert len(problems) == 21
    assert problems[7] == 'error[L02] train.jsonl:8: "text" is 7, not a string. Fix: write a text there'
    assert (
        problems[20]
        == 'error[L02] train.jsonl:21: 10 rows more whose "text" is no text. Fix: write a text there'
    )


def test_blank_texts_are_one_problem_a_part(make):
    corpus = make(
        train=[*GOOD, ("", "pos"), (" \n\u3000", "neg"), ("\u200b\ufeff", "neg")], test=[*GOOD, ("", "pos")]
    )
    assert lines(check_texts(corpus, "text", Data())[1]) == [
        'error[L03] train.jsonl:3: 3 rows with an empty or blank "text", also at train.jsonl:4, train.jsonl:5.'
        " Fix: fill in a text, or set data.empty_text=drop",
        'error[L03] test.jsonl:3: 1 row with an empty or blank "text".'
        " Fix: fill in a text, or set data.empty_text=drop",
    ]


def test_blank_texts_are_dropped_and_counted_when_asked(make):
    corpus = make(train=[("", "pos"), *GOOD], test=GOOD)
    left, problems, notes = check_texts(corpus, "text", Data(empty_text="drop"))
    assert problems == []
    assert notes == ["train: 1 row dropped, text empty or blank"]
    assert [left.splits["train"].place(i) for i in range(2)] == ["train.jsonl:2", "train.jsonl:3"]
    assert left.fingerprint != corpus.fingerprint


def test_blank_texts_only_are_a_problem_even_when_they_may_be_dropped(make):
    corpus = make(train=GOOD, test=[("", "pos"), (" ", "neg")])
    assert lines(check_texts(corpus, "text", Data(empty_text="drop"))[1])[0].startswith(
        "error[L03] test.jsonl:1: 2 rows"
    )


# names


def test_names_are_the_sorted_labels_of_the_training_rows(make):
    assert checked(make(train=GOOD, test=GOOD)) == (("neg", "pos"), [])


@pytest.mark.parametrize("labels", [[10, 9, 0], ["10", "9", "0"]])
def test_numbers_are_sorted_as_numbers(make, labels):
    assert checked(make(train=[(str(x), x) for x in labels])) == (("0", "9", "10"), [])


def test_numbers_in_one_file_and_number_strings_in_another_are_the_same(make):
    corpus = make(train=[("a", 0), ("b", 1)], test=[("c", "1")])
    names, problems = checked(corpus)
    assert (names, problems) == (("0", "1"), [])
    assert label_ids(corpus.splits["test"], "label", names).tolist() == [1]


def test_true_and_false_are_classes(make):
    assert checked(make(train=[("a", True), ("b", False)])) == (("false", "true"), [])


def test_given_names_are_counted_by_numbers(make):
    corpus = make(train=[("a", 1), ("b", 0)], test=[("c", 1)])
    names, problems = checked(corpus, labels=["negative", "positive"])
    assert (names, problems) == (("negative", "positive"), [])


def test_given_names_keep_their_order(make):
    assert checked(make(train=GOOD), labels=["pos", "neg", "mixed"]) == (("pos", "neg", "mixed"), [])


def test_the_names_of_a_model_come_first(make):
    assert checked(make(test=GOOD), known=["pos", "neg"], labels=["x", "y"]) == (("pos", "neg"), [])


def test_a_name_given_twice_is_l07(make):
    assert checked(make(train=GOOD), labels=["pos", "neg", "pos"])[1] == [
        'error[L07] data.labels: names "pos" twice. Fix: remove one'
    ]


# faults


def test_rows_without_label_are_l04(make):
    corpus = make(train=[*GOOD, ("x", None), ("y", ""), ("z", " ")], test=[("u", None)])
    assert checked(corpus)[1] == [
        "error[L04] train.jsonl:3: 3 rows without a label (null, NaN or empty), also at train.jsonl:4, train.jsonl:5."
        " Fix: write the label, or remove the row",
        "error[L04] test.jsonl:1: 1 row without a label (null, NaN or empty). Fix: write the label, or remove the row",
    ]


def test_a_nan_from_parquet_is_l04(in_folder, read):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["a"], "label": [float("nan")]}), "a.parquet")
    assert checked(read(train="a.parquet"))[1][0].startswith("error[L04] a.parquet:1: 1 row without a label")


def test_an_unseen_label_is_l05_with_the_closest(make):
    train = [(name, name) for name in ["refund", "order", "invoice", "account", "delivery"]]
    corpus = make(train=train, validation=[("x", "refund"), ("y", "refnd"), ("z", "Order"), ("w", "refnd")])
    assert checked(corpus)[1] == [
        'error[L05] validation.jsonl:2: label "refnd" is not one of the 5 training labels (closest: "refund"),'
        " also at validation.jsonl:4. Fix: correct it, or set data.unknown_labels=drop",
        'error[L05] validation.jsonl:3: label "Order" is not one of the 5 training labels (closest: "order").'
        " Fix: correct it, or set data.unknown_labels=drop",
    ]


def test_a_training_label_that_is_not_given_is_l05_and_never_dropped(make):
    problems = checked(make(train=[*GOOD, ("x", "mixed")]), labels=["neg", "pos"], unknown_labels="drop")[1]
    assert problems == [
        'error[L05] train.jsonl:3: label "mixed" is not one of the 2 labels of data.labels (they are: neg, pos).'
        " Fix: correct it"
    ]


@pytest.mark.parametrize(
    ("label", "keys"), [(2, {"labels": ["neg", "pos"]}), (-1, {"labels": ["neg", "pos"]}), (2, {})]
)
def test_a_number_out_of_range_is_l06(make, label, keys):
    corpus = make(train=[("a", 0), ("b", 1)], test=[("c", label)])
    assert checked(corpus, **keys)[1] == [
        f"error[L06] test.jsonl:1: label {label} is outside 0 to 1. Fix: correct it, or set data.unknown_labels=drop"
    ]


def test_numbers_that_do_not_begin_at_0_are_names(make):
    corpus = make(train=[("a", 1), ("b", 5)], test=[("c", 3)])
    assert checked(corpus)[1][0].startswith(
        'error[L05] test.jsonl:1: label "3" is not one of the 2 training labels (they are: 1, 5).'
    )


@pytest.mark.parametrize("unknown", ["error", "drop"])
def test_numbers_never_stand_for_names_found_in_the_training_rows(make, unknown):
    corpus = make(train=GOOD, test=[("x", 0), ("y", 1)])
    assert [p[:28] for p in checked(corpus, unknown_labels=unknown)[1]] == [
        "error[L05] test.jsonl:1: lab",
        "error[L05] test.jsonl:2: lab",
    ]


def test_labels_that_differ_by_case_or_space_are_l07(make):
    corpus = make(train=[("a", "Refund"), ("b", "refund"), ("c", "refund"), ("d", "order"), ("e", "refund ")])
    assert checked(corpus)[1] == [
        'error[L07] train.jsonl:5: labels that differ only by case or space: "refund " (1 row, train.jsonl:5),'
        ' "Refund" (1 row, train.jsonl:1), "refund" (2 rows, train.jsonl:2).'
        " Fix: write them the same way, or name each in data.labels"
    ]


def test_labels_that_differ_by_case_are_allowed_when_given(make):
    assert checked(make(train=[("a", "A"), ("b", "a")]), labels=["A", "a"])[1] == []


def test_a_single_class_is_l08(make):
    assert checked(make(train=[("a", "x"), ("b", "x")]))[1] == [
        'error[L08] train.jsonl:1: all 2 rows of the training part have the label "x". Fix: add rows of another class'
    ]


def test_a_single_class_in_the_test_is_none_of_our_business(make):
    assert checked(make(train=GOOD, test=[("a", "pos")]))[1] == []


@pytest.mark.parametrize("labels", [[0.5, 1.0], [1.0, 0.0], [1, 0.5]])
def test_floats_are_no_classes(make, labels):
    problems = checked(make(train=[("a", labels[0]), ("b", labels[1])]))[1]
    assert problems == [
        f"error[L10] train.jsonl:1: label {float(labels[0])} is a float, not a class, also at train.jsonl:2."
        " Fix: write integers or strings"
    ]


def test_lists_are_no_classes(make):
    assert checked(make(train=[*GOOD[:0], ("a", ["x"]), ("b", ["y"])]))[1][0].startswith(
        "error[L10] train.jsonl:1: label ['x'] is a list, not a class, also at train.jsonl:2."
    )


# dropping


def test_unknown_labels_are_dropped_from_validation_and_test_and_counted(make):
    corpus = make(train=GOOD, test=[("x", "mixed"), ("y", "pos"), ("z", "other")])
    data = Data(unknown_labels="drop")
    names, problems = label_names(corpus, "label", data)
    assert problems == []
    left, notes = drop_unknown_labels(corpus, "label", names, data)
    assert notes == ["test: 2 rows dropped, label not among the 2 known"]
    assert [left.splits["test"].place(i) for i in range(len(left.splits["test"]))] == ["test.jsonl:2"]
    assert label_ids(left.splits["test"], "label", names).tolist() == [1]


def test_a_part_of_unknown_labels_only_is_a_problem_even_when_they_may_be_dropped(make):
    assert len(checked(make(train=GOOD, test=[("x", "mixed")]), unknown_labels="drop")[1]) == 1


def test_nothing_is_dropped_unless_asked(make):
    corpus = make(train=GOOD, test=[("x", "mixed"), ("y", "pos")])
    assert drop_unknown_labels(corpus, "label", ("neg", "pos"), Data()) == (corpus, [])


# pairs


@pytest.fixture
def of(in_folder, read):
    """A corpus of rows as they are: of(["text", "score"], train=[{...}])."""

    def call(columns, **parts):
        for part, rows in parts.items():
            lines = [json.dumps(row) + "\n" for row in rows]
            Path(f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
        names = {part: f"{part}.jsonl" for part in parts}
        return read(columns={name: name for name in columns}, **names)

    return call


PAIRS = [{"text": "a", "text_pair": "b"}, {"text": " ", "text_pair": "c"}, {"text": "d", "text_pair": ""}]


def test_faults_of_all_texts_are_told(of):
    corpus = of(["text", "text_pair"], train=PAIRS)
    _, problems, _ = check_all_texts(corpus, ("text", "text_pair"), Data())
    assert [line.split(". Fix")[0] for line in lines(problems)] == [
        'error[L03] train.jsonl:2: 1 row with an empty or blank "text"',
        'error[L03] train.jsonl:3: 1 row with an empty or blank "text_pair"',
    ]


def test_a_pair_goes_when_either_text_is_blank(of):
    corpus = of(["text", "text_pair"], train=PAIRS)
    left, problems, notes = check_all_texts(corpus, ("text", "text_pair"), Data(empty_text="drop"))
    assert problems == []
    assert notes == [
        "train: 1 row dropped, text empty or blank",
        "train: 1 row dropped, text_pair empty or blank",
    ]
    assert left.splits["train"].column("text") == ["a"]


# numbers


def scored(of, *values, part="train"):
    return of(["score"], **{part: [{"text": "a", "score": value} for value in values]})


def test_numbers_are_read_from_any_spelling(of):
    found, problems = numbers(scored(of, "3.5", " 4 ", "-1e2", "0"), "score")
    assert problems == []
    assert found["train"].dtype == np.float32
    assert found["train"].tolist() == [3.5, 4.0, -100.0, 0.0]
    assert numbers(scored(of, 1, 2.5), "score")[0]["train"].tolist() == [1.0, 2.5]


def test_missing_numbers_are_l04(of):
    assert lines(numbers(scored(of, 1, None, 3, None), "score")[1]) == [
        'error[L04] train.jsonl:2: 2 rows without "score" (null, NaN or empty), also at train.jsonl:4.'
        " Fix: write the number, or remove the row"
    ]


@pytest.mark.parametrize(
    "value", ["four", "3,5", "nan", "inf", "1e39", "1_000", "4/5"], ids=lambda value: str(value)
)
def test_what_spells_no_number_is_l10(of, value):
    assert lines(numbers(scored(of, "1", "2", value), "score")[1]) == [
        f'error[L10] train.jsonl:3: "score" is "{value}", not a number. Fix: write a number'
    ]


@pytest.mark.parametrize("value", [True, [1.0], {"value": 1}])
def test_other_values_are_no_numbers(of, value):
    (problem,) = numbers(scored(of, value, part="test"), "score")[1]
    assert (problem.code, problem.place) == ("L10", "test.jsonl:1")


def test_numbers_of_parquet_are_checked_too(in_folder, read):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"score": [1.0, float("nan"), float("inf")]}), "a.parquet")
    problems = numbers(read(train="a.parquet", columns={"score": "score"}), "score")[1]
    assert [(problem.code, problem.place) for problem in problems] == [
        ("L04", "a.parquet:2"),
        ("L10", "a.parquet:3"),
    ]


def test_equal_training_numbers_are_l08(of):
    assert lines(numbers(scored(of, 2.5, 2.5), "score")[1]) == [
        'error[L08] train.jsonl:1: all 2 rows of the training part have the "score" 2.5.'
        " Fix: add rows with other numbers"
    ]
    assert numbers(scored(of, 2.5, 2.5, part="test"), "score")[1] == []


# several labels a row


def tagged(of, data=None, known=None, **parts):
    """(names, lines) of label_set for lists of labels."""
    corpus = of(["labels"], **{p: [{"text": "a", "labels": x} for x in rows] for p, rows in parts.items()})
    names, problems = label_set(corpus, "labels", data or Data(), known)
    return names, lines(problems)


def test_names_are_those_of_all_training_lists(of):
    assert tagged(of, train=[["b", "a"], [], ["c", "a", "a"]], test=[["c"]]) == (("a", "b", "c"), [])
    assert tagged(of, train=[["10"], ["9", "0"]])[0] == ("0", "9", "10")


def test_given_names_and_those_of_a_model_keep_their_order(of):
    given = Data(labels=["c", "a", "b"])
    assert tagged(of, given, train=[["a"], ["b"]]) == (("c", "a", "b"), [])
    assert tagged(of, given, ["b", "a"], test=[["a"], ["b"]]) == (("b", "a"), [])


@pytest.mark.parametrize(
    "value, shown",
    [("a, b", "a, b"), ([1, 2], "[1, 2]"), ([" "], "[' ']"), (None, "None"), ({"a": 1}, "{'a': 1}")],
)
def test_what_is_no_list_of_strings_is_l10(of, value, shown):
    assert tagged(of, train=[["a"]], test=[value]) == (
        (),
        [
            f'error[L10] test.jsonl:1: "labels" is {shown}, not a list of labels.'
            ' Fix: write a list of strings, such as ["a", "b"] or []'
        ],
    )


def test_an_unseen_label_of_a_list_is_l05_with_the_closest(of):
    _, told = tagged(of, train=[["refund", "order"], ["order"]], test=[["order", "refnd"], [], ["refnd"]])
    assert told == [
        'error[L05] test.jsonl:1: label "refnd" is not one of the 2 training labels (closest: "refund"),'
        " also at test.jsonl:3. Fix: correct it, or set data.unknown_labels=drop"
    ]


def test_a_training_label_that_is_not_given_is_never_dropped(of):
    _, told = tagged(of, Data(labels=["a"], unknown_labels="drop"), train=[["a"], ["b"]])
    assert told == [
        'error[L05] train.jsonl:2: label "b" is not one of the 1 labels of data.labels (they are: a).'
        " Fix: correct it"
    ]


def test_spellings_of_one_label_are_l07(of):
    _, told = tagged(of, train=[["Refund"], ["refund", "order"], ["refund"]])
    assert told[0].startswith(
        'error[L07] train.jsonl:1: labels that differ only by case or space: "Refund" (1 row, train.jsonl:1)'
    )
    assert tagged(of, Data(labels=["Refund", "refund", "order"]), train=[["Refund"], ["refund"]])[1] == []
    assert tagged(of, Data(labels=["a", "b", "a"]), train=[["a"], ["b"]])[1] == [
        'error[L07] data.labels: names "a" twice. Fix: remove one'
    ]


def test_rows_without_any_label_are_l08(of):
    assert tagged(of, train=[[], []])[1] == [
        "error[L08] train.jsonl:1: no row has a label. Fix: add rows with labels"
    ]


def test_rows_with_an_unknown_label_are_dropped_and_counted(of):
    corpus = of(
        ["labels"], train=[{"labels": ["a", "b"]}], test=[{"labels": x} for x in (["a"], ["a", "0"], [])]
    )
    data = Data(unknown_labels="drop")
    names, problems = label_set(corpus, "labels", data)
    assert problems == []
    left, notes = drop_unknown_labels(corpus, "labels", names, data)
    assert notes == ["test: 1 row dropped, label not among the 2 known"]
    assert label_marks(left.splits["test"], "labels", names).tolist() == [[1, 0], [0, 0]]


def test_marks_are_1_where_a_row_has_the_label(of):
    corpus = of(["labels"], train=[{"labels": x} for x in (["c", "a"], [], ["b", "b"])])
    marks = label_marks(corpus.splits["train"], "labels", ("a", "b", "c"))
    assert marks.dtype == np.float32
    assert marks.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
