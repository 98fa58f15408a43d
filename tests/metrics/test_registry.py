"""The registry: names and keys are a contract, and each entry accepts the form of its kind."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from llmkit.base.errors import UserError
from llmkit.metrics.registry import ENTRIES, KINDS, Kind, find_entry
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.settings import MetricSettings

CONTRACT = {
    **{
        name: (name,)
        for name in ("accuracy", "f1", "precision", "recall", "mcc", "pearson", "spearman", "mse")
    },
    **{
        name: (name,)
        for name in ("bleu", "chrf", "chrf++", "ter", "perplexity", "bits_per_byte", "wer", "cer")
    },
    "rouge": ("rouge1", "rouge2", "rougeL", "rougeLsum"),
    **dict.fromkeys(("squad", "squad_v2", "cmrc"), ("exact_match", "f1")),
    "entities": ("precision", "recall", "f1"),
    "semeval2010": ("f1",),
}
EXAMPLES: dict[Kind, tuple[list[Any], list[Any]]] = {
    "labels": (["a", "b", "a", "c"], ["a", "b", "b", "a"]),
    "numbers": ([1.0, 2.0, 4.0], [1.0, 3.0, 2.0]),
    "texts": (["a cat sat", "so it ran"], [["the cat sat"], ["so it ran", "it ran"]]),
    "answers": (["a cat", "ran"], [["cat"], ["it ran"]]),
    "tags": ([["B-A", "O"], ["O"]], [["B-A", "I-A"], ["O"]]),
    "log_probabilities": ([[-1.0], [-2.0, -0.5]], ["a", "b c"]),
}
FEW = MetricSettings(resampling=Resampling(resamples=50))


def test_names_and_keys_do_not_change() -> None:
    assert {name: metric.keys for name, metric in ENTRIES.items()} == CONTRACT
    assert {metric.kind for metric in ENTRIES.values()} == set(KINDS) == set(EXAMPLES)


@pytest.mark.parametrize("name", ENTRIES)
def test_each_entry_returns_its_keys_with_a_method(name: str) -> None:
    result = ENTRIES[name].score(*EXAMPLES[ENTRIES[name].kind], FEW)
    assert set(result) == set(ENTRIES[name].keys)
    assert all(score.method and score.n == len(EXAMPLES[ENTRIES[name].kind][0]) for score in result.values())


def test_unknown_name_suggests_the_closest_one() -> None:
    with pytest.raises(
        UserError, match=r'error\[E01\] --metric: unknown metric "blue"; did you mean "bleu"\?'
    ):
        find_entry("blue")


def test_listing_the_names_imports_no_library() -> None:
    code = "import sys, llmkit.metrics.registry; print({'numpy', 'sacrebleu'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
