import json
import random

import numpy as np
import pytest
import seqeval.metrics as seqeval
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB2

from llmkit.base.errors import UserError
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks.entities import METRICS, count_entities, difference, get_metric, per_type, scores
from llmkit.text import tags

TYPES = ["LOC", "ORG", "PER"]
LABELS = tags.make_labels(TYPES)
STRICT = {False: {}, True: {"mode": "strict", "scheme": IOB2}}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Mean of empty slice"),  # seqeval's macro average without any entity
    pytest.mark.filterwarnings("ignore:invalid value encountered"),
]


def ids(sentences, types=TYPES):
    return tags.tags_to_ids(sentences, types)


def random_pairs(n, seed, wrong=0.3, labels=LABELS):
    """Reference and predicted tags drawn word by word, so that most kinds of invalid transitions occur."""
    rng = random.Random(seed)
    references = [rng.choices(labels, k=rng.randint(0, 12)) for _ in range(n)]
    return references, corrupted(references, seed, wrong, labels)


def corrupted(references, seed, wrong=0.15, labels=LABELS):
    rng = random.Random(seed + 1)
    return [[rng.choice(labels) if rng.random() < wrong else tag for tag in row] for row in references]


def check_against_seqeval(references, predictions, types, strict):
    how = {**STRICT[strict], "zero_division": 0}
    ours = scores(
        ids(references, types),
        ids(predictions, types),
        types,
        strict=strict,
        resampling=Resampling(resamples=2),
    )
    for name, function in [
        ("f1", seqeval.f1_score),
        ("precision", seqeval.precision_score),
        ("recall", seqeval.recall_score),
    ]:
        assert ours[name].value == pytest.approx(function(references, predictions, **how), abs=1e-9)
    if any(references):
        accuracy = seqeval.accuracy_score(references, predictions)
        assert ours["token_accuracy"].value == pytest.approx(accuracy, abs=1e-9)
    report = seqeval.classification_report(references, predictions, output_dict=True, **how)
    if np.isnan(report["macro avg"]["f1-score"]):  # no entity at all
        report["macro avg"]["f1-score"] = 0
    assert ours["f1_macro"].value == pytest.approx(report["macro avg"]["f1-score"], abs=1e-9)
    result = per_type(ids(references, types), ids(predictions, types), types, strict=strict)
    for label in types:
        theirs = report.get(label, {"precision": 0, "recall": 0, "f1-score": 0, "support": 0})
        for name, key in [("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")]:
            assert result[label][name].value == pytest.approx(theirs[key], abs=1e-9)
        assert result[label]["recall"].n == theirs["support"]


# A second implementation of conlleval, which counts while it reads, without spans


def chunk_ends(before, tag):
    rule = before[0] + tag[0] in ("BB", "BO", "IB", "IO")
    return rule or (before[0] != "O" and before[1] != tag[1])


def chunk_starts(before, tag):
    rule = before[0] + tag[0] in ("BB", "IB", "OB", "OI")
    return rule or (tag[0] != "O" and before[1] != tag[1])


def conlleval(references, predictions):
    """Correct, reference and predicted entities, and correct words, of all sentences."""
    right = gold_count = predicted_count = words = 0
    outside, inside_right = ("O", ""), False
    last_gold = last_predicted = outside
    for gold_row, predicted_row in zip(references, predictions):
        rows = [[*(split(tag) for tag in row), outside] for row in (gold_row, predicted_row)]
        for position, (reference, predicted) in enumerate(zip(*rows)):
            ends = chunk_ends(last_gold, reference), chunk_ends(last_predicted, predicted)
            begins = chunk_starts(last_gold, reference), chunk_starts(last_predicted, predicted)
            if inside_right and all(ends) and last_gold[1] == last_predicted[1]:
                right, inside_right = right + 1, False
            elif inside_right and (ends[0] != ends[1] or reference[1] != predicted[1]):
                inside_right = False
            inside_right = inside_right or (all(begins) and reference[1] == predicted[1])
            gold_count, predicted_count = gold_count + begins[0], predicted_count + begins[1]
            words += position < len(gold_row) and reference == predicted
            last_gold, last_predicted = reference, predicted
    return right, gold_count, predicted_count, words


def split(tag):
    prefix, _, label = tag.partition("-")
    return prefix, label


def check_against_conlleval(references, predictions, types):
    sums = count_entities(ids(references, types), ids(predictions, types), types).sum(0)
    right, reference, predicted = sums[:-2].reshape(3, len(types)).sum(1)
    assert (right, reference, predicted, sums[-2]) == conlleval(references, predictions)
    assert sums[-1] == sum(map(len, references))


SENTENCES = st.lists(
    st.lists(st.tuples(*[st.sampled_from(LABELS)] * 2), max_size=10).map(
        lambda words: ([reference for reference, _ in words], [predicted for _, predicted in words])
    ),
    min_size=1,
    max_size=5,
).map(lambda pairs: tuple(map(list, zip(*pairs))))


@pytest.mark.parametrize("strict", [False, True])
@given(pair=SENTENCES)
@settings(max_examples=60)
def test_scores_of_random_tags_equal_seqeval(strict, pair):
    check_against_seqeval(*pair, TYPES, strict)


@given(pair=SENTENCES)
def test_counts_of_random_tags_equal_conlleval(pair):
    check_against_conlleval(*pair, TYPES)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("wrong", [0.0, 0.3, 1.0])
def test_scores_of_random_corpora_equal_seqeval(strict, wrong):
    for seed in range(3):
        check_against_seqeval(*random_pairs(80, seed, wrong), TYPES, strict)


def test_counts_of_random_corpora_equal_conlleval():
    for seed in range(10):
        check_against_conlleval(*random_pairs(80, seed, 0.3), TYPES)


def real(folder, part):
    """Reference tags in IOB2."""
    if (folder / f"{part}.jsonl").exists():
        lines = (folder / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
        return [tags.to_iob2(json.loads(line)["tags"]) for line in lines]
    blocks = (folder / f"{part}.conll").read_text(encoding="utf-8").strip().split("\n\n")
    return [tags.to_iob2([line.split()[-1] for line in block.strip().splitlines()]) for block in blocks]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["conll2003", "wnut17", "resume_zh"])
def test_scores_of_real_corpora_equal_seqeval_and_conlleval(shared, name):
    references = real(shared / "ner" / name, "test")
    types = tags.collect_types(references)
    for seed, wrong in enumerate([0.02, 0.15]):
        predictions = corrupted(references, seed, wrong, tags.make_labels(types))
        for strict in (False, True):
            check_against_seqeval(references, predictions, types, strict)
        check_against_conlleval(references, predictions, types)


# By hand


def test_strict_and_default_differ_if_an_entity_begins_with_i():
    references, predictions = [["B-PER", "I-PER", "O", "B-LOC"]], [["I-PER", "I-PER", "O", "B-LOC"]]
    assert scores(ids(references), ids(predictions), TYPES)["f1"].value == 1
    strict = scores(ids(references), ids(predictions), TYPES, strict=True)
    assert [strict[name].value for name in ("precision", "recall", "f1")] == [1, 0.5, pytest.approx(2 / 3)]
    assert strict["token_accuracy"].value == 0.75


def test_statistics_are_counts_by_type_then_words():
    references = [["B-PER", "I-PER", "B-LOC"], [], ["B-LOC"]]
    predictions = [["B-PER", "O", "B-LOC"], [], ["B-ORG"]]
    assert count_entities(ids(references), ids(predictions), TYPES).tolist() == [
        [1, 0, 0, 1, 0, 1, 1, 0, 1, 2, 3],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1],
    ]


def test_entities_never_span_two_sentences():
    result = count_entities(ids([["B-LOC"], ["I-LOC"]]), ids([["B-LOC"], ["I-LOC"]]), TYPES)
    assert result[:, [0, 3, 6]].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert count_entities(ids([["B-LOC"], ["I-LOC"]]), ids([["B-LOC"], ["I-LOC"]]), TYPES, strict=True)[
        :, [0, 3, 6]
    ].tolist() == [[1, 1, 1], [0, 0, 0]]


@given(pair=SENTENCES, strict=st.booleans())
def test_label_ids_and_tags_give_the_same_entities(pair, strict):
    references, predictions = pair
    result = count_entities(ids(references), ids(predictions), TYPES, strict=strict)
    for row, *sentence in zip(result.tolist(), references, predictions):
        reference, predicted = (set(tags.tags_to_spans(each, strict=strict)) for each in sentence)
        kinds = [reference & predicted, reference, predicted]
        assert row[:-2] == [sum(span.label == label for span in kind) for kind in kinds for label in TYPES]


def test_rows_may_be_arrays_or_an_object_array():
    references, predictions = random_pairs(20, 0)
    rows = np.empty(20, object)
    rows[:] = [np.array(row) for row in ids(predictions)]
    assert np.array_equal(
        count_entities(ids(references), rows, TYPES), count_entities(ids(references), ids(predictions), TYPES)
    )


def test_metrics_accept_any_leading_axes():
    totals = np.stack([count_entities(*map(ids, random_pairs(20, seed)), TYPES).sum(0) for seed in range(6)])
    for metric in METRICS.values():
        together = metric.score(totals.reshape(2, 3, 11))
        assert together.shape == (2, 3)
        assert together.ravel().tolist() == [float(metric.score(total)) for total in totals]


def test_scores_without_entities_are_zero():
    outside = ids([["O", "O"], ["O"]])
    result = scores(outside, outside, TYPES)
    assert [result[name].value for name in METRICS] == [0, 0, 0, 0, 1]
    for row in per_type(outside, outside, TYPES).values():
        assert {(score.value, score.low, score.n) for score in row.values()} == {(0, None, 0)}


def test_no_interval_without_sentences():
    for score in scores([], [], TYPES).values():
        assert (score.value, score.low, score.n) == (0, None, 0)
    for row in per_type([], [], TYPES).values():
        assert {score.low for score in row.values()} == {None}


def test_unequal_lengths_and_unknown_labels_fail_an_assertion():
    with pytest.raises(AssertionError, match="not of these types"):
        count_entities([[7]], [[0]], TYPES)
    with pytest.raises(AssertionError, match="not of these types"):
        count_entities([[0]], [[-100]], TYPES)
    with pytest.raises(AssertionError, match="different lengths"):
        count_entities([[0], [0, 0]], [[0, 0], [0]], TYPES)


def test_unknown_metric_suggests_the_closest_name():
    with pytest.raises(UserError, match=r'error\[E01\] unknown metric "f1_marco"; did you mean "f1_macro"\?'):
        get_metric("f1_marco")


# Intervals


def test_method_strings_describe_the_interval_and_the_average():
    references, predictions = map(ids, random_pairs(60, 0))
    bootstrap, entities = "BCa bootstrap, 2000 draws, 95%", "entities, exact span and type"
    result = scores(references, predictions, TYPES)
    assert result["f1"].method == f"{bootstrap}; {entities}, conlleval"
    assert result["f1_macro"].method == f"{bootstrap}; macro average over types; {entities}, conlleval"
    assert result["token_accuracy"].method == f"{bootstrap}; share of words tagged correctly"
    assert {score.n for score in result.values()} == {60}
    strict = scores(references, predictions, TYPES, strict=True)["recall"]
    assert strict.method == f"{bootstrap}; {entities}, strict IOB2"
    assert strict.low < strict.value < strict.high
    by_type = per_type(references, predictions, TYPES)["LOC"]
    assert by_type["recall"].method == f"Wilson 95%, clustered by sentence; {entities}, conlleval"
    assert (
        by_type["f1"].method
        == f"Wilson 95% of the Jaccard share, clustered by sentence; {entities}, conlleval"
    )


def one_type(sentences):
    """Label ids of sentences given as numbers of (found, missed) entities of one word."""
    references = [[1, 0] * (result + missed) for result, missed in sentences]
    return references, [[1, 0] * result + [0, 0] * missed for result, missed in sentences]


def test_independent_entities_have_the_wilson_interval():
    recall = per_type(*one_type([(1, 0)] * 40 + [(0, 1)] * 10), ["LOC"])["LOC"]["recall"]
    assert (recall.value, recall.n) == (0.8, 50)
    # Wilson of 40 out of 50, except for N / (N - 1) in the variance by sentences
    assert (recall.low, recall.high) == pytest.approx((0.6696, 0.8876), abs=2e-3)


def test_clustered_entities_widen_the_interval():
    alone = per_type(*one_type([(1, 0)] * 40 + [(0, 1)] * 10), ["LOC"])["LOC"]
    together = per_type(*one_type([(5, 0)] * 8 + [(0, 5)] * 2), ["LOC"])["LOC"]
    for name in ("recall", "f1"):
        assert together[name].value == alone[name].value
        assert together[name].high - together[name].low > 1.5 * (alone[name].high - alone[name].low)
    assert together["recall"].n == alone["recall"].n == 50


def test_perfectly_recognized_rare_type_has_an_interval_below_1():
    result = per_type(*one_type([(1, 0)] * 5 + [(0, 0)] * 50), ["LOC"])["LOC"]
    assert result["recall"].high == result["f1"].high == 1
    assert result["recall"].low == pytest.approx(0.5655, abs=1e-4)  # Wilson of 5 out of 5
    assert result["f1"].low == pytest.approx(2 * 0.5655 / 1.5655, abs=1e-4)
    one_sentence = per_type(*one_type([(5, 0), (0, 0)]), ["LOC"])["LOC"]["recall"]
    assert one_sentence.low == pytest.approx(0.2065, abs=1e-4)  # Wilson of 1 out of 1
    mixed = per_type(*one_type([(4, 1), (0, 0)]), ["LOC"])["LOC"]["recall"]
    assert mixed.high - mixed.low > 0.7


def clustered_corpus(rng, sentences, rate, agreement, recall):
    """Sentences with their own recall, drawn around the true one, so that the clusters are strong."""
    counts = np.where(rng.random(sentences) < rate, 1 + rng.poisson(1.0, sentences), 0)
    result = rng.binomial(counts, rng.beta(recall * agreement, (1 - recall) * agreement, sentences))
    return one_type(list(zip(result.tolist(), (counts - result).tolist())))


@pytest.mark.parametrize(
    ("sentences", "rate", "agreement", "recall"),
    [(400, 0.3, 0.5, 0.8), (400, 0.3, 50, 0.8), (200, 0.1, 2, 0.95), (200, 0.03, 2, 0.9)],
)
def test_interval_of_a_type_covers_the_true_recall(sentences, rate, agreement, recall):
    rng, covered = np.random.default_rng(0), []
    for _ in range(400):
        result = per_type(*clustered_corpus(rng, sentences, rate, agreement, recall), ["LOC"])["LOC"][
            "recall"
        ]
        covered.append(result.low is not None and result.low <= recall <= result.high)
    assert 0.92 <= np.mean(covered) <= 0.99


def test_bca_interval_covers_the_true_recall_of_all_types():
    rng, covered = np.random.default_rng(0), []
    for trial in range(200):
        rows = count_entities(*clustered_corpus(rng, 150, 0.5, 2, 0.8), ["LOC"])
        result = scores_of(rows, trial)
        covered.append(result.low <= 0.8 <= result.high)
    assert 0.91 <= np.mean(covered) <= 0.98


def scores_of(rows, seed):
    from llmkit.metrics.intervals import measure

    return measure(rows, [get_metric("recall")], resampling=Resampling(resamples=400, seed=seed))["recall"]


# Two systems


@pytest.mark.parametrize("strict", [False, True])
def test_difference_is_first_minus_second(strict):
    references, _ = random_pairs(150, 0)
    first, second = corrupted(references, 1, 0.05), corrupted(references, 2, 0.3)
    for name in METRICS:
        result = difference(
            ids(references),
            ids(first),
            ids(second),
            TYPES,
            name,
            strict=strict,
            resampling=Resampling(resamples=300),
        )
        values = [
            scores(ids(references), ids(each), TYPES, strict=strict, resampling=Resampling(resamples=2))[
                name
            ].value
            for each in (first, second)
        ]
        assert result.value == pytest.approx(values[0] - values[1], abs=1e-12)
        assert 0 < result.low < result.value < result.high
        assert (result.metric, result.n) == (name, 150)
        assert result.p_value < 0.01
        assert result.method.endswith(get_metric(name, strict=strict).note)


def test_equal_predictions_have_no_difference():
    references, predictions = map(ids, random_pairs(50, 0))
    result = difference(references, predictions, predictions, TYPES)
    assert (result.metric, result.value, result.p_value) == ("f1", 0, 1)
    with pytest.raises(UserError, match="E01"):
        difference(references, predictions, predictions, TYPES, "bleu")
