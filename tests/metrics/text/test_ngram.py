"""Against sacrebleu itself: real sentences, damaged at random, and whatever Hypothesis finds."""

import json
import random
import sys
import types
from itertools import zip_longest

import numpy as np
import pytest
import sacrebleu
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.base import Metric as SacrebleuMetric

from llmkit.base.errors import UserError
from llmkit.metrics import intervals, paired
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Statistics
from llmkit.metrics.text.ngram import bleu, chrf, ter

METRICS = {
    "bleu": (bleu, lambda: sacrebleu.BLEU(force=True)),
    "chrf": (chrf, sacrebleu.CHRF),
    "chrf++": (lambda *texts: chrf(*texts, word_order=2), lambda: sacrebleu.CHRF(word_order=2)),
    "ter": (ter, sacrebleu.TER),
}
CHINESE = "我们今天去公园吧，好吗？"


def damaged(texts, seed, share=0.2):
    """Words dropped, doubled, or put elsewhere."""
    rng = random.Random(seed)
    result = []
    for text in texts:
        words = []
        for word in text.split():
            words += rng.choice([[], [word, word], [word[::-1]]]) if rng.random() < share else [word]
        if rng.random() < share:
            rng.shuffle(words)
        result.append(" ".join(words))
    return result


def sentences(count, most=20):
    rng = random.Random(0)
    words = [
        "the",
        "a",
        "cat",
        "sat",
        "ran",
        "on",
        "mat",
        ",",
        ".",
        "it's",
        "3.5",
        "%",
        '"so"',
        "&amp;",
        "well-known",
    ]
    return [" ".join(rng.choices(words, k=rng.randint(1, most))) for _ in range(count)]


def against_sacrebleu(name, predictions, references):
    ours, theirs = METRICS[name][0](predictions, references), METRICS[name][1]()
    expected = theirs.corpus_score(predictions, list(zip_longest(*references)))
    assert ours.values() == {name: pytest.approx(expected.score, rel=1e-9, abs=1e-9)}
    assert str(theirs.get_signature()) in ours.metrics[0].note
    return ours


@pytest.mark.shared
@pytest.mark.parametrize("name", METRICS)
def test_real_translations_score_as_in_sacrebleu(shared, name) -> None:
    path = shared / "translation" / "multi30k_en_de" / "test.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()[: 30 if name == "ter" else 150]  # TER is slow
    golds = [json.loads(line)["target"] for line in lines]
    for seed, share in enumerate([0.1, 0.6]):
        against_sacrebleu(name, damaged(golds, seed, share), [[gold] for gold in golds])
    others = [damaged(golds, seed) for seed in (7, 8)]
    several = [list(row[: 1 + number % 3]) for number, row in enumerate(zip(golds, *others))]
    found = against_sacrebleu(name, damaged(golds, 9), several)
    assert "nrefs:var" in found.metrics[0].note


@pytest.mark.shared
def test_real_chinese_scores_as_in_sacrebleu_by_characters(shared) -> None:
    path = shared / "translation" / "tatoeba_zh_en" / "test.jsonl"
    golds = [json.loads(line)["source"] for line in path.open(encoding="utf-8")]
    predictions = [gold[:-3] + "了。" for gold in golds]
    found = bleu(predictions, [[gold] for gold in golds])
    expected = sacrebleu.corpus_bleu(predictions, [golds], tokenize="zh").score
    assert found.values()["bleu"] == pytest.approx(expected, rel=1e-9)
    assert bleu(golds, golds).values() == {"bleu": 100}


LINES = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(["a", "b", "the", ".", "don't", "😀", "好", "&lt;", "-"]), max_size=12).map(
        " ".join
    ),
)
ROWS = st.lists(st.tuples(LINES, st.lists(LINES, min_size=1, max_size=3)), min_size=1, max_size=6)


@pytest.mark.parametrize("name", METRICS)
@given(ROWS)
@example([("", ["", "x"]), ("x", [""])])
@example([("😀😀 😀", ["😀 😀"]), ("...", ["... !"])])
@settings(max_examples=40)
def test_any_text_scores_as_in_sacrebleu(name, rows) -> None:
    predictions, references = map(list, zip(*rows))
    try:
        METRICS[name][0](predictions, references)
    except UserError as error:  # refused: sacrebleu gives identical texts 0 too, or there is nothing
        assert error.details[0].code in ("E02", "E10")
        return
    if "tok:zh" not in METRICS[name][0](predictions, references).metrics[0].note:
        against_sacrebleu(name, predictions, references)


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_a_line_of_100_000_characters(name) -> None:
    long = (
        "ab" * 50_000 if name == "ter" else "ab cdefghi " * 9_100
    )  # TER's time goes with the square of the words
    against_sacrebleu(name, [long, "the cat"], [[long + "d"], ["a cat"]])


@pytest.mark.parametrize("name", METRICS)
def test_many_sums_score_at_once_as_each_in_sacrebleu(name) -> None:
    golds = sentences(40, most=10)
    measured = METRICS[name][0](damaged(golds, 1, 0.5), golds)
    rows = np.vstack([measured.rows, np.zeros_like(measured.rows)])
    weights = np.random.default_rng(0).integers(0, 2, (60, len(rows))) * (np.arange(60)[:, None] % 7 != 3)
    sums = np.vstack([weights @ rows, measured.rows])  # among them single segments, and none
    theirs = METRICS[name][1]()
    expected = [theirs._compute_score_from_stats(list(total)).score for total in sums]
    found = measured.metrics[0].score(sums)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    cut = len(sums) // 4 * 4
    stacked = measured.metrics[0].score(sums[:cut].reshape(2, 2, -1, sums.shape[1]))
    np.testing.assert_array_equal(stacked.ravel(), found[:cut])


def test_ter_without_words_of_reference_is_all_or_nothing() -> None:
    measured = ter(["a b", "", "c"], ["", "", "c"])
    theirs = [sacrebleu.TER()._compute_score_from_stats(row).score for row in measured.rows]
    assert measured.metrics[0].score(measured.rows).tolist() == theirs == [100, 0, 0]


@pytest.mark.parametrize("name", METRICS)
def test_intervals_and_paired_tests_take_them(name) -> None:
    golds = sentences(80, most=8) if name == "ter" else sentences(300)  # TER is slow where words recur
    good, bad = (METRICS[name][0](damaged(golds, 1, share), golds) for share in (0.1, 0.4))
    found = intervals.measure(good.rows, good.metrics, resampling=Resampling(resamples=500))[name]
    assert found.low < found.value < found.high
    assert "0-100; nrefs:1|" in found.method
    verdict = paired.difference(
        np.hstack([good.rows, bad.rows]), good.metrics[0], resampling=Resampling(resamples=500)
    )
    assert "is better than" in paired.describe_difference(verdict, "good", "bad")
    assert f"{abs(verdict.value):.1f} points" in paired.describe_difference(verdict, "good", "bad")


def test_intervals_are_those_of_sacrebleu_s_bootstrap() -> None:
    golds = sentences(200)
    predictions = damaged(golds, 3)
    theirs = sacrebleu.BLEU(force=True).corpus_score(predictions, [golds], n_bootstrap=2000)
    measured = bleu(predictions, golds)
    ours = intervals.bootstrap(measured.rows, measured.metrics[0].score, method="percentile")
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, rel=0.1)


def test_a_sacrebleu_that_counts_otherwise_is_noticed(monkeypatch) -> None:
    monkeypatch.setattr(
        sacrebleu.BLEU, "_aggregate_and_compute", lambda *_: types.SimpleNamespace(score=50.0)
    )
    with pytest.raises(AssertionError, match="sacrebleu's bleu is 50"):
        bleu(["the cat sat on the mat"], ["the cat sat on the mat"])


def test_the_names_taken_from_sacrebleu_exist() -> None:
    assert callable(SacrebleuMetric._extract_corpus_statistics)
    assert callable(SacrebleuMetric._aggregate_and_compute)


# tokenizers


def tokenizer_of(measured: Statistics) -> str:
    return measured.metrics[0].note.split("tok:")[1].split("|")[0]


@pytest.mark.parametrize("measure", [bleu, chrf])
def test_identical_chinese_texts_score_100(measure) -> None:
    assert list(measure([CHINESE], [CHINESE]).values().values()) == [100]


@pytest.mark.parametrize(
    ("texts", "language", "tokenizer"),
    [
        ([CHINESE], None, "zh"),
        ([CHINESE, "so many words, all of them English"], None, "13a"),
        ([CHINESE, CHINESE, "so many words, all of them English"], None, "zh"),
        ([CHINESE, CHINESE, "...", "", "1984"], None, "zh"),
        (["明日は公園に行きましょう。"], None, "zh"),
        (["내일은 공원에 갑시다 여러분"], None, "13a"),
        (["one two three four"], "zh-CN", "zh"),
        (["one two three four"], "ZH_tw", "zh"),
        (["one two three four"], "de", "13a"),
    ],
)
def test_the_tokenizer_goes_with_the_language_or_the_script(texts, language, tokenizer) -> None:
    assert tokenizer_of(bleu(texts, texts, language=language)) == tokenizer


def test_a_named_tokenizer_wins() -> None:
    assert tokenizer_of(bleu([CHINESE], [CHINESE], tokenizer="char", language="zh")) == "char"


@pytest.mark.parametrize("text", [CHINESE, "明日は公園に行きましょう。", "ฉันชอบกินข้าวผัดทุกวัน"])
def test_a_tokenizer_that_leaves_every_text_whole_is_refused(text) -> None:
    with pytest.raises(
        UserError, match=r"error\[E10\] tokenizer \"13a\" turns each of these texts into one or two words"
    ):
        bleu([text], [[text, text]], tokenizer="13a")


def test_a_tokenizer_that_leaves_most_texts_whole_is_named() -> None:
    texts = [CHINESE, CHINESE, "one two three four"]
    assert '"13a" leaves clauses without spaces whole' in bleu(texts, texts, tokenizer="13a").metrics[0].note
    words = ["我们 今天 去 公园 吧"]  # divided already
    assert bleu(words, words, tokenizer="none").metrics[0].note.endswith(sacrebleu.__version__)


def test_short_references_are_named_not_refused() -> None:
    found = bleu(["Paris"], ["Paris"])
    assert found.values() == {"bleu": 0}
    assert "no reference has 4 tokens" in found.metrics[0].note


def test_words_at_blanks_are_named_where_there_are_none() -> None:
    for measured in (ter([CHINESE], [CHINESE]), chrf([CHINESE], [CHINESE], word_order=2)):
        assert "separated at spaces only" in measured.metrics[0].note
    assert "separated at spaces" not in chrf([CHINESE], [CHINESE]).metrics[0].note


def test_an_unknown_tokenizer_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r'E10.*unknown tokenizer "flores20"; did you mean "flores200"'):
        bleu(["a"], ["a"], tokenizer="flores20")


@pytest.mark.parametrize(
    ("choice", "package", "command"),
    [
        ({"language": "ja"}, "MeCab", r'pip install "llmkit\[ja\]"'),
        ({"language": "ko"}, "mecab_ko", r'pip install "sacrebleu\[ko\]"'),
        ({"tokenizer": "flores200"}, "sentencepiece", "pip install sentencepiece"),
    ],
)
def test_a_missing_package_is_named_with_the_command(monkeypatch, choice, package, command) -> None:
    for name in [name for name in sys.modules if name.startswith("sacrebleu.tokenizers.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"E03.*{command}"):
        bleu(["a b c d"], ["a b c d"], **choice)


@pytest.mark.parametrize("failure", [OSError("no network"), SystemExit(1), RuntimeError("broken file")])
def test_a_model_that_cannot_be_fetched_is_one_clear_line(monkeypatch, failure) -> None:
    def fail(self, name="flores200"):
        raise failure

    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.Flores200Tokenizer.__init__", fail)
    with pytest.raises(
        UserError, match=rf'E10.*model of tokenizer "flores200" could not be loaded: {failure}'
    ):
        bleu(["a b c d"], ["a b c d"], tokenizer="flores200")
