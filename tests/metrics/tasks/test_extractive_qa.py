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

REFERENCES = [["Eiffel Tower", "tower"], ["1889"], ["in Paris"], [], [], ["two years"]]
PREDICTIONS = ["the Eiffel Tower", "in 1889", "Rome", "", "Rome", ""]


def made(n=120, groups=30, seed=0):
    """Questions in groups of different difficulty, and the answers of two systems of different accuracy."""
    rng = np.random.default_rng(seed)
    passages = rng.integers(0, groups, n)
    hard = rng.random(groups)
    references = [["alpha beta"] for _ in range(n)]

    def predict(skill):
        luck = rng.random(n) * 0.3
        return [
            "alpha beta" if hard[g] < skill - r else "alpha" if r > 0.2 else "gamma"
            for g, r in zip(passages, luck)
        ]

    return references, predict(0.8), predict(0.5), passages


# The statistics and their scores


def test_statistics_are_exact_match_f1_and_1():
    rows = match_answers(REFERENCES, PREDICTIONS, "squad_v2")
    assert rows.tolist() == [
        [1, 1, 1],
        [0, pytest.approx(2 / 3), 1],
        [0, 0, 1],
        [1, 1, 1],
        [0, 0, 1],
        [0, 0, 1],
    ]


def test_scores_by_hand():
    result = scores(REFERENCES, PREDICTIONS, "squad_v2")
    values = {name: (score.value, score.n) for name, score in result.items()}
    assert values == {
        "exact_match": (2 / 6, 6),
        "f1": (pytest.approx((1 + 2 / 3 + 1) / 6), 6),
        "has_answer_exact_match": (1 / 4, 4),
        "has_answer_f1": (pytest.approx((1 + 2 / 3) / 4), 4),
        "no_answer_accuracy": (1 / 2, 2),
    }
    assert tuple(result) == metric_names("squad_v2") == tuple(METRICS)


@pytest.mark.parametrize("rules", ["squad", "cmrc"])
def test_rules_without_unanswerable_questions_have_two_scores(rules):
    result = scores([["北京"], ["Paris"]], ["北京。", "in Paris"], rules)
    assert tuple(result) == metric_names(rules) == ("exact_match", "f1")


def test_subsets_without_a_question_have_no_score():
    assert "no_answer_accuracy" not in scores([["a b"]], ["a b"], "squad_v2")
    assert set(scores([[], []], ["", "x"], "squad_v2")) == {"exact_match", "f1", "no_answer_accuracy"}


def test_exact_match_has_a_wilson_interval_and_the_method_names_the_scale():
    result = scores(REFERENCES, PREDICTIONS, "squad_v2")
    scale = "SQuAD v2.0 rules, whose script prints 100 times this"
    assert result["exact_match"].method == f"Wilson 95%; {scale}"
    assert result["f1"].method == f"BCa bootstrap, 2000 draws, 95%; {scale}"
    wilson = stats.binomtest(2, 6).proportion_ci(0.95, "wilson")
    assert (result["exact_match"].low, result["exact_match"].high) == pytest.approx((wilson.low, wilson.high))


def test_no_interval_without_questions():
    result = scores([], [], "squad_v2", groups=np.zeros(0, int))
    assert (result["f1"].n, result["f1"].low) == (0, None)
    assert scores([], [])["exact_match"].n == 0


def test_unequal_numbers_of_predictions_and_questions_are_an_error():
    with pytest.raises(ValueError):
        scores(REFERENCES, PREDICTIONS[:-1], "squad_v2")


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a b", "b", "the", ""]), max_size=2), st.sampled_from(["b", "", "b c"])
        )
    )
)
@settings(max_examples=40)
def test_total_score_is_the_weighted_mean_of_the_subsets(questions):
    references, predictions = (
        [reference for reference, _ in questions],
        [prediction for _, prediction in questions],
    )
    result = scores(references, predictions, "squad_v2", resampling=Resampling(resamples=20))
    parts = [result[name] for name in ("has_answer_exact_match", "no_answer_accuracy") if name in result]
    whole = result["exact_match"]
    assert sum(part.n for part in parts) == whole.n == len(questions)
    assert sum(part.value * part.n for part in parts) == pytest.approx(whole.value * whole.n)


# Passages


def test_groups_of_one_question_change_only_the_method():
    references, predictions, _, _ = made()
    plain = scores(references, predictions)["f1"]
    grouped = scores(references, predictions, groups=np.arange(len(references)))["f1"]
    assert (grouped.value, grouped.n) == (plain.value, plain.n)
    assert (grouped.low, grouped.high) == pytest.approx((plain.low, plain.high), abs=0.01)
    assert "clustered by 120 groups; SQuAD v1.1 rules" in grouped.method


@pytest.mark.parametrize("name", ["exact_match", "f1"])
def test_duplicated_questions_of_a_passage_do_not_narrow_the_interval(name):
    references, predictions, _, _ = made(40, 40)
    groups = np.arange(40)
    once = scores(references, predictions, groups=groups)[name]
    often = scores(references * 9, predictions * 9, groups=np.tile(groups, 9))[name]
    fooled = scores(references * 9, predictions * 9)[name]
    assert (often.low, often.high, often.n) == (pytest.approx(once.low), pytest.approx(once.high), 360)
    assert fooled.high - fooled.low < 0.5 * (often.high - often.low)


def test_interval_equals_the_bootstrap_of_whole_passages():
    references, predictions, _, groups = made()
    rows = match_answers(references, predictions, "squad")
    sums = np.array([rows[groups == group].sum(axis=0) for group in np.unique(groups)])
    result = scores(references, predictions, groups=groups, resampling=Resampling(resamples=10_000))["f1"]
    theirs = stats.bootstrap(
        (sums[:, 1], sums[:, 2]),
        lambda f1, n, axis: f1.sum(axis) / n.sum(axis),
        paired=True,
        n_resamples=10_000,
        rng=1,
    ).confidence_interval
    assert (result.low, result.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_subsets_count_the_passages_they_contain():
    result = scores(REFERENCES, PREDICTIONS, "squad_v2", groups=np.array([7, 7, 7, 9, 3, 3]))
    assert "clustered by 3 groups" in result["f1"].method
    assert "clustered by 2 groups" in result["has_answer_f1"].method
    assert "clustered by 2 groups" in result["no_answer_accuracy"].method


def test_interval_without_any_hit_does_not_collapse_to_0():
    references, groups = [["alpha"]] * 60, np.arange(60) // 3
    for prediction, value in (("beta", 0.0), ("alpha", 1.0)):
        result = scores(references, [prediction] * 60, groups=groups)["exact_match"]
        expected = stats.binomtest(round(20 * value), 20).proportion_ci(0.95, "wilson")
        assert (result.low, result.high) == pytest.approx((expected.low, expected.high))
        assert (result.value, result.n) == (value, 60)
        assert result.method.startswith("Wilson 95% as of 20 groups")


def test_one_passage_has_no_interval():
    result = scores(REFERENCES, PREDICTIONS, "squad_v2", groups=np.zeros(6, int))["f1"]
    assert (result.low, result.high, result.n) == (None, None, 6)
    assert result.method.startswith("no interval: one group")


# Two systems


def test_difference_equals_the_difference_of_the_scores():
    references, first, second, groups = made()
    for name in ("exact_match", "f1"):
        for how in (None, groups):
            result = difference(references, first, second, metric=name, groups=how)
            a, b = scores(references, first)[name], scores(references, second)[name]
            assert result.value == pytest.approx(a.value - b.value)
            assert (result.n, result.metric) == (len(references), name)
            assert result.low <= result.value <= result.high


def test_difference_within_a_subset():
    result = difference(
        REFERENCES, PREDICTIONS, ["tower", "1889", "in Paris", "x", "", ""], "squad_v2", "has_answer_f1"
    )
    assert (result.value, result.n) == (pytest.approx(5 / 12 - 3 / 4), 4)


def test_single_questions_use_mcnemar_and_passages_are_swapped_as_a_whole():
    references, first, second, groups = made()
    alone = difference(references, first, second, metric="exact_match")
    together = difference(references, first, second, metric="exact_match", groups=groups)
    assert alone.method.endswith("p by McNemar's test")
    assert together.method.endswith("p by 2000 random swaps; clustered by 30 groups")
    assert together.high - together.low > alone.high - alone.low


def test_duplicates_within_passages_do_not_change_the_p_value():
    references, first, second, _ = made(12, 12)
    groups = np.arange(12)
    once = difference(references, first, second, groups=groups)
    often = difference(references * 20, first * 20, second * 20, groups=np.tile(groups, 20))
    fooled = difference(references * 20, first * 20, second * 20)
    assert often.p_value == pytest.approx(once.p_value, abs=0.02)
    assert fooled.p_value < 0.1 * often.p_value


def test_unknown_metric_error_lists_the_known_ones():
    with pytest.raises(UserError, match=r'E01.*unknown metric "accuracy".*exact_match'):
        difference(REFERENCES, PREDICTIONS, PREDICTIONS, "squad_v2", "accuracy")


# The threshold


def value_at(threshold, differences, answerable, correctness):
    silent = np.asarray(differences) > threshold
    return float(np.where(silent, ~np.asarray(answerable, bool), correctness).mean())


def test_best_threshold_by_hand():
    # By increasing difference: correct, wrong but answerable, unanswerable, half correct, unanswerable.
    differences, answerable = (
        np.array([-3.0, -2.0, 0.0, 1.0, 5.0]),
        np.array([True, True, False, True, False]),
    )
    assert best_threshold(differences, answerable, np.array([1, 0, 0, 0.5, 0])) == (-2.5, 3 / 5)
    assert best_threshold(differences, answerable, np.array([1, 1, 0, 1, 0])) == (-1.0, 4 / 5)
    assert best_threshold(differences, answerable, np.array([0, 0, 0, 0, 0])) == (-4.0, 2 / 5)
    assert best_threshold(differences, ~answerable | answerable, np.ones(5)) == (6.0, 1.0)


def test_equal_score_differences_are_on_one_side_of_the_threshold():
    # No threshold separates the two, although the official script would count one.
    assert best_threshold(np.zeros(2), np.array([True, False]), np.array([1.0, 0.0])) == (-1.0, 0.5)


@pytest.mark.parametrize("low", [1.0, float(np.nextafter(1, 2))])
def test_neighbouring_floats_are_separated(low):
    high = float(np.nextafter(low, 2))
    threshold, value = best_threshold(np.array([low, high]), np.array([True, False]), np.array([1.0, 0.0]))
    assert low <= threshold < high
    assert value == 1.0


def test_threshold_is_finite_with_questions_without_any_span():
    answerable, right = np.array([True, False]), np.array([1.0, 0.0])
    assert best_threshold(np.array([2.0, np.inf]), answerable, right)[1] == 1.0
    for differences in ([2.0, np.inf], [np.inf, np.inf], [-np.inf, np.inf], [-np.inf, -np.inf]):
        threshold, value = best_threshold(np.array(differences), answerable, right)
        assert np.isfinite(threshold)
        assert value == value_at(threshold, differences, answerable, right)


def test_threshold_without_questions_is_0():
    assert best_threshold(np.zeros(0), np.zeros(0, bool), np.zeros(0)) == (0.0, 0.0)


QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from([-2.0, -1.5, 0.0, 0.1, 3.0, 7.25]), st.booleans(), st.sampled_from([0, 0.4, 2 / 3, 1])
    ),
    min_size=1,
    max_size=12,
)


@given(QUESTIONS)
def test_no_other_threshold_is_better_and_the_returned_score_is_correct(questions):
    differences, answerable, correctness = map(np.array, zip(*questions))
    threshold, value = best_threshold(differences, answerable, correctness)
    assert value == pytest.approx(value_at(threshold, differences, answerable, correctness), abs=1e-12)
    others = [-10.0, *differences, *(differences + 0.01), 10.0]
    assert value >= max(value_at(t, differences, answerable, correctness) for t in others) - 1e-9


def official_best_threshold(differences, answerable, correctness):
    """find_best_thresh of evaluate-v2.0.py, whose thresholds are score differences themselves."""
    best = current = float(sum(not each for each in answerable))
    threshold = 0.0
    for i in sorted(range(len(differences)), key=lambda i: differences[i]):
        current += correctness[i] if answerable[i] else -1
        if current > best + 1e-9:
            best, threshold = current, differences[i]
    return threshold, best / len(differences)


@given(QUESTIONS)
def test_threshold_separates_questions_as_the_official_script(questions):
    by_difference = {question[0]: question for question in questions}  # without ties
    differences, answerable, correctness = map(np.array, zip(*by_difference.values()))
    correctness = np.where(answerable, correctness, 0)  # the script has no correct answer to such a question
    threshold, value = best_threshold(differences, answerable, correctness)
    theirs, best = official_best_threshold(differences, answerable, correctness)
    assert value == pytest.approx(best, abs=1e-12)
    if threshold > min(
        differences
    ):  # it answers some; if it answers none, the script returns 0, which is not a threshold
        assert (differences > threshold).tolist() == (differences > theirs).tolist()


# Real questions

RECORDED = [  # output of the official scripts (SQuAD's as in transformers 4.57) for the predictions below
    ("xquad_en", "squad", 34.93975903614458, 58.700484896981386),
    ("squad_v2", "squad_v2", 35.573122529644266, 48.129741891695225),
    ("xquad_zh", "cmrc", 33.734939759036145, 54.37300796771478),
    ("cmrc2018", "cmrc", 34.355828220858896, 62.22008403543866),
]
SPLIT = [38.46153846153846, 62.89865152768379, 32.520325203252035]  # HasAns_exact, HasAns_f1, NoAns_exact


def questions_of(path):
    """Reference answers, passage numbers, and artificial predictions: correct, too long, and wrong, in turn."""
    references, passages, predictions = [], [], []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            context, passage = paragraph["context"], passages[-1] + 1 if passages else 0
            for question in paragraph["qas"]:
                answers, turn = question["answers"], len(references) % 3
                start = answers[-1]["answer_start"] if answers else 0
                end = start + len(answers[-1]["text"]) if answers else 0
                predictions.append([context[start:end], context[start : end + 9], context[:20]][turn])
                references.append([answer["text"] for answer in answers])
                passages.append(passage)
    return references, predictions, np.array(passages)


@pytest.mark.shared
@pytest.mark.parametrize("name, rules, exact, f1", RECORDED)
def test_scores_equal_the_official_scripts(shared, name, rules, exact, f1):
    references, predictions, passages = questions_of(shared / "qa" / name / "test.json")
    for groups in (None, passages):
        result = scores(references, predictions, rules, groups=groups, resampling=Resampling(resamples=100))
        assert 100 * result["exact_match"].value == pytest.approx(exact, abs=1e-9)
        assert 100 * result["f1"].value == pytest.approx(f1, abs=1e-9)


@pytest.mark.shared
def test_answerable_and_unanswerable_scores_equal_the_official_script(shared):
    references, predictions, _ = questions_of(shared / "qa" / "squad_v2" / "test.json")
    result = scores(references, predictions, "squad_v2", resampling=Resampling(resamples=100))
    values = [100 * result[name].value for name in metric_names("squad_v2")[2:]]
    assert values == pytest.approx(SPLIT, abs=1e-9)
    assert [result[name].n for name in metric_names("squad_v2")[2:]] == [130, 130, 123]
