from collections import Counter
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.base.errors import DataError
from llmkit.data.splits import apportion, create_missing_splits
from llmkit.recipe.schema import Data
from llmkit.text.normalize import canonical


def split(corpus, seed=1, label="label", **keys):
    return create_missing_splits(corpus, label_column=label, text_column="text", data=Data(**keys), seed=seed)


def places(corpus):
    return {name: [part.place(i) for i in range(len(part))] for name, part in corpus.splits.items()}


@pytest.fixture
def rows():
    """150 rows: 90 a, 50 b, 10 c."""
    labels = ["a"] * 90 + ["b"] * 50 + ["c"] * 10
    return [(f"text {i}", labels[i * 7 % 150]) for i in range(150)]


def test_the_missing_parts_come_out_of_train_in_proportion(make, rows):
    corpus = make(train=rows)
    done = split(corpus)
    counts = {name: Counter(part.column("label")) for name, part in done.splits.items()}
    assert counts == {
        "train": {"a": 72, "b": 40, "c": 8},
        "validation": {"a": 9, "b": 5, "c": 1},
        "test": {"a": 9, "b": 5, "c": 1},
    }
    assert sorted(chain(*places(done).values())) == sorted(places(corpus)["train"])
    assert done.notes[-1] == (
        "train: 150 rows split (seed 1, stratified by label, equal texts together): train 120, validation 15, test 15"
    )


def test_rows_keep_the_order_of_the_file(make, rows):
    for part in split(make(train=rows)).splits.values():
        assert list(part.lines) == sorted(part.lines)


def test_a_seed_names_one_split(make, rows):
    corpus = make(train=rows)
    once, again, other = split(corpus, 1), split(corpus, 1), split(corpus, 2)
    assert places(once) == places(again)
    assert once.fingerprint == again.fingerprint
    assert places(once) != places(other)
    assert len({corpus.fingerprint, once.fingerprint, other.fingerprint}) == 3


def test_the_split_is_pinned(make):
    """The same on every machine and in every release: a changed split changes every score."""
    done = split(make(train=[(f"text {i}", i % 2) for i in range(20)]), seed=7)
    assert [done.splits[name].lines.tolist() for name in ("validation", "test")] == [[11, 12], [9, 16]]


def test_given_parts_stay(make, rows):
    corpus = make(train=rows, test=[("other", "a")])
    done = split(corpus)
    assert places(done)["test"] == ["test.jsonl:1"]
    assert len(done.splits["validation"]) == 15
    full = make(train=rows, validation=[("x", "a")], test=[("y", "a")])
    assert split(full) is full


def test_a_share_of_0_leaves_the_part_out(make, rows):
    assert list(split(make(train=rows), test_share=0.0).splits) == ["train", "validation"]
    corpus = make(train=rows)
    assert split(corpus, test_share=0.0, validation_share=0.0) is corpus


def test_without_train_there_is_nothing_to_split(make, rows):
    corpus = make(test=rows)
    assert split(corpus) is corpus


def test_shares_that_leave_no_training_row_are_refused(make, rows):
    with pytest.raises(DataError, match=r"validation and test together take all rows \(0.5 \+ 0.5\)"):
        split(make(train=rows), validation_share=0.5, test_share=0.5)


def test_a_class_too_small_for_all_parts_is_l09(make, rows):
    corpus = make(train=[*rows, ("x", "d"), ("X ", "d"), ("y", "d")])
    with pytest.raises(DataError) as caught:
        split(corpus)
    assert caught.value.lines() == [
        'error[L09] train.jsonl:151: label "d" has only 2 distinct texts; 3 are needed to appear in train, validation,'
        " test. Fix: add rows, name a file (data.validation, data.test),"
        " or set data.validation_share=0 or data.test_share=0"
    ]
    assert Counter(split(corpus, test_share=0.0).splits["validation"].column("label"))["d"] == 1


def test_data_without_classes_are_split_too(make, rows):
    done = split(make(train=rows), label=None)
    assert [len(part) for part in done.splits.values()] == [120, 15, 15]
    assert "stratified" not in done.notes[-1]
    with pytest.raises(DataError, match="the data have only 2 distinct texts"):
        split(make(train=rows[:2]), label=None)


TEXTS = st.sampled_from(
    ["one", "ONE", " two", "two", "three", "four", "five ", "Five", "six", "seven", "eight"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    repeated=st.lists(st.tuples(TEXTS, st.sampled_from("ab")), max_size=20),
    shares=st.tuples(st.floats(0.01, 0.45), st.floats(0.01, 0.45)),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_split_is_whole_disjoint_stratified_and_keeps_texts_together(make, repeated, shares, seed):
    plenty = [(f"{label} {i}", label) for label in "ab" for i in range(12)]
    corpus = make(train=[*repeated, *plenty])
    done = split(corpus, seed, validation_share=shares[0], test_share=shares[1])
    assert sorted(chain(*places(done).values())) == sorted(places(corpus)["train"])
    texts = [{canonical(text) for text in part.column("text")} for part in done.splits.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    first = {}
    for text, label in [*repeated, *plenty]:
        first.setdefault(canonical(text), label)
    for part, share in zip(list(done.splits)[1:], shares):
        counts = Counter(first[text] for text in {canonical(t) for t in done.splits[part].column("text")})
        for label, size in Counter(first.values()).items():
            assert counts[label] >= 1
            assert (
                abs(counts[label] - share * size) <= 1.5
            )  # 1 by largest remainders, 0.5 by the rounded total


@given(st.integers(0, 1000), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_apportioned_numbers_add_up_and_are_near_the_exact_shares(total, weights):
    parts = apportion(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * weight / sum(weights)) < 1 for part, weight in zip(parts, weights))


def test_apportion_by_hand():
    assert apportion(10, [6, 5, 1]) == [5, 4, 1]  # 5.0, 4.17, 0.83
    assert apportion(1, [1, 1, 1]) == [1, 0, 0]
