"""Summarization: ROUGE with one sentence per line, and the first sentences as a baseline."""

from __future__ import annotations

from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer

from llmkit import tasks
from llmkit.recipe.schema import Data
from tests.samples import predict_baselines

SAID = "Ann sold the house. She moved to Rome in May."
REFERENCES = ["Ann moved to Rome. The house was sold.", "In May Ann left."]
DOCUMENT = "Mr. Li paid 3.50 yuan. He left at noon. Nobody saw him. It rained. All went home."


def make_task(**options: Any) -> Any:
    return tasks.load({"name": "summarization", **options})


def test_scores_equal_those_of_rouge_score_with_one_sentence_per_line() -> None:
    actual = make_task().measure([SAID], [REFERENCES])
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]

    def by_line(text: str) -> str:
        return text.replace(". ", ".\n")

    theirs = RougeScorer(names).score_multi([by_line(text) for text in REFERENCES], by_line(SAID))
    assert actual.values() == pytest.approx({name: 100 * theirs[name].fmeasure for name in names})
    whole = RougeScorer(names).score_multi(REFERENCES, SAID)
    assert actual.values()["rougeLsum"] != pytest.approx(100 * whole["rougeLsum"].fmeasure)


def test_chinese_summaries_have_scores() -> None:
    actual = make_task().measure(["灰黄霉素微粒的制备"], [["灰黄霉素微粒的制备"]])
    assert actual.values()["rougeL"] == pytest.approx(100)


def test_the_baseline_is_the_first_sentences(corpus_of: Any) -> None:
    task = make_task()
    train = [{"document": f"{n} rows. And more.", "summary": "rows"} for n in range(3)]
    test = [
        {"document": DOCUMENT, "summary": "Li left."},
        {"document": "超临界溶液。采用了新方法。结果如下。", "summary": "方法"},
        {"document": "no end", "summary": "none"},
    ]
    examples = task.check(corpus_of(task, train=train, test=test), Data(validation_share=0.0), 1)
    lead = list(predict_baselines(task, examples)["lead"]["texts"])
    assert lead == ["Mr. Li paid 3.50 yuan. He left at noon. Nobody saw him.", "超临界溶液。", "no end"]
