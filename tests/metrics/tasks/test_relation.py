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


def official(references, predictions, negative="Other"):
    """The arithmetic of semeval2010_task8_scorer-v1.2, part (iii), step by step (0 to 1)."""
    confusions, proposed, answers = Counter(), Counter(), Counter()
    for reference, predicted in zip(references, predictions):
        gold_relation, predicted_relation = DIRECTED.sub("", reference), DIRECTED.sub("", predicted)
        answers[gold_relation] += 1
        wrong_direction = predicted != reference and predicted_relation == gold_relation
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
    right, predicted, reference = micro
    p, r = (0 if n == 0 else right / n for n in (predicted, reference))
    result = {"precision": macro[0], "recall": macro[1], "f1": macro[2]}
    result |= {"precision_micro": p, "recall_micro": r, "f1_micro": 0 if p + r == 0 else 2 * p * r / (p + r)}
    return {**result, "accuracy": np.mean([a == b for a, b in zip(references, predictions)])}


def numbered(labels, names):
    return np.array([names.index(label) for label in labels])


def labels_of(path):
    return [json.loads(line)["label"] for line in path.read_text(encoding="utf-8").splitlines()]


def noisy(references, names, right, seed):
    rng = np.random.default_rng(seed)
    return [
        reference if hit else names[other]
        for reference, hit, other in zip(
            references, rng.random(len(references)) < right, rng.integers(0, len(names), len(references))
        )
    ]


# Values


def test_worked_example():
    references = ["Cause-Effect(e1,e2)"] * 4 + ["Message-Topic(e1,e2)"] * 2 + ["Other"] * 3
    predictions = [
        *("Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other"),
        *("Message-Topic(e1,e2)", "Cause-Effect(e2,e1)"),
        *("Other", "Message-Topic(e2,e1)", "Other"),
    ]
    result = values(numbered(references, NAMES), numbered(predictions, NAMES), NAMES)
    # Cause-Effect: 2 correct of 4 predicted and 4 references. Message-Topic: 1 of 2 and 2.
    assert result["precision"] == result["recall"] == result["f1"] == 0.5
    assert (result["precision_micro"], result["recall_micro"]) == (3 / 6, 3 / 6)
    assert result["accuracy"] == 5 / 9


def test_wrong_direction_is_an_error_for_precision_and_recall():
    references, predictions = numbered(["Cause-Effect(e1,e2)"] * 4, NAMES), np.array([0, 0, 2, 2])
    result = values(references, predictions, NAMES)
    assert (result["precision"], result["recall"], result["f1"]) == (0.5, 0.5, 0.5)


@pytest.mark.shared
@pytest.mark.parametrize("right", [0.0, 0.3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_scores_of_semeval_labels_equal_the_official_scorer(shared, part, right):
    references = labels_of(shared / "relation" / "semeval2010_task8" / f"{part}.jsonl")
    names = sorted(
        set(labels_of(shared / "relation" / "semeval2010_task8" / "train.jsonl")) | set(references)
    )
    predictions = noisy(references, names, right, seed=len(references))
    result = values(numbered(references, names), numbered(predictions, names), names)
    expected = official(references, predictions)
    assert set(result) == set(expected) == set(METRICS)
    for name, value in result.items():
        assert value == pytest.approx(expected[name], abs=1e-9)


@pytest.mark.shared
def test_relations_without_direction_are_macro_f1_without_the_negative_class(shared):
    references = labels_of(shared / "relation" / "sanwen_zh" / "test.jsonl")
    names = sorted(set(references))
    predictions = noisy(references, names, 0.6, seed=0)
    result = values(numbered(references, names), numbered(predictions, names), names, negative="unknown")
    kept = [name for name in names if name != "unknown"]
    assert result["f1"] == pytest.approx(
        f1_score(references, predictions, labels=kept, average="macro", zero_division=0), abs=1e-9
    )
    assert result["f1_micro"] == pytest.approx(
        f1_score(references, predictions, labels=kept, average="micro", zero_division=0), abs=1e-9
    )
    assert result["f1"] == pytest.approx(official(references, predictions, "unknown")["f1"], abs=1e-9)


@given(st.lists(st.tuples(*[st.sampled_from(NAMES)] * 2), min_size=1, max_size=30))
def test_scores_of_any_labels_equal_the_official_scorer(pairs):
    references, predictions = zip(*pairs)
    result = values(numbered(references, NAMES), numbered(predictions, NAMES), NAMES)
    for name, expected in official(references, predictions).items():
        assert result[name] == pytest.approx(expected, abs=1e-9)


def test_without_a_negative_class_all_relations_are_averaged():
    references, predictions = np.array([0, 1, 1, 3]), np.array([0, 1, 0, 1])
    result = values(references, predictions, NAMES, negative=None)
    assert result["f1"] == pytest.approx(
        official([NAMES[g] for g in references], [NAMES[p] for p in predictions], None)["f1"], abs=1e-12
    )


def test_f1_of_negatives_only_is_0():
    result = scores(np.ones(5, int), np.ones(5, int), NAMES)
    assert (result["f1"].value, result["accuracy"].value) == (0.0, 1.0)


def test_unknown_negative_class_fails_an_assertion():
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
def test_label_without_direction_is_a_relation_by_itself(label, relation):
    assert remove_direction(label) == relation


# Intervals and pairs


def random_labels(n=300, right=0.7, seed=0):
    rng = np.random.default_rng(seed)
    references = rng.integers(0, len(NAMES), n)
    return references, np.where(rng.random(n) < right, references, rng.integers(0, len(NAMES), n))


def test_intervals_contain_the_values():
    references, predictions = random_labels()
    result = scores(references, predictions, NAMES)
    assert {name: score.value for name, score in result.items()} == pytest.approx(
        values(references, predictions, NAMES), abs=1e-12
    )
    for score in result.values():
        assert score.low < score.value < score.high
    assert result["f1"].method == (
        "BCa bootstrap, 2000 draws, 95%; SemEval-2010 task 8, macro average without the negative class"
    )
    assert result["accuracy"].method == "Wilson 95%"


def test_scores_per_relation():
    references, predictions = random_labels()
    result = per_relation(references, predictions, NAMES)
    assert list(result) == ["Cause-Effect", "Message-Topic"]
    expected = values(references, predictions, NAMES)
    for name in ("f1", "precision", "recall"):
        assert np.mean([row[name].value for row in result.values()]) == pytest.approx(
            expected[name], abs=1e-12
        )
    assert result["Cause-Effect"]["recall"].n == np.isin(references, [0, 2]).sum()


def test_difference_is_first_minus_second():
    references, first = random_labels()
    _, second = random_labels(right=0.4)
    result = difference(references, first, second, NAMES)
    expected = values(references, first, NAMES)["f1"] - values(references, second, NAMES)["f1"]
    assert result.value == pytest.approx(expected, abs=1e-12)
    assert 0 < result.low < result.value < result.high
    assert (result.metric, result.n) == ("f1", 300)
    assert difference(references, first, second, NAMES, "accuracy").method.endswith("McNemar's test")


def test_difference_of_an_unknown_metric_is_an_error():
    references, first = random_labels()
    with pytest.raises(UserError, match="E01"):
        difference(references, first, first, NAMES, "semeval")
