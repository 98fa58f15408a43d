"""The model card: front matter for the Hub, scores, limits, and code that runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

import llmkit
from llmkit import tasks
from llmkit.metrics.score import Score
from llmkit.report import card
from llmkit.report.report import Data, Report
from tests.report.made_reports import get_wording, make_report
from tests.samples import rows, write_recipe


def _front(text: str) -> dict[str, Any]:
    _, front, _ = text.split("---\n", 2)
    return yaml.safe_load(front)  # type: ignore[no-any-return]


def test_the_front_matter_holds_the_scores(report: Report) -> None:
    front = _front(card.text(report))
    assert front["library_name"] == "transformers"
    assert front["pipeline_tag"] == "text-classification"
    assert front["metrics"] == ["accuracy", "f1", "matthews_correlation"]
    result = front["model-index"][0]["results"][0]
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values == {name: score.value for name, score in report.scores.items()}
    assert result["dataset"]["type"] == "index:movie-reviews"


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-6, 1e22, -3.5e-300, 7])
def test_every_score_is_a_number_in_yaml(report: Report, value: float) -> None:
    scored = replace(report, scores={"loss": Score(value, None, None, 1, "")})
    metrics = _front(card.text(scored))["model-index"][0]["results"][0]["metrics"]
    assert metrics[0]["value"] == value


def test_the_front_matter_names_only_hub_ids(report: Report) -> None:
    assert not {"base_model", "datasets", "license"} & set(_front(card.text(report)))
    sources = {"train": ["stanfordnlp/imdb", "data/own.jsonl"], "test": "./data/test"}
    from_hub = replace(report, model="google-bert/bert-base-chinese@main", data=Data(sources=sources))
    front = _front(card.text(from_hub))
    assert front["base_model"] == "google-bert/bert-base-chinese"
    assert front["datasets"] == ["stanfordnlp/imdb"]


def test_a_local_folder_is_not_a_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    (tmp_path / "models" / "bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert "base_model" not in _front(card.text(replace(report, model="models/bert")))


def test_a_name_with_yaml_syntax_is_quoted(report: Report) -> None:
    name = 'a: "b" # [c] 积极\n- d'
    assert _front(card.text(replace(report, name=name)))["model-index"][0]["name"] == name


def test_the_text_has_scores_training_limits_and_usage(report: Report) -> None:
    text = card.text(report)
    for part in (
        "| Accuracy | 0.862 | 0.842 to 0.882 | 1,007 | Wilson 95% |",
        "Base model: index:all-MiniLM-L6-v2",
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
        ("dpo", '[{"role": "user", "content": "Your text."}]'),
    ],
)
def test_the_code_of_the_card_fits_the_task_and_compiles(task: str, part: str) -> None:
    text = card.text(Report(wording=get_wording(task)))
    code = text.split("```python\n")[1].split("```")[0]
    assert part in code
    compile(code, "card", "exec")


def test_the_code_registers_an_lstm_before_loading_it() -> None:
    code = card.text(Report(architecture="lstm", wording=get_wording("clm"))).split("```python\n")[1]
    assert code.startswith("import llmkit.models.lstm ")
    assert (
        "llmkit"
        not in card.text(Report(architecture="gpt2", wording=get_wording("clm")))
        .split("```python\n")[1]
        .split("```")[0]
    )


@pytest.mark.parametrize("task", tasks.names())
def test_every_task_has_a_purpose_a_tag_and_a_command(task: str) -> None:
    text = card.text(make_report(task))
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
    }.get(task, '"Your text."')


def test_metrics_have_the_names_of_the_hub() -> None:
    names = {task: _front(card.text(make_report(task)))["metrics"] for task in tasks.names()}
    assert names["multi_label"] == ["f1", "accuracy"]  # each once
    assert names["pair_regression"] == ["pearsonr", "spearmanr", "mse"]
    assert names["relation_extraction"] == ["f1", "accuracy"]
    metrics = _front(card.text(make_report("extractive_qa")))["model-index"][0]["results"][0]["metrics"]
    types = {metric["name"]: metric["type"] for metric in metrics}
    assert types["has_answer_f1"] == "f1"
    assert types["has_answer_exact_match"] == "exact_match"
    assert types["no_answer_accuracy"] == "accuracy"
    assert names["dpo"] == ["accuracy", "reward_margin"]
    metrics = _front(card.text(make_report("relation_extraction")))["model-index"][0]["results"][0]["metrics"]
    types = {metric["name"]: metric["type"] for metric in metrics}
    assert types["recall_semeval2010"] == types["recall_micro"] == "recall"


def test_the_labels_of_the_model_are_listed() -> None:
    texts = {task: card.text(make_report(task)) for task in tasks.names()}
    assert "Its classes: neutral, 积极, negative." in texts["classification"]
    assert "Its labels: 体育, news, never." in texts["multi_label"]
    assert "Its entity types: LOC, PER." in texts["token_classification"]
    assert "Its relations: " in texts["relation_extraction"]
    assert not re.search("Its (classes|labels)", texts["extractive_qa"] + texts["regression"])
    assert "| MSE (lower is better) |" in texts["regression"]


def test_the_card_describes_what_is_special_about_a_task() -> None:
    texts = {task: card.text(make_report(task)) for task in tasks.names()}
    assert "`<e1>Ann</e1> founded <e2>Acme</e2>.`" in texts["relation_extraction"]
    assert "tokens that were added to the vocabulary" in texts["relation_extraction"]
    assert "threshold" in texts["multi_label"].split("## Scores")[0]
    assert "says when there is no answer" in texts["extractive_qa"]
    assert "windows of 32 tokens" in texts["token_classification"]


def test_scores_of_the_validation_set_are_described_as_such(report: Report) -> None:
    text = card.text(replace(report, split="validation"))
    assert "Measured on the validation set, which was also used to choose the best step" in text
    assert "not used in training" not in text
    assert _front(text)["model-index"][0]["results"][0]["dataset"]["split"] == "validation"


def test_more_than_fifty_classes_are_counted(report: Report) -> None:
    assert report.details.per_class is not None
    per_class = {f"c{number}": report.details.per_class["积极"] for number in range(53)}
    text = card.text(replace(report, details=replace(report.details, per_class=per_class)))
    assert "c48, c49 and 3 more." in text


def test_an_empty_report_makes_a_card() -> None:
    text = card.text(Report())
    assert _front(text) == {"library_name": "transformers", "tags": ["llmkit"]}
    assert "AutoModel.from_pretrained" in text  # the code for a task without wording


INPUTS = {  # an input in the card's code: the columns that replace it
    '"Your text."': ("text",),
    '{"text": "The first text.", "text_pair": "The second text."}': ("text", "text_pair"),
    '"The first text.", "The second text."': ("text", "text_pair"),
    '"<e1>Ann</e1> founded <e2>Acme</e2>."': ("text",),
    '"A question?", "A text that holds the answer."': ("question", "context"),
    '["Your", "sentence", "."]': ("tokens",),
}


def _run(code: str, folder: Path, row: dict[str, Any]) -> str:
    """Run the code of the card for a row, and return what it prints."""
    code = code.replace("path/to/this/folder", str(folder))
    (replaced,) = [text for text in INPUTS if text in code]
    values = [row[name] for name in INPUTS[replaced]]
    shown = (
        repr(dict(zip(INPUTS[replaced], values, strict=True))) if replaced[0] == "{" else repr(values)[1:-1]
    )
    printed = StringIO()
    with redirect_stdout(printed):
        exec(code.replace(replaced, shown), {})
    return printed.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", [name for name in tasks.names() if name not in ("chat", "clm", "code", "dpo", "mlm")]
)
def test_the_code_of_the_card_predicts_what_llmkit_predicts(
    task: str, tmp_path: Path, tiny_for: Callable[[str], Path]
) -> None:
    recipe = write_recipe(task, tmp_path, tiny_for(task))
    if task in ("extractive_qa", "token_classification"):  # the code reads one window
        recipe.write_text(re.sub("max_length: .*", "max_length: 64", recipe.read_text(encoding="utf-8")))
    # An untrained model predicts spans anywhere, even in the question, which the code must not return.
    steps = 1 if task == "extractive_qa" else 40
    settings = ["train.epochs=null", f"train.max_steps={steps}", "evaluate.baselines=false"]
    llmkit.finetune(str(recipe), settings, out=tmp_path / "run")
    model = tmp_path / "run" / "model"
    code = (model / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    for row in rows(task, 12 if task == "extractive_qa" else 3, seed=9):
        if task == "token_classification":
            row["text"] = " ".join(row["tokens"])
        row = {"text": row.get("source") or row.get("document"), **row}
        inputs = {name: row[name] for name in tasks.load({"name": task}).spec.inputs}
        (record,) = llmkit.predict(str(tmp_path / "run"), [inputs])
        printed = _run(code, model, row)
        prediction = record["prediction"]
        if task in ("regression", "pair_regression"):
            assert float(printed) == pytest.approx(prediction, abs=1e-5)
        elif task == "multi_label":
            assert [line.split()[0] for line in printed.splitlines()] == prediction
        elif task == "token_classification":
            lines = [line.split() for line in printed.splitlines()]
            assert [word for word, _ in lines] == row["tokens"]
            labels = {entity["label"] for entity in prediction}
            assert {tag[2:] for _, tag in lines if tag != "O"} == labels
            assert sum(tag.startswith("B-") for _, tag in lines) <= len(prediction)
            split = _run(code, model, {"tokens": ["great.", "film"]})  # the first word has two tokens
            assert [line.split()[0] for line in split.splitlines()] == ["great.", "film"]
        elif task in ("extractive_qa", "summarization", "translation"):
            assert printed.strip() == prediction
        else:
            output = yaml.safe_load(printed.replace("[", "").replace("]", ""))
            assert output["label"] == prediction
            assert output["score"] == pytest.approx(record["probability"], abs=1e-5)
