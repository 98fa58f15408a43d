"""Samples of a language model depend on the seed and respect the maximum length."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from llmkit import tasks
from llmkit.base.progress import SILENT
from llmkit.models import load
from llmkit.training.samples import SAMPLE_CHARACTERS, _make_prompts, write_samples

ROWS = [
    "the story of a lovely actor with music and a film",
    "a good film with a bad story and a lovely actor",
]


@pytest.fixture(scope="module")
def model(tiny_gpt: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_gpt)


def make_run(tiny_gpt: Path, *, seed: int = 1, max_length: int = 32, task: str = "clm") -> Any:
    """A run with only the attributes that sampling reads."""
    tokenizer = load.load_tokenizer(tiny_gpt)
    prepared = SimpleNamespace(
        tokenizer=tokenizer,
        task=tasks.load({"name": task}).bind({"model_type": "llama"}, tokenizer),
        recipe=SimpleNamespace(seed=seed, train=SimpleNamespace(max_length=max_length)),
        examples=SimpleNamespace(
            corpus=SimpleNamespace(splits={"test": SimpleNamespace(column=lambda _: ROWS)})
        ),
    )
    return SimpleNamespace(prepared=prepared, progress=SILENT)


def test_equal_seeds_give_equal_samples(tiny_gpt: Path, model: Any) -> None:
    first, again, other = (write_samples(make_run(tiny_gpt, seed=seed), model, "test") for seed in (1, 1, 2))
    assert first == again
    assert [sample.beginning for sample in first] == [sample.beginning for sample in other]
    assert [sample.text for sample in first] != [sample.text for sample in other]


def test_samples_are_limited_to_max_length(tiny_gpt: Path, model: Any) -> None:
    ((short, *_), (long, *_)) = (
        write_samples(make_run(tiny_gpt, max_length=length), model, "test") for length in (8, 32)
    )
    tokenizer = load.load_tokenizer(tiny_gpt)
    count = len(tokenizer(short.beginning + " " + short.text, add_special_tokens=False)["input_ids"])
    assert count < 8  # at most 8 with the start token
    assert long.text.startswith(short.text)


def test_prompts_are_beginnings_of_evenly_spread_long_texts(tiny_gpt: Path) -> None:
    tokenizer = load.load_tokenizer(tiny_gpt)
    long = [f"{word} film with music by a lovely actor and a story" for word in ("good", "bad", "it", "the")]
    prompts = _make_prompts(["it is", *long, "bad"], tokenizer)
    assert [tokenizer.decode(ids, skip_special_tokens=True) for ids, _ in prompts] == [
        "good film with",
        "bad film with music",
        "it film with music",
    ]
    assert all(ids[0] == tokenizer.bos_token_id for ids, _ in prompts)
    tokens = len(tokenizer(long[0], add_special_tokens=False)["input_ids"])
    assert prompts[0][1] == round(SAMPLE_CHARACTERS * tokens / len(long[0]))
    assert _make_prompts(["it is"], tokenizer) == []


def test_only_language_models_write_samples(tiny_gpt: Path, model: Any) -> None:
    run = make_run(tiny_gpt)
    run.prepared.task = tasks.load({"name": "classification"})
    assert write_samples(run, model, "test") == []
