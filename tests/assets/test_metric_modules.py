"""Modules of the `evaluate` library as metrics: their scores, intervals and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmkit.assets.metric_modules import DRAWS, load_metric_module
from llmkit.base.errors import UserError
from llmkit.metrics.settings import MetricSettings

TEXTS = "Value('string'), 'references': Value('string')"


def write(folder: Path, body: str, features: str = TEXTS, name: str = "mine") -> str:
    """Write a module to FOLDER/NAME/NAME.py whose _compute has this body."""
    target = folder / name
    target.mkdir()
    (target / f"{name}.py").write_text(
        f"""import evaluate
from datasets import Features, Sequence, Value

class Mine(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description='', citation='', inputs_description='',
            features=Features({{'predictions': {features}}}),
        )

    def _compute(self, predictions, references):
        {body}
""",
        encoding="utf-8",
    )
    return str(target)


def error_line(name: str) -> str:
    with pytest.raises(UserError) as raised:
        load_metric_module(name).score(["a"] * 4, [["a"]] * 4, MetricSettings())
    return str(raised.value)


def test_a_number_has_an_interval_from_resampled_pairs(tmp_path: Path) -> None:
    name = write(
        tmp_path, "return {'same': sum(a == b for a, b in zip(predictions, references)) / len(references)}"
    )
    metric = load_metric_module(name)
    assert metric.kind == "texts"
    scores = metric.score(["a", "b", "c", "d"] * 20, [["a"], ["b"], ["c"], ["x"]] * 20, MetricSettings())
    score = scores["same"]
    assert (score.value, score.n) == (0.75, 80)
    assert score.low is not None and score.high is not None
    assert 0.6 < score.low < 0.7 and 0.8 < score.high < 0.9
    assert score.method == f"percentile bootstrap, {DRAWS} draws of pairs, 95%; evaluate module {name}"


def test_a_list_with_one_number_per_pair_is_averaged(tmp_path: Path) -> None:
    name = write(tmp_path, "return {'f1': [0.0, 1.0, 1.0, 1.0], 'hash': 'x', 'calls': [1.0]}")
    scores = load_metric_module(f"{name}/mine.py").score(["a"] * 4, [["a"]] * 4, MetricSettings())
    assert list(scores) == ["f1"]
    assert scores["f1"].value == 0.75
    assert "mean over the pairs" in scores["f1"].method


def test_labels_and_tags_are_converted_to_the_modules_types(tmp_path: Path) -> None:
    sums = write(
        tmp_path, "return {'sum': sum(predictions)}", "Value('int32'), 'references': Value('int32')", "sums"
    )
    assert load_metric_module(sums).kind == "labels"
    assert load_metric_module(sums).score(["1", "2"], ["1", "1"], MetricSettings())["sum"].value == 3
    with pytest.raises(UserError, match='"up" is not a whole number'):
        load_metric_module(sums).score(["up", "2"], ["1", "1"], MetricSettings())
    several = "Sequence(Value('string')), 'references': Sequence(Value('string'))"
    tags = write(tmp_path, "return {'n': sum(map(len, predictions))}", several, "tags")
    assert load_metric_module(tags).kind == "tags"
    assert (
        load_metric_module(tags).score([["O", "O"], ["O"]], [["O", "O"], ["O"]], MetricSettings())["n"].value
        == 3
    )


def test_a_score_of_nan_becomes_0_without_an_interval(tmp_path: Path) -> None:
    score = load_metric_module(write(tmp_path, "return {'x': float('nan')}")).score(
        ["a", "b"], [["a"], ["b"]], MetricSettings()
    )["x"]
    assert (score.value, score.low) == (0.0, None)
    assert "undefined" in score.method


@pytest.mark.parametrize(
    ("body", "features", "message"),
    [
        ("raise KeyError('planted')", TEXTS, "failed (KeyError: 'planted')"),
        ("return {'words': 'many'}", TEXTS, "returns no number"),
        ("return {", TEXTS, "can't be loaded (SyntaxError"),
        ("import nowhere_at_all", TEXTS, "failed (ModuleNotFoundError"),
        ("pass", "Value('string')", "this module takes predictions in types"),
        ("pass", "{'id': Value('string')}, 'references': Value('string')", "can't provide"),
    ],
)
def test_a_bad_module_is_e09(tmp_path: Path, body: str, features: str, message: str) -> None:
    line = error_line(write(tmp_path, body, features))
    assert line.startswith(f"error[E09] --metric {tmp_path}")
    assert message in line
    assert "\n" not in line


def test_a_folder_without_a_module_is_e09(tmp_path: Path) -> None:
    assert error_line(str(tmp_path)).startswith("error[E09]")


def test_an_unknown_name_is_e01() -> None:
    """Tests run offline (HF_HUB_OFFLINE); the library itself is not called, because it would try for minutes."""
    line = error_line("acuracy")
    assert line.startswith('error[E01] --metric: unknown metric "acuracy", and the Hub can\'t be reached')
    assert 'did you mean "accuracy"?' in line
    assert error_line("no such/name at all").startswith("error[E01]")
