"""Each metric of the registry is computed from the form of its kind."""

from __future__ import annotations

import random
from typing import Any

import pytest

from llmkit.base.errors import UserError
from llmkit.metrics.registry import ENTRIES
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.scorers import SCORERS
from llmkit.metrics.settings import MetricSettings

FEW = MetricSettings(resampling=Resampling(resamples=50))


def test_each_registered_metric_has_a_scorer() -> None:
    assert set(SCORERS) == set(ENTRIES)


def test_many_different_labels_have_an_accuracy_but_no_macro_average() -> None:
    texts = [f"text {number}" for number in range(7000)]
    assert ENTRIES["accuracy"].score(texts, ["x", *texts[1:]], FEW)["accuracy"].value == 6999 / 7000
    with pytest.raises(UserError, match="7,001 different labels in 7,000 examples are too many"):
        ENTRIES["f1"].score(texts, ["x", *texts[1:]], FEW)


def test_perfect_scores_are_1_or_100() -> None:
    same = ["a cat sat on it", "so it ran off then"]
    assert ENTRIES["bleu"].score(same, [[text] for text in same], FEW)["bleu"].value == pytest.approx(100)
    assert ENTRIES["squad"].score(same, [[text] for text in same], FEW)["f1"].value == 1
    assert ENTRIES["wer"].score(same, [[text] for text in same], FEW)["wer"].value == 0


def test_method_names_the_note_for_one_example_too() -> None:
    assert "tok:13a" in ENTRIES["bleu"].score(["a cat"], [["a cat"]], FEW)["bleu"].method
    assert "macro average" in ENTRIES["f1"].score(["a"], ["a"], FEW)["f1"].method


def test_huge_perplexity_is_capped_and_not_0() -> None:
    assert ENTRIES["perplexity"].score([[-1e5]], ["a"], FEW)["perplexity"].value > 1e307


@pytest.mark.parametrize("key", ["bleu", "chrf"])
def test_identical_chinese_texts_score_100(key: str) -> None:
    texts = ["今天天气很好我们去公园", "我不喜欢这部电影的结尾"]
    assert ENTRIES[key].score(texts, [[text] for text in texts], FEW)[key].value == pytest.approx(100)


def test_semeval2010_counts_directions_and_ignores_other() -> None:
    reference = ["Cause-Effect(e1,e2)", "Other", "Cause-Effect(e2,e1)", "Member(e1,e2)"]
    ours = ["Cause-Effect(e1,e2)", "Other", "Cause-Effect(e1,e2)", "Member(e1,e2)"]
    assert ENTRIES["semeval2010"].score(ours, reference, FEW)["f1"].value == pytest.approx((0.5 + 1) / 2)
    assert ENTRIES["semeval2010"].score(["x", "y"], ["x", "x"], FEW)["f1"].n == 2  # without any Other


@pytest.mark.parametrize("strict", [False, True])
def test_entity_scores_of_random_tags_equal_seqeval(strict: bool) -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2

    rng = random.Random(7)
    reference = [[rng.choice(["O", "B-A", "B-B"]) for _ in range(rng.randint(1, 9))] for _ in range(60)]
    ours = [[rng.choice([tag, tag, "O", "I-A", "B-B", "I-B"]) for tag in row] for row in reference]
    settings: Any = {"mode": "strict", "scheme": IOB2} if strict else {}
    result = ENTRIES["entities"].score(
        ours, reference, MetricSettings(strict=strict, resampling=Resampling(resamples=50))
    )
    assert {key: score.value for key, score in result.items()} == pytest.approx(
        {
            "precision": precision_score(reference, ours, zero_division=0, **settings),
            "recall": recall_score(reference, ours, zero_division=0, **settings),
            "f1": f1_score(reference, ours, zero_division=0, **settings),
        }
    )


def test_questions_without_reference_answer_need_squad_v2() -> None:
    with pytest.raises(UserError, match="question 2 of the references has no reference answer"):
        ENTRIES["squad"].score(["a", ""], [["a"], []], FEW)
    assert ENTRIES["squad_v2"].score(["a", ""], [["a"], []], FEW)["f1"].value == 1


def test_questions_on_a_passage_are_resampled_together() -> None:
    import numpy as np

    answers = [["yes"]] * 40
    ours = ["yes"] * 20 + ["no"] * 20
    alone = ENTRIES["squad"].score(ours, answers, MetricSettings())["f1"]
    together = ENTRIES["squad"].score(ours, answers, MetricSettings(groups=np.arange(40) // 10))["f1"]
    assert "clustered by 4 groups" in together.method
    assert together.low is not None and alone.low is not None and together.low < alone.low
