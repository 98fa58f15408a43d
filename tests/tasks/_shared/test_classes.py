"""Names of classes in the config, options that name a class, and the report's details."""

from __future__ import annotations

from llmkit.metrics.score import Score
from llmkit.tasks._shared.classes import check_class, class_config, class_details


def test_classes_have_names_in_the_config() -> None:
    names = {"num_labels": 2, "id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    assert class_config(("no", "yes")) == names
    config = class_config(("no", "yes"), "single_label_classification")
    assert config == {**names, "problem_type": "single_label_classification"}


def test_an_option_must_name_an_existing_class() -> None:
    assert check_class(None, ("no", "yes"), "task.positive") == []
    assert check_class("yes", ("no", "yes"), "task.positive") == []
    (error,) = check_class("yess", ("no", "yes"), "task.positive")
    assert (error.code, error.place) == ("L05", "task.positive")
    assert error.message == '"yess" is not one of the labels; did you mean "yes"?'


def test_the_support_of_a_class_is_the_number_behind_its_recall() -> None:
    scores = {"yes": {"precision": Score(0.5, 0.4, 0.6, 8, "x"), "recall": Score(0.7, 0.6, 0.8, 5, "x")}}
    details = class_details(scores)
    assert details["yes"]["support"] == 5
    assert details["yes"]["precision"]["value"] == 0.5
