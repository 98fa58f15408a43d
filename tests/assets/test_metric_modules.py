"""Modules of the `evaluate` library as metrics: their numbers, intervals, and what goes wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmkit.assets.metric_modules import DRAWS, load_metric_module
from llmkit.base.errors import UserError
from llmkit.metrics.registry import MetricSettings

TEXTS = "Value('string'), 'references': Value('string')"


def write(folder: Path, body: str, features: str = TEXTS, name: str = "mine") -> str:
    """A module in FOLDER/NAME/NAME.py whose _compute has this body."""
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


def problem(name: str) -> str:
    with pytest.raises(UserError) as raised:
        load_metric_module(name).score(["a"] * 4, [["a"]] * 4, MetricSettings())
    return str(raised.value)


def test_a_number_has_an_interval_from_drawn_pairs(tmp_path: Path) -> None:
    name = write(
        tmp_path, "return {'same': sum(a == b for a, b in zip(predictions, references)) / len(references)}"
    )
    metric = load_metric_module(name)
    assert metric.kind == "texts"
    found = metric.score(["a", "b", "c", "d"] * 20, [["a"], ["b"], ["c"], ["x"]] * 20, MetricSettings())
    score = found["same"]
    assert (score.value, score.n) == (0.75, 80)
    assert score.low is not None and score.high is not None
    assert 0.6 < score.low < 0.7 and 0.8 < score.high < 0.9
    assert score.method == f"percentile bootstrap, {DRAWS} draws of pairs, 95%; evaluate module {name}"


def test_a_list_with_a_number_for_each_pair_is_averaged(tmp_path: Path) -> None:
    name = write(tmp_path, "return {'f1': [0.0, 1.0, 1.0, 1.0], 'hash': 'x', 'calls': [1.0]}")
    found = load_metric_module(f"{name}/mine.py").score(["a"] * 4, [["a"]] * 4, MetricSettings())
    assert list(found) == ["f1"]
    assert found["f1"].value == 0.75
    assert "mean over the pairs" in found["f1"].method


def test_class_numbers_and_tags_come_as_the_module_takes_them(tmp_path: Path) -> None:
    sums = write(
        tmp_path, "return {'sum': sum(predictions)}", "Value('int32'), 'references': Value('int32')", "sums"
    )
    assert load_metric_module(sums).kind == "labels"
    assert load_metric_module(sums).score(["1", "2"], ["1", "1"], MetricSettings())["sum"].value == 3
    with pytest.raises(UserError, match='"up" is none'):
        load_metric_module(sums).score(["up", "2"], ["1", "1"], MetricSettings())
    several = "Sequence(Value('string')), 'references': Sequence(Value('string'))"
    tags = write(tmp_path, "return {'n': sum(map(len, predictions))}", several, "tags")
    assert load_metric_module(tags).kind == "tags"
    assert (
        load_metric_module(tags).score([["O", "O"], ["O"]], [["O", "O"], ["O"]], MetricSettings())["n"].value
        == 3
    )


def test_a_score_that_is_no_number_stands_as_zero_without_an_interval(tmp_path: Path) -> None:
    score = load_metric_module(write(tmp_path, "return {'x': float('nan')}")).score(
        ["a", "b"], [["a"], ["b"]], MetricSettings()
    )["x"]
    assert (score.value, score.low) == (0.0, None)
    assert "undefined" in score.method


@pytest.mark.parametrize(
    ("body", "features", "says"),
    [
        ("raise KeyError('planted')", TEXTS, "failed (KeyError: 'planted')"),
        ("return {'words': 'many'}", TEXTS, "gives no number"),
        ("return {", TEXTS, "does not load (SyntaxError"),
        ("import nowhere_at_all", TEXTS, "failed (ModuleNotFoundError"),
        ("pass", "Value('string')", "this module takes predictions in a form"),
        ("pass", "{'id': Value('string')}, 'references': Value('string')", "can't give"),
    ],
)
def test_a_bad_module_is_one_line(tmp_path: Path, body: str, features: str, says: str) -> None:
    line = problem(write(tmp_path, body, features))
    assert line.startswith(f"error[E09] --metric {tmp_path}")
    assert says in line
    assert "\n" not in line


def test_a_folder_without_a_module_is_one_line(tmp_path: Path) -> None:
    assert problem(str(tmp_path)).startswith("error[E09]")


def test_what_nobody_knows_is_an_unknown_metric() -> None:
    """Tests have no Hub (HF_HUB_OFFLINE); the library itself is not asked, which would try for minutes."""
    line = problem("acuracy")
    assert line.startswith('error[E01] --metric: unknown metric "acuracy", and the Hub can\'t be reached')
    assert 'did you mean "accuracy"?' in line
    assert problem("no such/name at all").startswith("error[E01]")
