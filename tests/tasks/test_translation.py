"""Translation: scores of sacrebleu by language, and the tokenizer's languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sacrebleu import BLEU, CHRF, TER
from transformers import AutoTokenizer, MBart50Tokenizer

from llmkit import tasks
from llmkit.base.errors import RecipeError
from llmkit.data.encoding.prompts import find_target_start
from llmkit.recipe.schema import Data
from llmkit.tasks.translation import _shorten_code
from tests.samples import predict_baselines

MBART = {"model_type": "mbart", "is_encoder_decoder": True}
GERMAN = [
    "Ein Mann mit einem Regenschirm steht auf einem Hügel.",
    "Ein Junge schiebt ein Auto um den Pool.",
    "Es regnet, und niemand lacht.",
]
SAID = [
    "Ein Mann mit Schirm steht auf einem Hügel.",
    "Ein Junge schiebt ein Auto.",
    "Es regnet und es ist kalt.",
]


def make_task(**options: Any) -> Any:
    return tasks.load({"name": "translation", **options})


def test_scores_equal_those_of_sacrebleu() -> None:
    actual = make_task(target_language="de").measure(SAID, [[text] for text in GERMAN])
    expected = {
        "bleu": BLEU().corpus_score(SAID, [GERMAN]).score,
        "chrf": CHRF().corpus_score(SAID, [GERMAN]).score,
        "ter": TER().corpus_score(SAID, [GERMAN]).score,
    }
    assert actual.values() == pytest.approx(expected)
    assert "tok:13a" in actual.metrics[0].note


@pytest.mark.parametrize("language", ["zh", "zh_CN", "zho_Hans", None])
def test_chinese_is_tokenized_into_characters(language: str | None) -> None:
    text = "他延迟到下个月去北海道。"
    actual = make_task(target_language=language).measure([text], [[text]])
    assert actual.values()["bleu"] == pytest.approx(100)
    assert "tok:zh" in actual.metrics[0].note


@pytest.mark.parametrize(
    ("code", "short"), [("de_DE", "de_DE"), ("zho_Hant", "zh"), ("jpn_Jpan", "ja"), ("ko", "ko")]
)
def test_nllb_codes_are_shortened_for_the_metrics(code: str, short: str) -> None:
    assert _shorten_code(code) == short


def test_the_languages_of_the_tokenizer_are_set() -> None:
    tokenizer = MBart50Tokenizer()
    make_task(source_language="de_DE", target_language="zh_CN").bind(MBART, tokenizer)
    assert tokenizer.convert_ids_to_tokens(tokenizer("")["input_ids"][0]) == "de_DE"
    assert tokenizer.convert_ids_to_tokens(find_target_start(tokenizer)) == "zh_CN"


def test_a_language_that_the_base_model_lacks_is_an_error() -> None:
    for side in ("source", "target"):
        with pytest.raises(RecipeError, match='has no language "xx_QQ"') as caught:
            make_task(**{f"{side}_language": "xx_QQ"}).bind(MBART, MBart50Tokenizer())
        assert caught.value.details[0].place == f"task.{side}_language"


def test_tokenizers_without_languages_are_left_alone(tiny_t5: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    task = make_task(target_language="de").bind({"is_encoder_decoder": True}, tokenizer)
    assert task.tokenizer is tokenizer


def test_the_baseline_copies_the_source(corpus_of: Any) -> None:
    task = make_task()
    echo = [{"source": f"{n} a b", "target": f"{n} c"} for n in range(6)]
    examples = task.check(corpus_of(task, train=echo[:3], test=echo[3:]), Data(validation_share=0.0), 1)
    assert list(predict_baselines(task, examples)["copy"]["texts"]) == ["3 a b", "4 a b", "5 a b"]
