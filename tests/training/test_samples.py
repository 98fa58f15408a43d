"""What a language model writes by itself is the same each time, and follows the seed."""

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


def run_of(tiny_gpt: Path, *, seed: int = 1, max_length: int = 32, task: str = "clm") -> Any:
    """A run with only what samples need of it."""
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


def test_the_same_seed_writes_the_same(tiny_gpt: Path, model: Any) -> None:
    first, again, other = (write_samples(run_of(tiny_gpt, seed=seed), model, "test") for seed in (1, 1, 2))
    assert first == again
    assert [one["beginning"] for one in first] == [one["beginning"] for one in other]
    assert [one["text"] for one in first] != [one["text"] for one in other]


def test_nothing_is_written_beyond_the_longest_text_of_training(tiny_gpt: Path, model: Any) -> None:
    ((short, *_), (long, *_)) = (
        write_samples(run_of(tiny_gpt, max_length=length), model, "test") for length in (8, 32)
    )
    tokenizer = load.load_tokenizer(tiny_gpt)
    count = len(tokenizer(short["beginning"] + " " + short["text"], add_special_tokens=False)["input_ids"])
    assert count < 8  # with the start token 8 at most
    assert long["text"].startswith(short["text"])


def test_prompts_are_beginnings_of_rows_spread_over_the_long_ones(tiny_gpt: Path) -> None:
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
    run = run_of(tiny_gpt)
    run.prepared.task = tasks.load({"name": "classification"})
    assert write_samples(run, model, "test") == []
