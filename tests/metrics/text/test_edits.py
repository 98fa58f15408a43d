"""Error rates against jiwer, and against a plain implementation of the edit distance."""

import json
import random

import jiwer
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmkit.base.errors import UserError
from llmkit.metrics import intervals, paired
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.text.edits import cer, wer


def damaged(text, rng, share=0.2):
    """The text with words dropped, doubled or reversed."""
    words = []
    for word in text.split():
        words += rng.choice([[], [word, word], [word[::-1]]]) if rng.random() < share else [word]
    return " ".join(words)


def blanks(text):
    """The text with single spaces: jiwer splits words at spaces only, llmkit at any white space."""
    return " ".join(text.split())


def against_jiwer(predictions, references):
    theirs = jiwer.wer(list(map(blanks, references)), list(map(blanks, predictions)))
    assert wer(predictions, references).values() == {"wer": pytest.approx(theirs, rel=1e-12)}
    theirs = jiwer.cer(references, predictions)
    assert cer(predictions, references).values() == {"cer": pytest.approx(theirs, rel=1e-12)}


@pytest.mark.shared
def test_rates_of_real_texts_equal_jiwer(shared) -> None:
    for path, column in [("multi30k_en_fr", "target"), ("tatoeba_zh_en", "source")]:
        lines = (shared / "translation" / path / "test.jsonl").open(encoding="utf-8")
        originals = [json.loads(line)[column] for line in lines]
        rng = random.Random(0)
        against_jiwer([damaged(original, rng) for original in originals], originals)


LINES = st.one_of(
    st.text(max_size=20), st.lists(st.sampled_from(["a", "the", "。", "😀", " "]), max_size=9).map(" ".join)
)


@given(st.lists(st.tuples(LINES, LINES), min_size=1, max_size=5))
@example([("", "a b"), ("a", "")])
@example([("a" * 100_000, "a" * 99_998 + "b")])
def test_rates_of_any_text_equal_jiwer(rows) -> None:
    predictions, references = map(list, zip(*rows))
    if any(reference.strip() for reference in references):
        against_jiwer(predictions, references)
    else:
        with pytest.raises(UserError, match="E02"):
            wer(predictions, references)


def distance(first, second):
    """Levenshtein's recurrence, cell by cell."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        above, row[0] = row[:], i
        for j, b in enumerate(second, 1):
            row[j] = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
    return row[-1]


@given(st.lists(st.tuples(LINES, st.lists(LINES, min_size=1, max_size=3)), min_size=1, max_size=4))
def test_reference_with_the_fewest_edits_counts(rows) -> None:
    predictions, references = map(list, zip(*rows))
    if not any(text.strip() for row in references for text in row):
        return
    for prediction, texts, result in zip(predictions, references, wer(predictions, references).rows):
        pairs = [(distance(prediction.split(), text.split()), -len(text.split())) for text in texts]
        assert (result[0], -result[1]) == min(pairs)


def test_order_of_references_does_not_matter() -> None:
    assert wer(["a b"], [["a c", "a b c"]]).values() == {"wer": pytest.approx(1 / 3)}
    assert wer(["a b"], [["a b c", "a c"]]).values() == {"wer": pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    ("prediction", "reference", "words", "characters"),
    [
        ("the cat sat", "the cat sat", 0, 0),
        ("", "the cat", 1, 1),
        ("a b c d", "a", 3, 6),
        ("The cat.", "the cat", 1, 2 / 7),
        (" the\tcat\n", "the  cat", 0, 2 / 8),
        ("很好", "非常好", 1, 2 / 3),
    ],
)
def test_rates_by_hand(prediction, reference, words, characters) -> None:
    assert wer([prediction], [reference]).values() == {"wer": pytest.approx(words)}
    assert cer([prediction], [reference]).values() == {"cer": pytest.approx(characters)}


def test_rate_of_empty_references_only_is_undefined() -> None:
    measured = wer(["", "x", "a b"], ["", "", "a c"])
    assert measured.values() == {"wer": 1.0}
    assert np.isnan(measured.metrics[0].score(measured.rows[:2])).all()


def test_statistics_work_with_intervals_and_paired_tests() -> None:
    rng = random.Random(1)
    originals = [" ".join(rng.choices(["a", "cat", "sat", "on", "mat"], k=9)) for _ in range(200)]
    good, bad = (
        wer([damaged(original, rng, share) for original in originals], originals) for share in (0.1, 0.4)
    )
    result = intervals.measure(good.rows, good.metrics, resampling=Resampling(resamples=500))["wer"]
    assert result.low < result.value < result.high
    assert result.method.endswith("words at white space, as they are")
    verdict = paired.difference(
        np.hstack([good.rows, bad.rows]), good.metrics[0], resampling=Resampling(resamples=500)
    )
    assert (
        paired.describe_difference(verdict, "good", "bad").startswith("Good is better than bad")
        or verdict.value < 0
    )
