import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmkit.base.errors import UserError
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks.extractive_qa import (
    METRICS,
    best_threshold,
    difference,
    match_answers,
    metric_names,
    scores,
)

GOLDS = [["Eiffel Tower", "tower"], ["1889"], ["in Paris"], [], [], ["two years"]]
PREDICTIONS = ["the Eiffel Tower", "in 1889", "Rome", "", "Rome", ""]


def made(n=120, groups=30, seed=0):
    """Questions in groups of unequal hardness; half of each answered by two systems of unequal skill."""
    rng = np.random.default_rng(seed)
    passages = rng.integers(0, groups, n)
    hard = rng.random(groups)
    golds = [["alpha beta"] for _ in range(n)]

    def predict(skill):
        luck = rng.random(n) * 0.3
        return [
            "alpha beta" if hard[g] < skill - r else "alpha" if r > 0.2 else "gamma"
            for g, r in zip(passages, luck)
        ]

    return golds, predict(0.8), predict(0.5), passages


# The statistics and their scores


def test_statistics_are_what_the_rules_say_of_each_question():
    rows = match_answers(GOLDS, PREDICTIONS, "squad_v2")
    assert rows.tolist() == [
        [1, 1, 1],
        [0, pytest.approx(2 / 3), 1],
        [0, 0, 1],
        [1, 1, 1],
        [0, 0, 1],
        [0, 0, 1],
    ]


def test_values_by_hand():
    found = scores(GOLDS, PREDICTIONS, "squad_v2")
    values = {name: (score.value, score.n) for name, score in found.items()}
    assert values == {
        "exact_match": (2 / 6, 6),
        "f1": (pytest.approx((1 + 2 / 3 + 1) / 6), 6),
        "has_answer_exact_match": (1 / 4, 4),
        "has_answer_f1": (pytest.approx((1 + 2 / 3) / 4), 4),
        "no_answer_accuracy": (1 / 2, 2),
    }
    assert tuple(found) == metric_names("squad_v2") == tuple(METRICS)


@pytest.mark.parametrize("rules", ["squad", "cmrc"])
def test_rules_without_unanswerable_questions_have_two_scores(rules):
    found = scores([["北京"], ["Paris"]], ["北京。", "in Paris"], rules)
    assert tuple(found) == metric_names(rules) == ("exact_match", "f1")


def test_parts_without_a_question_have_no_score():
    assert "no_answer_accuracy" not in scores([["a b"]], ["a b"], "squad_v2")
    assert set(scores([[], []], ["", "x"], "squad_v2")) == {"exact_match", "f1", "no_answer_accuracy"}


def test_shares_have_wilson_intervals_and_the_method_says_the_scale():
    found = scores(GOLDS, PREDICTIONS, "squad_v2")
    scale = "SQuAD v2.0 rules, whose script prints 100 times this"
    assert found["exact_match"].method == f"Wilson 95%; {scale}"
    assert found["f1"].method == f"BCa bootstrap, 2000 draws, 95%; {scale}"
    wilson = stats.binomtest(2, 6).proportion_ci(0.95, "wilson")
    assert (found["exact_match"].low, found["exact_match"].high) == pytest.approx((wilson.low, wilson.high))


def test_no_questions_give_no_interval():
    found = scores([], [], "squad_v2", groups=np.zeros(0, int))
    assert (found["f1"].n, found["f1"].low) == (0, None)
    assert scores([], [])["exact_match"].n == 0


def test_predictions_must_be_as_many_as_the_questions():
    with pytest.raises(ValueError):
        scores(GOLDS, PREDICTIONS[:-1], "squad_v2")


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a b", "b", "the", ""]), max_size=2), st.sampled_from(["b", "", "b c"])
        )
    )
)
@settings(max_examples=40)
def test_the_whole_is_the_mean_of_its_parts_by_their_sizes(questions):
    golds, predictions = [gold for gold, _ in questions], [prediction for _, prediction in questions]
    found = scores(golds, predictions, "squad_v2", resampling=Resampling(resamples=20))
    parts = [found[name] for name in ("has_answer_exact_match", "no_answer_accuracy") if name in found]
    whole = found["exact_match"]
    assert sum(part.n for part in parts) == whole.n == len(questions)
    assert sum(part.value * part.n for part in parts) == pytest.approx(whole.value * whole.n)


# Passages


def test_groups_of_one_question_change_nothing_but_the_method():
    golds, predictions, _, _ = made()
    plain = scores(golds, predictions)["f1"]
    grouped = scores(golds, predictions, groups=np.arange(len(golds)))["f1"]
    assert (grouped.value, grouped.n) == (plain.value, plain.n)
    assert (grouped.low, grouped.high) == pytest.approx((plain.low, plain.high), abs=0.01)
    assert "clustered by 120 groups; SQuAD v1.1 rules" in grouped.method


@pytest.mark.parametrize("name", ["exact_match", "f1"])
def test_copies_of_a_question_on_its_passage_tell_nothing_new(name):
    golds, predictions, _, _ = made(40, 40)
    groups = np.arange(40)
    once = scores(golds, predictions, groups=groups)[name]
    often = scores(golds * 9, predictions * 9, groups=np.tile(groups, 9))[name]
    fooled = scores(golds * 9, predictions * 9)[name]
    assert (often.low, often.high, often.n) == (pytest.approx(once.low), pytest.approx(once.high), 360)
    assert fooled.high - fooled.low < 0.5 * (often.high - often.low)


def test_the_interval_is_the_bootstrap_of_whole_passages():
    golds, predictions, _, groups = made()
    rows = match_answers(golds, predictions, "squad")
    sums = np.array([rows[groups == group].sum(axis=0) for group in np.unique(groups)])
    found = scores(golds, predictions, groups=groups, resampling=Resampling(resamples=10_000))["f1"]
    theirs = stats.bootstrap(
        (sums[:, 1], sums[:, 2]),
        lambda f1, n, axis: f1.sum(axis) / n.sum(axis),
        paired=True,
        n_resamples=10_000,
        rng=1,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_the_parts_count_the_passages_that_they_touch():
    found = scores(GOLDS, PREDICTIONS, "squad_v2", groups=np.array([7, 7, 7, 9, 3, 3]))
    assert "clustered by 3 groups" in found["f1"].method
    assert "clustered by 2 groups" in found["has_answer_f1"].method
    assert "clustered by 2 groups" in found["no_answer_accuracy"].method


def test_no_hit_at_all_still_leaves_room_for_some():
    golds, groups = [["alpha"]] * 60, np.arange(60) // 3
    for prediction, value in (("beta", 0.0), ("alpha", 1.0)):
        found = scores(golds, [prediction] * 60, groups=groups)["exact_match"]
        expected = stats.binomtest(round(20 * value), 20).proportion_ci(0.95, "wilson")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
        assert (found.value, found.n) == (value, 60)
        assert found.method.startswith("Wilson 95% as of 20 groups")


def test_one_passage_has_no_interval():
    found = scores(GOLDS, PREDICTIONS, "squad_v2", groups=np.zeros(6, int))["f1"]
    assert (found.low, found.high, found.n) == (None, None, 6)
    assert found.method.startswith("no interval: one group")


# Two systems


def test_difference_is_that_of_the_scores():
    golds, first, second, groups = made()
    for name in ("exact_match", "f1"):
        for how in (None, groups):
            found = difference(golds, first, second, metric=name, groups=how)
            a, b = scores(golds, first)[name], scores(golds, second)[name]
            assert found.value == pytest.approx(a.value - b.value)
            assert (found.n, found.metric) == (len(golds), name)
            assert found.low <= found.value <= found.high


def test_difference_within_a_part():
    found = difference(
        GOLDS, PREDICTIONS, ["tower", "1889", "in Paris", "x", "", ""], "squad_v2", "has_answer_f1"
    )
    assert (found.value, found.n) == (pytest.approx(5 / 12 - 3 / 4), 4)


def test_questions_alone_are_mcnemar_and_passages_are_swapped_whole():
    golds, first, second, groups = made()
    alone = difference(golds, first, second, metric="exact_match")
    together = difference(golds, first, second, metric="exact_match", groups=groups)
    assert alone.method.endswith("p by McNemar's test")
    assert together.method.endswith("p by 2000 random swaps; clustered by 30 groups")
    assert together.high - together.low > alone.high - alone.low


def test_copies_do_not_make_a_difference_more_certain():
    golds, first, second, _ = made(12, 12)
    groups = np.arange(12)
    once = difference(golds, first, second, groups=groups)
    often = difference(golds * 20, first * 20, second * 20, groups=np.tile(groups, 20))
    fooled = difference(golds * 20, first * 20, second * 20)
    assert often.p_value == pytest.approx(once.p_value, abs=0.02)
    assert fooled.p_value < 0.1 * often.p_value


def test_an_unknown_metric_names_the_known_ones():
    with pytest.raises(UserError, match=r'E01.*unknown metric "accuracy".*exact_match'):
        difference(GOLDS, PREDICTIONS, PREDICTIONS, "squad_v2", "accuracy")


# The threshold


def value_at(threshold, differences, answerable, correctness):
    silent = np.asarray(differences) > threshold
    return float(np.where(silent, ~np.asarray(answerable, bool), correctness).mean())


def test_best_threshold_by_hand():
    # From the least difference on: right, wrong but answerable, unanswerable, half right, unanswerable.
    differences, answerable = (
        np.array([-3.0, -2.0, 0.0, 1.0, 5.0]),
        np.array([True, True, False, True, False]),
    )
    assert best_threshold(differences, answerable, np.array([1, 0, 0, 0.5, 0])) == (-2.5, 3 / 5)
    assert best_threshold(differences, answerable, np.array([1, 1, 0, 1, 0])) == (-1.0, 4 / 5)
    assert best_threshold(differences, answerable, np.array([0, 0, 0, 0, 0])) == (-4.0, 2 / 5)
    assert best_threshold(differences, ~answerable | answerable, np.ones(5)) == (6.0, 1.0)


def test_equal_differences_go_together():
    # Between the two there is no threshold, though the official script would count one.
    assert best_threshold(np.zeros(2), np.array([True, False]), np.array([1.0, 0.0])) == (-1.0, 0.5)


@pytest.mark.parametrize("low", [1.0, float(np.nextafter(1, 2))])
def test_neighbouring_floats_are_still_told_apart(low):
    high = float(np.nextafter(low, 2))
    threshold, value = best_threshold(np.array([low, high]), np.array([True, False]), np.array([1.0, 0.0]))
    assert low <= threshold < high
    assert value == 1.0


def test_a_question_without_any_span_never_makes_the_threshold_infinite():
    answerable, right = np.array([True, False]), np.array([1.0, 0.0])
    assert best_threshold(np.array([2.0, np.inf]), answerable, right)[1] == 1.0
    for differences in ([2.0, np.inf], [np.inf, np.inf], [-np.inf, np.inf], [-np.inf, -np.inf]):
        threshold, value = best_threshold(np.array(differences), answerable, right)
        assert np.isfinite(threshold)
        assert value == value_at(threshold, differences, answerable, right)


def test_no_questions_have_a_threshold_too():
    assert best_threshold(np.zeros(0), np.zeros(0, bool), np.zeros(0)) == (0.0, 0.0)


QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from([-2.0, -1.5, 0.0, 0.1, 3.0, 7.25]), st.booleans(), st.sampled_from([0, 0.4, 2 / 3, 1])
    ),
    min_size=1,
    max_size=12,
)


@given(QUESTIONS)
def test_no_other_threshold_is_better_and_its_value_is_what_it_gives(questions):
    differences, answerable, correctness = map(np.array, zip(*questions))
    threshold, value = best_threshold(differences, answerable, correctness)
    assert value == pytest.approx(value_at(threshold, differences, answerable, correctness), abs=1e-12)
    others = [-10.0, *differences, *(differences + 0.01), 10.0]
    assert value >= max(value_at(t, differences, answerable, correctness) for t in others) - 1e-9


def official_best_threshold(differences, answerable, correctness):
    """find_best_thresh of evaluate-v2.0.py, whose thresholds are differences themselves."""
    best = current = float(sum(not each for each in answerable))
    threshold = 0.0
    for i in sorted(range(len(differences)), key=lambda i: differences[i]):
        current += correctness[i] if answerable[i] else -1
        if current > best + 1e-9:
            best, threshold = current, differences[i]
    return threshold, best / len(differences)


@given(QUESTIONS)
def test_threshold_splits_the_questions_as_the_official_script_does(questions):
    by_difference = {question[0]: question for question in questions}  # without ties
    differences, answerable, correctness = map(np.array, zip(*by_difference.values()))
    correctness = np.where(answerable, correctness, 0)  # the script knows no right answer to such a question
    threshold, value = best_threshold(differences, answerable, correctness)
    theirs, best = official_best_threshold(differences, answerable, correctness)
    assert value == pytest.approx(best, abs=1e-12)
    if threshold > min(differences):  # it answers some; for none the script's 0 is no threshold
        assert (differences > threshold).tolist() == (differences > theirs).tolist()


# Real questions

RECORDED = [  # printed by the official scripts (SQuAD's as in transformers 4.57) for the predictions below
    ("xquad_en", "squad", 34.93975903614458, 58.700484896981386),
    ("squad_v2", "squad_v2", 35.573122529644266, 48.129741891695225),
    ("xquad_zh", "cmrc", 33.734939759036145, 54.37300796771478),
    ("cmrc2018", "cmrc", 34.355828220858896, 62.22008403543866),
]
SPLIT = [38.46153846153846, 62.89865152768379, 32.520325203252035]  # HasAns_exact, HasAns_f1, NoAns_exact


def questions_of(path):
    """Gold answers, passages' numbers, and made predictions: right, too long, and off, in turn."""
    golds, passages, predictions = [], [], []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            context, passage = paragraph["context"], passages[-1] + 1 if passages else 0
            for question in paragraph["qas"]:
                answers, turn = question["answers"], len(golds) % 3
                start = answers[-1]["answer_start"] if answers else 0
                end = start + len(answers[-1]["text"]) if answers else 0
                predictions.append([context[start:end], context[start : end + 9], context[:20]][turn])
                golds.append([answer["text"] for answer in answers])
                passages.append(passage)
    return golds, predictions, np.array(passages)


@pytest.mark.shared
@pytest.mark.parametrize("name, rules, exact, f1", RECORDED)
def test_scores_are_those_that_the_official_scripts_print(shared, name, rules, exact, f1):
    golds, predictions, passages = questions_of(shared / "qa" / name / "test.json")
    for groups in (None, passages):
        found = scores(golds, predictions, rules, groups=groups, resampling=Resampling(resamples=100))
        assert 100 * found["exact_match"].value == pytest.approx(exact, abs=1e-9)
        assert 100 * found["f1"].value == pytest.approx(f1, abs=1e-9)


@pytest.mark.shared
def test_the_split_is_that_of_the_official_script(shared):
    golds, predictions, _ = questions_of(shared / "qa" / "squad_v2" / "test.json")
    found = scores(golds, predictions, "squad_v2", resampling=Resampling(resamples=100))
    values = [100 * found[name].value for name in metric_names("squad_v2")[2:]]
    assert values == pytest.approx(SPLIT, abs=1e-9)
    assert [found[name].n for name in metric_names("squad_v2")[2:]] == [130, 130, 123]
