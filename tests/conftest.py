"""Tiny real models, tokenizers and corpora, made in code: no network, no mocks of transformers."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.checkpoints import TINY, write_bert, write_gpt, write_t5
from tests.samples import BAD, GOOD, NEUTRAL

pytest_plugins = ["tests.runs"]

# The same cases on every run: a failure is then the change's, not the draw's.
settings.register_profile("llmkit", derandomize=True, deadline=None)
settings.load_profile("llmkit")

# One thread and one cache for all tests: sums come out in the same order, and nothing lands in the user's cache.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A shell's background job ignores Ctrl-C, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden", action="store_true", help="record the figures in tests/golden anew (say why)"
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The sample data sets beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the sample data sets (../shared/data) are not beside this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Derived files go to a cache of the test session, never the user's."""
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT checkpoint (2 layers, hidden 32, 50 words) with its tokenizer, in a folder."""
    folder = tmp_path_factory.mktemp("tiny_bert")
    write_bert(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama checkpoint (2 layers, hidden 32, 50 words) with its tokenizer, in a folder."""
    folder = tmp_path_factory.mktemp("tiny_gpt")
    write_gpt(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 checkpoint (2 layers on each side, hidden 32, 50 words) with its tokenizer, in a folder."""
    folder = tmp_path_factory.mktemp("tiny_t5")
    write_t5(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_for(tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path) -> Callable[[str], Path]:
    """The tiny checkpoint that a task can be trained on."""
    made = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}
    return lambda task: made[TINY.get(task, "bert")]


def reviews(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Made-up reviews of 3 to 24 words whose words tell the label; all different."""
    rng = random.Random(seed)
    rows: dict[str, str] = {}
    while len(rows) < count:
        label = rng.choice(["negative", "positive"])
        words = rng.choices(NEUTRAL, k=rng.randint(2, 20)) + rng.choices(
            GOOD if label == "positive" else BAD, k=2
        )
        rng.shuffle(words)
        rows[" ".join(words)] = label
    return [{"text": text, "label": label} for text, label in rows.items()]


@pytest.fixture(scope="session")
def reviews_jsonl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 made-up reviews in a file."""
    path = tmp_path_factory.mktemp("reviews") / "reviews.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in reviews(160)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def make_reviews() -> Callable[[int, int], list[dict[str, str]]]:
    """The function that makes reviews, for tests that need others."""
    return reviews


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, reviews_jsonl: Path) -> Path:
    """A recipe that trains the tiny BERT on the made-up reviews in about two seconds, to no error."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(
        f"""task:
  name: classification
model:
  name: {tiny_bert}
data:
  train: {reviews_jsonl}
train:
  epochs: 6
  batch_size: 8
  learning_rate: 3e-3
  max_length: 32
evaluate:
  best: accuracy
  resamples: 200
""",
        encoding="utf-8",
    )
    return path
