from collections import Counter
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmkit.base.errors import DataError
from llmkit.data.splits import apportion, create_missing_splits
from llmkit.recipe.schema import Data
from llmkit.text.normalize import normalize_text


def fill(corpus, seed=1, label="label", **keys):
    return create_missing_splits(corpus, label_column=label, text_column="text", data=Data(**keys), seed=seed)


def places(corpus):
    return {name: [split.place(i) for i in range(len(split))] for name, split in corpus.splits.items()}


@pytest.fixture
def rows():
    """150 rows: 90 with label a, 50 with b, 10 with c."""
    labels = ["a"] * 90 + ["b"] * 50 + ["c"] * 10
    return [(f"text {i}", labels[i * 7 % 150]) for i in range(150)]


def test_missing_splits_are_taken_from_train_in_proportion(make, rows):
    corpus = make(train=rows)
    filled = fill(corpus)
    counts = {name: Counter(split.column("label")) for name, split in filled.splits.items()}
    assert counts == {
        "train": {"a": 72, "b": 40, "c": 8},
        "validation": {"a": 9, "b": 5, "c": 1},
        "test": {"a": 9, "b": 5, "c": 1},
    }
    assert sorted(chain(*places(filled).values())) == sorted(places(corpus)["train"])
    assert filled.notes[-1] == (
        "train: 150 rows split (seed 1, stratified by label, equal texts together): train 120, validation 15, test 15"
    )


def test_rows_keep_the_order_of_the_file(make, rows):
    for split in fill(make(train=rows)).splits.values():
        assert list(split.lines) == sorted(split.lines)


def test_the_same_seed_gives_the_same_split(make, rows):
    corpus = make(train=rows)
    once, again, other = fill(corpus, 1), fill(corpus, 1), fill(corpus, 2)
    assert places(once) == places(again)
    assert once.fingerprint == again.fingerprint
    assert places(once) != places(other)
    assert len({corpus.fingerprint, once.fingerprint, other.fingerprint}) == 3


def test_the_split_does_not_change_between_releases(make):
    """A changed split would change every score."""
    filled = fill(make(train=[(f"text {i}", i % 2) for i in range(20)]), seed=7)
    assert [filled.splits[name].lines.tolist() for name in ("validation", "test")] == [[11, 12], [9, 16]]


def test_existing_splits_are_not_changed(make, rows):
    corpus = make(train=rows, test=[("other", "a")])
    filled = fill(corpus)
    assert places(filled)["test"] == ["test.jsonl:1"]
    assert len(filled.splits["validation"]) == 15
    full = make(train=rows, validation=[("x", "a")], test=[("y", "a")])
    assert fill(full) is full


def test_a_share_of_0_creates_no_split(make, rows):
    assert list(fill(make(train=rows), test_share=0.0).splits) == ["train", "validation"]
    corpus = make(train=rows)
    assert fill(corpus, test_share=0.0, validation_share=0.0) is corpus


def test_a_corpus_without_train_is_not_changed(make, rows):
    corpus = make(test=rows)
    assert fill(corpus) is corpus


def test_shares_that_leave_no_training_rows_are_an_error(make, rows):
    with pytest.raises(DataError, match=r"validation and test together take all rows \(0.5 \+ 0.5\)"):
        fill(make(train=rows), validation_share=0.5, test_share=0.5)


def test_a_class_too_small_for_all_splits_is_l09(make, rows):
    corpus = make(train=[*rows, ("x", "d"), ("X ", "d"), ("y", "d")])
    with pytest.raises(DataError) as caught:
        fill(corpus)
    assert caught.value.lines() == [
        'error[L09] train.jsonl:151: label "d" has only 2 distinct texts, but needs 3 to appear in train, validation,'
        " test. Fix: add rows, name a file (data.validation, data.test),"
        " or set data.validation_share=0 or data.test_share=0"
    ]
    assert Counter(fill(corpus, test_share=0.0).splits["validation"].column("label"))["d"] == 1


def test_data_without_classes_is_split_too(make, rows):
    filled = fill(make(train=rows), label=None)
    assert [len(split) for split in filled.splits.values()] == [120, 15, 15]
    assert "stratified" not in filled.notes[-1]
    with pytest.raises(DataError, match="the data set has only 2 distinct texts"):
        fill(make(train=rows[:2]), label=None)


TEXTS = st.sampled_from(
    ["one", "ONE", " two", "two", "three", "four", "five ", "Five", "six", "seven", "eight"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    repeated=st.lists(st.tuples(TEXTS, st.sampled_from("ab")), max_size=20),
    shares=st.tuples(st.floats(0.01, 0.45), st.floats(0.01, 0.45)),
    seed=st.integers(0, 2**32 - 1),
)
def test_splits_are_complete_disjoint_and_stratified_and_keep_equal_texts_together(
    make, repeated, shares, seed
):
    plenty = [(f"{label} {i}", label) for label in "ab" for i in range(12)]
    corpus = make(train=[*repeated, *plenty])
    filled = fill(corpus, seed, validation_share=shares[0], test_share=shares[1])
    assert sorted(chain(*places(filled).values())) == sorted(places(corpus)["train"])
    texts = [{normalize_text(text) for text in split.column("text")} for split in filled.splits.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    first = {}
    for text, label in [*repeated, *plenty]:
        first.setdefault(normalize_text(text), label)
    for name, share in zip(list(filled.splits)[1:], shares):
        counts = Counter(
            first[text] for text in {normalize_text(t) for t in filled.splits[name].column("text")}
        )
        for label, size in Counter(first.values()).items():
            assert counts[label] >= 1
            # Largest remainders differ from the exact share by up to 1, the rounded total by up to 0.5.
            assert abs(counts[label] - share * size) <= 1.5


@given(st.integers(0, 1000), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_apportioned_numbers_add_up_and_are_close_to_the_exact_shares(total, weights):
    quotas = apportion(total, weights)
    assert sum(quotas) == total
    assert all(abs(quota - total * weight / sum(weights)) < 1 for quota, weight in zip(quotas, weights))


def test_apportion_matches_values_computed_by_hand():
    assert apportion(10, [6, 5, 1]) == [5, 4, 1]  # 5.0, 4.17, 0.83
    assert apportion(1, [1, 1, 1]) == [1, 0, 0]
