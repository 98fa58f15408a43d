"""Classification: from rows to examples, losses, predictions, scores and records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional

from llmkit.base.errors import DataError, UserError
from llmkit.base.progress import SILENT
from llmkit.data import corpus
from llmkit.data.corpus import Corpus
from llmkit.metrics.resampling import Resampling
from llmkit.models import load
from llmkit.recipe.schema import Data
from llmkit.tasks.classification import Options, balance_classes, make
from llmkit.tasks.protocol import Examples
from tests.samples import predict_baselines

LABELS = ("no", "perhaps", "yes")
TASK = make(Options(), {})
RESAMPLING = Resampling(resamples=200, seed=1)
Rows = list[tuple[str, object]]


class Echo(nn.Module):
    """A model whose logits are its input_ids."""

    def forward(self, input_ids: Tensor) -> Any:
        return SimpleNamespace(logits=input_ids)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Corpus]:
    """A corpus of (text, label) pairs a part."""

    def call(**splits: Rows) -> Corpus:
        named = {}
        for split, rows in splits.items():
            path = tmp_path / f"{split}.jsonl"
            lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
            path.write_text("".join(lines))
            named[split] = str(path)
        return corpus.read(
            Data(**named),
            columns=TASK.spec.columns,
            progress=SILENT,
            resolve_index=lambda name, _: Path(name),
            resolve_hub=lambda name, _: {},
        )

    return call


def rows(count: int, first: int = 0) -> Rows:
    return [(f"text number {first + i} {'abc'[i % 3]}{i * i}", LABELS[i % 3]) for i in range(count)]


def codes(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    return [error.code for error in caught.value.details]


@pytest.fixture
def logits() -> Tensor:
    """Logits (40, 3)."""
    return torch.from_numpy(np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)) * 2


@pytest.fixture
def references() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 3, 40))


@pytest.fixture
def outputs(logits: Tensor, references: Tensor) -> dict[str, Any]:
    decoded = TASK.decode(Echo(), {"input_ids": logits, "labels": references})
    return {name: value.numpy() for name, value in decoded.items()}


def test_check_makes_splits_and_numbers_labels(read: Callable[..., Corpus]) -> None:
    examples = TASK.check(read(train=rows(60)), Data(train="x", test_share=0.2), 1)
    splits = examples.corpus.splits
    assert {split: len(of_part) for split, of_part in splits.items()} == {
        "train": 42,
        "validation": 6,
        "test": 12,
    }
    assert examples.labels == LABELS  # sorted, so the order of rows does not matter
    for split, of_part in splits.items():
        named = [examples.labels[number] for number in examples.references[split]["labels"]]
        assert named == of_part.column("label")
    assert sorted(text for split in splits.values() for text in split.column("text")) == sorted(
        text for text, _ in rows(60)
    )
    assert any("split (seed 1" in note for note in examples.corpus.notes)


def test_the_splits_depend_on_the_seed(read: Callable[..., Corpus]) -> None:
    actual = read(train=rows(60))

    def texts(examples: Examples) -> list[str]:
        return examples.corpus.splits["test"].column("text")

    first = TASK.check(actual, Data(train="x"), 1)
    assert texts(TASK.check(actual, Data(train="x"), 1)) == texts(first)
    assert texts(TASK.check(actual, Data(train="x"), 2)) != texts(first)


def test_integer_labels_index_the_names_in_the_recipe(read: Callable[..., Corpus]) -> None:
    numbered = [(f"text number {i} of many {i * i}", i % 3) for i in range(40)]
    examples = TASK.check(read(train=numbered), Data(train="x", labels=list(LABELS)), 1)
    assert examples.labels == LABELS
    split = examples.corpus.splits["train"]
    assert examples.references["train"]["labels"].tolist() == split.column("label")


def test_labels_of_a_trained_model_are_kept_and_no_splits_are_made(read: Callable[..., Corpus]) -> None:
    """They have another order than the rows, and a class that no row has."""
    known = ("yes", "never seen", "perhaps", "no")
    examples = TASK.check(read(test=rows(6)), Data(test="x"), 1, labels=known)
    assert list(examples.corpus.splits) == ["test"]
    assert examples.labels == known
    assert examples.references["test"]["labels"].tolist() == [3, 2, 0, 3, 2, 0]


def test_a_label_that_the_trained_model_lacks_is_an_error(read: Callable[..., Corpus]) -> None:
    with pytest.raises(DataError) as caught:
        TASK.check(read(test=rows(6)), Data(test="x"), 1, labels=("no", "perhaps"))
    assert codes(caught) == ["L05"]
    dropped = TASK.check(read(test=rows(6)), Data(test="x", unknown_labels="drop"), 1, labels=("no", "yes"))
    assert len(dropped.corpus.splits["test"]) == 4
    assert any("2 rows dropped" in note for note in dropped.notes)


def test_errors_of_texts_and_labels_are_raised_together(read: Callable[..., Corpus]) -> None:
    faulty: Rows = [*rows(30), ("  ", "no"), ("a text without a label", None)]
    with pytest.raises(DataError) as caught:
        TASK.check(read(train=faulty), Data(train="x"), 1)
    assert sorted(codes(caught)) == ["L03", "L04"]


def test_a_training_text_in_the_test_set_is_an_error_or_dropped(read: Callable[..., Corpus]) -> None:
    actual = read(train=rows(30), test=[*rows(2), *rows(4, first=100)])
    with pytest.raises(DataError) as caught:
        TASK.check(actual, Data(train="x"), 1)
    assert codes(caught) == ["L13", "L13"]
    examples = TASK.check(actual, Data(train="x", duplicates="drop", validation_share=0.0), 1)
    assert len(examples.corpus.splits["train"]) == 28
    assert len(examples.corpus.splits["test"]) == 6


def test_decoded_probabilities_are_those_of_the_logits(
    logits: Tensor, references: Tensor, outputs: dict[str, Any]
) -> None:
    probabilities = logits.double().softmax(-1).numpy()
    assert np.allclose(outputs["probabilities"].sum(-1), 1, atol=1e-6)
    assert (outputs["prediction"] == probabilities.argmax(-1)).all()
    assert np.allclose(outputs["probabilities"], probabilities, atol=1e-6)


def test_brier_is_that_of_scikit_learn(logits: Tensor, references: Tensor, outputs: dict[str, Any]) -> None:
    probabilities = logits.double().softmax(-1).numpy()
    # The sum over the classes: scikit-learn before 1.8 has the score of two classes only.
    expected = sum(
        sklearn_metrics.brier_score_loss(references.numpy() == label, probabilities[:, label])
        for label in range(3)
    )
    assert outputs["brier"].mean() == pytest.approx(expected, abs=1e-6)


def test_a_confident_error_has_a_finite_loss() -> None:
    """The probability rounds to 0 in float32, so its logarithm must be computed from the logits."""
    decoded = TASK.decode(Echo(), {"input_ids": torch.tensor([[200.0, 0.0]]), "labels": torch.tensor([1])})
    assert decoded["loss"].item() == pytest.approx(200.0)
    assert decoded["brier"].item() == pytest.approx(2.0)


def test_without_labels_decode_returns_logits(logits: Tensor) -> None:
    decoded = TASK.decode(Echo(), {"input_ids": logits})
    assert torch.equal(decoded["logits"], logits)
    assert "loss" not in decoded


def test_a_record_holds_only_the_most_probable_classes() -> None:
    decoded = TASK.decode(Echo(), {"input_ids": torch.randn(3, 40)})
    predictions = {name: value.numpy() for name, value in decoded.items()}
    record = next(TASK.records({"text": ["a"] * 3}, predictions, [str(number) for number in range(40)]))
    assert len(record["probabilities"]) == 20
    assert list(record["probabilities"].values()) == sorted(record["probabilities"].values(), reverse=True)


def loss_of(options: Options, logits: Tensor, references: Tensor, train: list[int]) -> tuple[Tensor, Tensor]:
    function = make(options, {}).loss({"labels": np.array(train)}, 3)
    return function(Echo(), {"input_ids": logits, "labels": references})


def test_the_loss_is_a_sum_with_its_count(logits: Tensor, references: Tensor) -> None:
    summed, count = loss_of(Options(), logits, references, [0, 1, 2])
    assert count.item() == 40
    assert summed.item() == pytest.approx(
        functional.cross_entropy(logits, references, reduction="sum").item(), rel=1e-6
    )


def test_label_smoothing_changes_the_loss_as_in_torch(logits: Tensor, references: Tensor) -> None:
    summed, count = loss_of(Options(label_smoothing=0.2), logits, references, [0, 1, 2])
    expected = functional.cross_entropy(logits, references, label_smoothing=0.2).item()
    assert (summed / count).item() == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(functional.cross_entropy(logits, references).item(), rel=1e-3)


def test_class_weights_come_from_the_training_set(logits: Tensor, references: Tensor) -> None:
    train = [0] * 6 + [1] * 3 + [2]
    weights = torch.tensor([10 / 18, 10 / 9, 10 / 3])
    summed, count = loss_of(Options(class_weights="balanced"), logits, references, train)
    expected = functional.cross_entropy(logits, references, weight=weights).item()
    assert (summed / count).item() == pytest.approx(expected, rel=1e-6)
    assert count.item() == pytest.approx(weights[references].sum().item(), rel=1e-6)
    assert expected != pytest.approx(functional.cross_entropy(logits, references).item(), rel=1e-3)


def test_balanced_weights_equal_those_of_scikit_learn() -> None:
    labels = np.random.default_rng(2).choice(4, 200, p=[0.7, 0.2, 0.05, 0.05])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    assert np.allclose(balance_classes(labels, 4), expected, rtol=1e-6)


def test_a_class_without_training_examples_has_a_finite_weight() -> None:
    assert np.isfinite(balance_classes(np.array([0, 1, 1]), 3)).all()


def test_values_and_scores_agree_with_scikit_learn(references: Tensor, outputs: dict[str, Any]) -> None:
    true = references.numpy()
    values = TASK.score({"labels": true}, outputs, LABELS, resampling=None).values
    sheet = TASK.score({"labels": true}, outputs, LABELS, resampling=RESAMPLING)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(true, outputs["prediction"]),
        "f1": sklearn_metrics.f1_score(true, outputs["prediction"], average="macro"),
        "mcc": sklearn_metrics.matthews_corrcoef(true, outputs["prediction"]),
        "pr_auc": sklearn_metrics.average_precision_score(
            np.eye(3)[true], outputs["probabilities"], average="macro"
        ),
        "loss": outputs["loss"].astype(float).mean(),
    }
    assert set(values) == set(sheet.scores) == {"loss", *TASK.spec.metrics}
    for name, value in values.items():
        assert sheet.scores[name].value == pytest.approx(value, abs=1e-12), name
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-9)
        assert sheet.scores[name].value == pytest.approx(value, abs=1e-9)
        low, high = sheet.scores[name].low, sheet.scores[name].high
        assert low is not None and high is not None and low < value < high
        assert sheet.scores[name].n == 40


def test_a_score_sheet_has_the_details_of_the_report(references: Tensor, outputs: dict[str, Any]) -> None:
    true = references.numpy()
    sheet = TASK.score({"labels": true}, outputs, LABELS, resampling=RESAMPLING)
    assert sheet.headline == ("accuracy", "f1", "mcc")
    confusion = sheet.details["confusion"]
    counts = sklearn_metrics.confusion_matrix(true, outputs["prediction"])
    assert (confusion["labels"], confusion["counts"]) == (list(LABELS), counts.tolist())
    shares, ends = counts / counts.sum(1, keepdims=True), np.array(confusion["intervals"])
    assert ((ends[..., 0] < shares) & (shares < ends[..., 1])).all()  # each cell's share of its row
    support = {name: row["support"] for name, row in sheet.details["per_class"].items()}
    assert support == dict(zip(LABELS, np.bincount(true, minlength=3).tolist(), strict=True))
    calibration = sheet.details["calibration"]
    assert calibration["brier"]["value"] == pytest.approx(outputs["brier"].mean(), abs=1e-6)
    assert sum(row["count"] for row in calibration["bins"]) == 40
    json.dumps(sheet.details, allow_nan=False)


def test_the_temperature_is_fitted_and_used_on_request(references: Tensor, outputs: dict[str, Any]) -> None:
    known = {"labels": references.numpy()}
    actual = TASK.tune(known, outputs)
    json.dumps(actual, allow_nan=False)
    assert actual["temperature"] > 1  # random predictions deserve no confidence
    assert not TASK.spec.can_calibrate
    tuned = make(Options(), actual)
    assert tuned.predictions(outputs, SimpleNamespace(), {}) is outputs
    assert tuned.spec.can_calibrate
    predictions = tuned.predictions(outputs, SimpleNamespace(), {}, calibrated=True)
    assert (predictions["probabilities"].argmax(-1) == outputs["prediction"]).all()
    assert (predictions["probabilities"].max(-1) < outputs["probabilities"].max(-1)).all()
    details = tuned.score(known, outputs, LABELS, resampling=RESAMPLING).details["calibration"]
    assert details["temperature"] == actual["temperature"]
    assert details["ece_calibrated"]["value"] < details["ece"]["value"]
    assert details["brier_calibrated"]["value"] < details["brier"]["value"]
    plain = TASK.score(known, outputs, LABELS, resampling=RESAMPLING).details["calibration"]
    assert plain == {name: details[name] for name in ("ece", "brier", "bins")}


def test_metrics_asked_for_are_the_headline(references: Tensor, outputs: dict[str, Any]) -> None:
    sheet = TASK.score(
        {"labels": references.numpy()}, outputs, LABELS, resampling=RESAMPLING, metrics=["recall"]
    )
    assert sheet.headline == ("recall",)
    assert "accuracy" in sheet.scores  # it is scored, but not shown first


def test_predictions_without_probabilities_are_scored(references: Tensor, outputs: dict[str, Any]) -> None:
    sheet = TASK.score(
        {"labels": references.numpy()},
        {"prediction": outputs["prediction"]},
        LABELS,
        resampling=RESAMPLING,
    )
    assert "loss" not in sheet.scores
    assert "calibration" not in sheet.details


def test_the_difference_is_first_minus_second(references: Tensor, outputs: dict[str, Any]) -> None:
    true = references.numpy()
    actual = TASK.difference(
        {"labels": true}, {"prediction": true}, outputs, "accuracy", LABELS, resampling=RESAMPLING
    )
    assert actual.value == pytest.approx((outputs["prediction"] != true).mean())
    assert actual.n == 40
    assert actual.low is not None and actual.low > 0


def test_baselines_learn_from_the_training_set_only(read: Callable[..., Corpus]) -> None:
    words = [(f"{'good' if i % 3 else 'bad'} film number {i}", "yes" if i % 3 else "no") for i in range(60)]
    examples = TASK.check(read(train=words), Data(train="x"), 1)
    actual = predict_baselines(TASK, examples)
    true = examples.references["test"]["labels"]
    assert set(actual) == {"majority", "tfidf"}
    assert set(actual["majority"]["prediction"]) == {examples.labels.index("yes")}
    assert (actual["tfidf"]["prediction"] == true).all()
    for predictions in actual.values():
        assert predictions["probabilities"].shape == (len(true), 2)
        assert np.allclose(predictions["probabilities"].sum(-1), 1)


def test_records_hold_the_predictions(references: Tensor, outputs: dict[str, Any]) -> None:
    texts = [f"text {i}" for i in range(40)]
    records = list(TASK.records({"text": texts}, outputs, LABELS, {"labels": references.numpy()}))
    assert len(records) == 40
    for number, record in enumerate(records):
        assert (record["text"], record["label"]) == (texts[number], LABELS[references[number]])
        assert record["prediction"] == LABELS[outputs["prediction"][number]]
        assert record["probability"] == max(record["probabilities"].values())
        assert next(iter(record["probabilities"])) == record["prediction"]
        assert set(record["probabilities"]) == set(LABELS)
    json.dumps(records, allow_nan=False)


def test_records_without_labels_have_logits_by_label(logits: Tensor) -> None:
    decoded = {name: value.numpy() for name, value in TASK.decode(Echo(), {"input_ids": logits}).items()}
    first = next(iter(TASK.records({"text": ["a"] * 40}, decoded, LABELS)))
    assert "label" not in first
    assert first["logits"] == dict(zip(LABELS, logits[0].tolist(), strict=True))


def test_parse_records_returns_references_and_predictions(
    references: Tensor, outputs: dict[str, Any]
) -> None:
    records = list(TASK.records({"text": ["a"] * 40}, outputs, LABELS, {"labels": references.numpy()}))
    parsed, actual = TASK.parse_records(records, LABELS)
    assert (parsed["labels"] == references.numpy()).all()
    assert (actual["prediction"] == outputs["prediction"]).all()
    assert np.array_equal(actual["probabilities"], outputs["probabilities"].astype(float))


def test_the_worst_errors_are_the_most_confident(references: Tensor, outputs: dict[str, Any]) -> None:
    predictions = TASK.records({"text": ["a"] * 40}, outputs, LABELS, {"labels": references.numpy()})
    records = [{"place": "a:1", **record} for record in predictions]
    worst = TASK.worst_errors(records)
    wrong = [record for record in records if record["label"] != record["prediction"]]
    assert len(wrong) > 20
    assert len(worst) == 20
    assert all(record["label"] != record["prediction"] for record in worst)
    sure = [record["probability"] for record in worst]
    assert sure == sorted((record["probability"] for record in wrong), reverse=True)[:20]
    assert set(worst[0]) == {"text", "label", "prediction", "probability", "place"}


def test_encoding_counts_truncated_texts(tiny_bert: Path) -> None:
    tokenizer = load.load_tokenizer(tiny_bert)
    texts = {"text": ["good film of the scene", "a film"], "label": ["no", "yes"]}
    cut = TASK.encode(texts, {}, tokenizer, max_length=5, truncation=True)
    assert [len(row) for row in cut.columns["input_ids"]] == [5, 4]
    assert (cut.counts.cut_examples, cut.counts.cut_tokens, cut.too_long) == (1, 2, ())
    assert TASK.encode(texts, {}, tokenizer, max_length=5, truncation=False).too_long == (0,)


# options


def decoded_of(task: Any, logits: Tensor, references: Tensor) -> dict[str, Any]:
    actual = task.decode(Echo(), {"input_ids": logits, "labels": references})
    return {name: value.numpy() for name, value in actual.items()}


@pytest.fixture
def many() -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Logits (200, 30), gold classes and names: more classes than a record holds."""
    rng = np.random.default_rng(4)
    references = rng.integers(0, 30, 200)
    logits = rng.normal(size=(200, 30)).astype(np.float32)
    logits[np.arange(200), references] += 2
    return torch.from_numpy(logits), torch.from_numpy(references), tuple(f"class {i:02}" for i in range(30))


def test_the_positive_class_has_its_own_scores(logits: Tensor, references: Tensor) -> None:
    task = make(Options(positive="perhaps"), {})
    outputs, true = decoded_of(task, logits, references), {"labels": references.numpy()}
    values = task.score(true, outputs, LABELS, resampling=None).values
    sheet = task.score(true, outputs, LABELS, resampling=RESAMPLING)
    predicted, probability = outputs["prediction"], outputs["probabilities"][:, 1]
    expected = {
        "f1_positive": sklearn_metrics.f1_score(references == 1, predicted == 1),
        "pr_auc_positive": sklearn_metrics.average_precision_score(references == 1, probability),
    }
    assert set(values) == set(sheet.scores) == {"loss", *task.spec.metrics}
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-9)
        assert sheet.scores[name].value == pytest.approx(value, abs=1e-9)
        assert name in sheet.headline
    none = make(Options(), {})
    assert not set(expected) & {
        *none.spec.metrics,
        *none.score(true, outputs, LABELS, resampling=None).values,
    }


@pytest.mark.parametrize("metric", ["f1_positive", "pr_auc_positive", "pr_auc", "f1", "accuracy"])
def test_a_difference_equals_that_of_the_scores(logits: Tensor, references: Tensor, metric: str) -> None:
    task = make(Options(positive="perhaps"), {})
    true = {"labels": references.numpy()}
    first, second = (decoded_of(task, numbers, references) for numbers in (logits, logits.roll(7, 0)))
    actual = task.difference(true, first, second, metric, LABELS, resampling=RESAMPLING)
    values = [
        task.score(true, predictions, LABELS, resampling=None).values[metric]
        for predictions in (first, second)
    ]
    assert actual.value == pytest.approx(values[0] - values[1], abs=1e-12)
    assert actual.value != 0


@pytest.mark.parametrize("metric", ["accuracy", "pr_auc", "pr_auc_positive"])
def test_parsed_records_give_the_same_difference(logits: Tensor, references: Tensor, metric: str) -> None:
    task = make(Options(positive="perhaps"), {})
    true = {"labels": references.numpy()}
    both = [decoded_of(task, numbers, references) for numbers in (logits, logits.roll(1, 0))]
    written = [
        json.loads(json.dumps(list(task.records({"text": ["a"] * 40}, x, LABELS, true)))) for x in both
    ]
    (parsed, first), (_, second) = (task.parse_records(records, LABELS) for records in written)
    settings: dict[str, Any] = {"resampling": RESAMPLING}
    assert task.difference(parsed, first, second, metric, LABELS, **settings) == task.difference(
        true, *both, metric, LABELS, **settings
    )


def test_baselines_are_compared_by_pr_auc(read: Callable[..., Corpus]) -> None:
    task = make(Options(positive="no"), {})
    words = [(f"{'good' if i % 3 else 'bad'} film number {i}", "yes" if i % 3 else "no") for i in range(60)]
    examples = task.check(read(train=words), Data(train="x"), 1)
    true, labels = examples.references["test"], examples.labels
    actual = predict_baselines(task, examples)
    tfidf, majority = actual["tfidf"], actual["majority"]
    for metric in ("pr_auc", "pr_auc_positive"):
        difference = task.difference(true, tfidf, majority, metric, labels, resampling=RESAMPLING)
        share = 0.5 if metric == "pr_auc" else (true["labels"] == labels.index("no")).mean()
        assert difference.value == pytest.approx(1 - share)  # without skill it is the share of the class


def test_an_unknown_positive_class_is_an_error(read: Callable[..., Corpus]) -> None:
    with pytest.raises(DataError) as caught:
        make(Options(positive="Yes"), {}).check(read(train=rows(30)), Data(train="x"), 1)
    (error,) = caught.value.details
    assert (error.code, error.place) == ("L05", "task.positive")
    assert 'did you mean "yes"?' in error.message


def test_ordered_classes_have_a_mean_error(logits: Tensor, references: Tensor) -> None:
    task = make(Options(ordered=True), {})
    outputs, true = decoded_of(task, logits, references), {"labels": references.numpy()}
    values = task.score(true, outputs, LABELS, resampling=None).values
    sheet = task.score(true, outputs, LABELS, resampling=RESAMPLING)
    expected = sklearn_metrics.mean_absolute_error(references, outputs["prediction"])
    assert set(values) == set(sheet.scores) == {"loss", *task.spec.metrics}
    assert values["mae"] == pytest.approx(expected) == pytest.approx(sheet.scores["mae"].value)
    assert "mae" in sheet.headline
    assert {"mae", "loss"} <= set(task.spec.lower_is_better)
    assert "mae" not in TASK.spec.metrics


def test_ordered_classes_need_a_known_order(read: Callable[..., Corpus]) -> None:
    task, actual = make(Options(ordered=True), {}), read(train=rows(60))
    with pytest.raises(DataError) as caught:
        task.check(actual, Data(train="x"), 1)
    (error,) = caught.value.details
    assert (error.code, error.place) == ("C10", "task.ordered")
    echo = task.check(actual, Data(train="x", labels=["yes", "perhaps", "no"]), 1)
    assert echo.labels == ("yes", "perhaps", "no")
    numbered = read(train=[(f"text number {i} of many {i * i}", i % 5) for i in range(60)])
    assert task.check(numbered, Data(train="x"), 1).labels == tuple("01234")


def test_with_many_classes_pr_auc_is_scored_on_request(
    many: tuple[Tensor, Tensor, tuple[str, ...]],
) -> None:
    logits, references, names = many
    outputs, true = decoded_of(TASK, logits, references), {"labels": references.numpy()}
    assert (
        "pr_auc" in TASK.score(true, outputs, names, resampling=None).values
    )  # evaluate.best=pr_auc may need it
    assert "pr_auc" not in TASK.score(true, outputs, names, resampling=RESAMPLING).scores
    few = Resampling(resamples=100, seed=1)
    sheet = TASK.score(true, outputs, names, resampling=few, metrics=["pr_auc"])
    assert sheet.scores["pr_auc"].value == TASK.score(true, outputs, names, resampling=None).values["pr_auc"]


def test_the_positive_one_of_many_classes_is_scored_recorded_and_compared(
    many: tuple[Tensor, Tensor, tuple[str, ...]],
) -> None:
    logits, references, names = many
    task = make(Options(positive="class 07"), {})
    outputs, true = decoded_of(task, logits, references), {"labels": references.numpy()}
    sheet = task.score(true, outputs, names, resampling=RESAMPLING)
    assert set(sheet.headline) <= set(sheet.scores)
    records = list(task.records({"text": ["a"] * 200}, outputs, names, true))
    assert all("class 07" in record["probabilities"] for record in records)
    parsed, actual = task.parse_records(records, names)
    settings: dict[str, Any] = {"resampling": RESAMPLING}
    other = {**actual, "probabilities": actual["probabilities"] * 0 + 0.5}
    gap = task.difference(parsed, actual, other, "pr_auc_positive", names, **settings)
    assert gap.value == pytest.approx(
        sheet.scores["pr_auc_positive"].value - (references == 7).float().mean().item()
    )
    with pytest.raises(UserError, match=r"E01.*all 30 classes, but .* only the 20 highest"):
        task.difference(parsed, actual, other, "pr_auc", names, **settings)


def test_class_weights_change_what_is_learned() -> None:
    """The gradient towards a rare class is as large as that towards a frequent one."""
    logits, references = torch.zeros(10, 2, requires_grad=True), torch.tensor([0] * 9 + [1])
    for weights, expected in (("none", 0.4), ("balanced", 0.0)):
        loss = make(Options(class_weights=weights), {}).loss({"labels": references.numpy()}, 2)
        summed, count = loss(Echo(), {"input_ids": logits, "labels": references})
        (gradient,) = torch.autograd.grad(summed / count, logits)
        assert gradient[:, 1].sum().item() == pytest.approx(expected, abs=1e-6)
