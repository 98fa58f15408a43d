import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.base.errors import UserError
from llmkit.metrics import intervals, paired
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks.language_model import from_log_probabilities, from_sums

LOG = st.floats(-30, 0)
ROWS = st.lists(
    st.tuples(st.lists(LOG, min_size=1, max_size=8), st.text(min_size=1, max_size=9)), min_size=1, max_size=5
)


def test_perplexity_of_a_uniform_model_is_the_vocabulary_size() -> None:
    result = from_log_probabilities([[-math.log(256)] * 5, [-math.log(256)] * 3], ["abcde", "xyz"]).values()
    assert result == pytest.approx({"perplexity": 256, "bits_per_byte": 8, "loss": math.log(256)})


def test_bytes_are_utf_8() -> None:
    result = from_log_probabilities([[-3 * math.log(2)]], ["好"]).values()
    assert result["bits_per_byte"] == pytest.approx(1)


@given(ROWS)
def test_scores_are_ratios_of_sums_not_means_of_means(rows) -> None:
    logs, texts = map(list, zip(*rows))
    flat = [value for row in logs for value in row]
    result = from_log_probabilities(logs, texts).values()
    assert result["loss"] == pytest.approx(-np.mean(flat), rel=1e-12, abs=1e-12)
    assert result["perplexity"] == pytest.approx(np.exp(-np.mean(flat)), rel=1e-12)
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    assert result["bits_per_byte"] == pytest.approx(-sum(flat) / np.log(2) / size, rel=1e-12, abs=1e-12)


def test_statistics_of_texts_add_up() -> None:
    measured = from_sums([30.0, 10.0], [10, 10], [40, 60], hits=[5, 8])
    assert measured.values() == pytest.approx(
        {"perplexity": math.exp(2), "bits_per_byte": 0.4 / math.log(2), "loss": 2.0, "token_accuracy": 0.65}
    )
    assert [metric.name for metric in from_sums([1.0], [1], [1]).metrics] == [
        "perplexity",
        "bits_per_byte",
        "loss",
    ]


def test_perplexity_is_capped_and_texts_without_tokens_are_nan() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert from_sums([1e6], [1], [4]).values()["perplexity"] == pytest.approx(8.2e307, rel=0.01)
        assert all(map(math.isnan, from_sums([0.0], [0], [0], hits=[0]).values().values()))
        scores = from_sums(np.zeros((0,)), [], []).metrics[0].score(np.zeros((2, 3, 3)))
    assert scores.shape == (2, 3)


@pytest.mark.parametrize(
    ("logs", "texts", "code", "message"),
    [
        ([[-1.0], [0.5]], ["a", "b"], "E07", "row 2, token 1: 0.5 is not a log-probability"),
        ([[-1.0, math.nan]], ["a"], "E07", "row 1, token 2: nan is no"),
        ([[-math.inf]], ["a"], "E07", "-inf"),
        ([[]], ["好"], "E07", "row 1: a text of 3 bytes has no log-probabilities"),
        ([[-1.0]], ["a", "b"], "E04", "1 lists of log-probabilities, but 2 texts"),
        ([], [], "E02", "no rows"),
    ],
)
def test_invalid_log_probabilities_are_errors(logs, texts, code, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        from_log_probabilities(logs, texts)
    assert [problem.code for problem in caught.value.details] == [code]


def test_error_lists_every_invalid_row() -> None:
    with pytest.raises(UserError) as caught:
        from_log_probabilities([[1.0, 2.0], [-1.0], [math.nan]], ["a", "b", "c"])
    assert [problem.message[:5] for problem in caught.value.details] == ["row 1", "row 3"]


def test_empty_text_may_have_no_tokens_and_probability_1_has_no_loss() -> None:
    assert from_log_probabilities([[], [0.0, -0.0]], ["", "ab"]).values() == {
        "perplexity": 1,
        "bits_per_byte": 0,
        "loss": 0,
    }


def test_statistics_work_with_intervals_and_paired_tests() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 30, 300)
    good, bad = (from_sums(tokens * rng.normal(mean, 0.3, 300), tokens, 4 * tokens) for mean in (2.0, 2.2))
    result = intervals.measure(good.rows, good.metrics, resampling=Resampling(resamples=500))
    assert all(score.low < score.value < score.high for score in result.values())
    assert result["perplexity"].low < math.exp(2) < result["perplexity"].high
    verdict = paired.difference(
        np.hstack([good.rows, bad.rows]), good.metrics[1], resampling=Resampling(resamples=500)
    )
    assert "is better than" in paired.describe_difference(verdict, "good", "bad")
