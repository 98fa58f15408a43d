import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from llmkit.base.errors import UserError
from llmkit.metrics.tasks.relation import METRICS, difference, per_relation, remove_direction, scores, values

NAMES = [
    "Cause-Effect(e1,e2)",
    "Other",
    "Cause-Effect(e2,e1)",
    "Message-Topic(e1,e2)",
    "Message-Topic(e2,e1)",
]
DIRECTED = re.compile(r"\(e[12],e[12]\)$")


def official(golds, predictions, negative="Other"):
    """The arithmetic of semeval2010_task8_scorer-v1.2, part (iii), step by step as it stands there (0 to 1)."""
    confusions, proposed, answers = Counter(), Counter(), Counter()
    for gold, predicted in zip(golds, predictions):
        gold_relation, predicted_relation = DIRECTED.sub("", gold), DIRECTED.sub("", predicted)
        answers[gold_relation] += 1
        wrong_direction = predicted != gold and predicted_relation == gold_relation
        column = "WRONG_DIR" if wrong_direction else predicted_relation
        confusions[column, gold_relation] += 1
        proposed[column] += 1
    macro, micro = np.zeros(3), np.zeros(3)
    for relation in sorted(answers):
        wrong_direction, right = confusions["WRONG_DIR", relation], confusions[relation, relation]
        p = 0 if proposed[relation] == 0 else right / (proposed[relation] + wrong_direction)
        r = right / answers[relation]
        f = 0 if p + r == 0 else 2 * p * r / (p + r)
        if relation != negative:
            macro += p, r, f
            micro += right, proposed[relation] + wrong_direction, answers[relation]
    macro /= max(1, len(answers) - (negative in answers))
    right, predicted, gold = micro
    p, r = (0 if n == 0 else right / n for n in (predicted, gold))
    found = {"precision": macro[0], "recall": macro[1], "f1": macro[2]}
    found |= {"precision_micro": p, "recall_micro": r, "f1_micro": 0 if p + r == 0 else 2 * p * r / (p + r)}
    return {**found, "accuracy": np.mean([a == b for a, b in zip(golds, predictions)])}


def numbered(labels, names):
    return np.array([names.index(label) for label in labels])


def labels_of(path):
    return [json.loads(line)["label"] for line in path.read_text(encoding="utf-8").splitlines()]


def noisy(golds, names, right, seed):
    rng = np.random.default_rng(seed)
    return [
        gold if hit else names[other]
        for gold, hit, other in zip(
            golds, rng.random(len(golds)) < right, rng.integers(0, len(names), len(golds))
        )
    ]


# Values


def test_a_worked_example():
    golds = ["Cause-Effect(e1,e2)"] * 4 + ["Message-Topic(e1,e2)"] * 2 + ["Other"] * 3
    predictions = [
        *("Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other"),
        *("Message-Topic(e1,e2)", "Cause-Effect(e2,e1)"),
        *("Other", "Message-Topic(e2,e1)", "Other"),
    ]
    found = values(numbered(golds, NAMES), numbered(predictions, NAMES), NAMES)
    # Cause-Effect: 2 right of 4 predicted and 4 gold. Message-Topic: 1 right of 2 predicted and 2 gold.
    assert found["precision"] == found["recall"] == found["f1"] == 0.5
    assert (found["precision_micro"], found["recall_micro"]) == (3 / 6, 3 / 6)
    assert found["accuracy"] == 5 / 9


def test_the_wrong_direction_is_wrong_for_precision_and_recall():
    golds, predictions = numbered(["Cause-Effect(e1,e2)"] * 4, NAMES), np.array([0, 0, 2, 2])
    found = values(golds, predictions, NAMES)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)


@pytest.mark.shared
@pytest.mark.parametrize("right", [0.0, 0.3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_semeval_labels_with_random_predictions_score_as_the_official_scorer(shared, part, right):
    golds = labels_of(shared / "relation" / "semeval2010_task8" / f"{part}.jsonl")
    names = sorted(set(labels_of(shared / "relation" / "semeval2010_task8" / "train.jsonl")) | set(golds))
    predictions = noisy(golds, names, right, seed=len(golds))
    found = values(numbered(golds, names), numbered(predictions, names), names)
    expected = official(golds, predictions)
    assert set(found) == set(expected) == set(METRICS)
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=1e-9)


@pytest.mark.shared
def test_chinese_relations_without_direction_are_macro_f1_without_unknown(shared):
    golds = labels_of(shared / "relation" / "sanwen_zh" / "test.jsonl")
    names = sorted(set(golds))
    predictions = noisy(golds, names, 0.6, seed=0)
    found = values(numbered(golds, names), numbered(predictions, names), names, negative="unknown")
    kept = [name for name in names if name != "unknown"]
    assert found["f1"] == pytest.approx(
        f1_score(golds, predictions, labels=kept, average="macro", zero_division=0), abs=1e-9
    )
    assert found["f1_micro"] == pytest.approx(
        f1_score(golds, predictions, labels=kept, average="micro", zero_division=0), abs=1e-9
    )
    assert found["f1"] == pytest.approx(official(golds, predictions, "unknown")["f1"], abs=1e-9)


@given(st.lists(st.tuples(*[st.sampled_from(NAMES)] * 2), min_size=1, max_size=30))
def test_any_labels_score_as_the_official_scorer(pairs):
    golds, predictions = zip(*pairs)
    found = values(numbered(golds, NAMES), numbered(predictions, NAMES), NAMES)
    for name, expected in official(golds, predictions).items():
        assert found[name] == pytest.approx(expected, abs=1e-9)


def test_without_a_negative_class_all_relations_are_in_the_mean():
    golds, predictions = np.array([0, 1, 1, 3]), np.array([0, 1, 0, 1])
    found = values(golds, predictions, NAMES, negative=None)
    assert found["f1"] == pytest.approx(
        official([NAMES[g] for g in golds], [NAMES[p] for p in predictions], None)["f1"], abs=1e-12
    )


def test_only_negatives_score_nothing():
    found = scores(np.ones(5, int), np.ones(5, int), NAMES)
    assert (found["f1"].value, found["accuracy"].value) == (0.0, 1.0)


def test_a_misspelt_negative_class_is_a_bug():
    with pytest.raises(AssertionError, match="is not a label"):
        values(np.array([0]), np.array([0]), NAMES, negative="other")


@pytest.mark.parametrize(
    "label, relation",
    [
        ("Cause-Effect(e1,e2)", "Cause-Effect"),
        ("Cause-Effect(e2,e1)", "Cause-Effect"),
        ("Other", "Other"),
        ("Part-Whole", "Part-Whole"),
        ("per:origin(city)", "per:origin(city)"),
    ],
)
def test_a_label_without_a_direction_is_its_own_relation(label, relation):
    assert remove_direction(label) == relation


# Intervals and pairs


def random_labels(n=300, right=0.7, seed=0):
    rng = np.random.default_rng(seed)
    golds = rng.integers(0, len(NAMES), n)
    return golds, np.where(rng.random(n) < right, golds, rng.integers(0, len(NAMES), n))


def test_scores_have_intervals_around_the_values():
    golds, predictions = random_labels()
    found = scores(golds, predictions, NAMES)
    assert {name: score.value for name, score in found.items()} == pytest.approx(
        values(golds, predictions, NAMES), abs=1e-12
    )
    for score in found.values():
        assert score.low < score.value < score.high
    assert found["f1"].method == (
        "BCa bootstrap, 2000 draws, 95%; SemEval-2010 task 8, macro average without the negative class"
    )
    assert found["accuracy"].method == "Wilson 95%"


def test_every_relation_has_its_own_scores():
    golds, predictions = random_labels()
    found = per_relation(golds, predictions, NAMES)
    assert list(found) == ["Cause-Effect", "Message-Topic"]
    expected = values(golds, predictions, NAMES)
    for name in ("f1", "precision", "recall"):
        assert np.mean([row[name].value for row in found.values()]) == pytest.approx(
            expected[name], abs=1e-12
        )
    assert found["Cause-Effect"]["recall"].n == np.isin(golds, [0, 2]).sum()


def test_a_difference_is_first_minus_second():
    golds, first = random_labels()
    _, second = random_labels(right=0.4)
    found = difference(golds, first, second, NAMES)
    expected = values(golds, first, NAMES)["f1"] - values(golds, second, NAMES)["f1"]
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert 0 < found.low < found.value < found.high
    assert (found.metric, found.n) == ("f1", 300)
    assert difference(golds, first, second, NAMES, "accuracy").method.endswith("McNemar's test")


def test_an_unknown_metric_has_no_difference():
    golds, first = random_labels()
    with pytest.raises(UserError, match="E01"):
        difference(golds, first, first, NAMES, "semeval")
