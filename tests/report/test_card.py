from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmkit.report import card


def _front(text: str) -> dict[str, Any]:
    _, front, _ = text.split("---\n", 2)
    return yaml.safe_load(front)  # type: ignore[no-any-return]


def test_the_front_matter_holds_the_scores(content: dict[str, Any]) -> None:
    front = _front(card.text(content))
    assert front["library_name"] == "transformers"
    assert front["pipeline_tag"] == "text-classification"
    assert front["metrics"] == ["accuracy", "f1", "matthews_correlation"]
    result = front["model-index"][0]["results"][0]
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values == {name: score["value"] for name, score in content["scores"].items()}
    assert result["dataset"]["type"] == "index:movie-reviews"


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-6, 1e22, -3.5e-300, 7])
def test_every_score_is_a_number_in_yaml(content: dict[str, Any], value: float) -> None:
    content["scores"] = {"loss": {"value": value, "low": None, "high": None, "n": 1, "method": ""}}
    metrics = _front(card.text(content))["model-index"][0]["results"][0]["metrics"]
    assert metrics[0]["value"] == value


def test_only_hub_ids_are_named_to_the_hub(content: dict[str, Any]) -> None:
    assert not {"base_model", "datasets", "language", "license"} & set(_front(card.text(content)))
    content["model"] = "google-bert/bert-base-chinese@main"
    content["data"]["sources"] = {"train": ["stanfordnlp/imdb", "data/own.jsonl"], "test": "./data/test"}
    content["language"] = ["zh"]
    front = _front(card.text(content))
    assert front["base_model"] == "google-bert/bert-base-chinese"
    assert front["datasets"] == ["stanfordnlp/imdb"]
    assert front["language"] == ["zh"]


def test_a_local_folder_is_no_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]
) -> None:
    (tmp_path / "models" / "bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "base_model" not in _front(card.text(content | {"model": "models/bert"}))


def test_names_that_look_like_yaml_stay_names(content: dict[str, Any]) -> None:
    name = 'a: "b" # [c] 积极\n- d'
    assert _front(card.text(content | {"name": name}))["model-index"][0]["name"] == name


def test_the_text_tells_scores_with_intervals_training_limits_and_use(content: dict[str, Any]) -> None:
    text = card.text(content)
    for part in (
        "| Accuracy | 0.862 | 0.842 to 0.882 | 1,007 | Wilson 95% |",
        "Started from: index:all-MiniLM-L6-v2",
        "Seed: 7",
        "## Limits",
        'pipeline("text-classification", model=',
        'llmkit predict runs/sentiment/2026-11-22-a1b2c3 "',
    ):
        assert part in text


@pytest.mark.parametrize(
    ("task", "part"),
    [
        ("extractive_qa", "AutoModelForQuestionAnswering.from_pretrained"),
        ("translation", "AutoModelForSeq2SeqLM.from_pretrained"),
        ("mlm", "mask_token"),
        ("clm", 'pipeline("text-generation"'),
        ("a task of the user", "AutoModel.from_pretrained"),
    ],
)
def test_the_code_of_the_card_suits_the_task_and_compiles(task: str, part: str) -> None:
    text = card.text({"task": task})
    code = text.split("```python\n")[1].split("```")[0]
    assert part in code
    compile(code, "card", "exec")


def test_an_empty_content_makes_a_card() -> None:
    assert _front(card.text({})) == {"library_name": "transformers", "tags": ["llmkit"]}


def test_the_card_lies_beside_the_weights(tmp_path: Path, content: dict[str, Any]) -> None:
    card.write(tmp_path, content)
    assert (tmp_path / "model" / "README.md").read_text(encoding="utf-8") == card.text(content)
