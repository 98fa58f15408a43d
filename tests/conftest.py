"""Fixtures: tiny real models, tokenizers and data sets, created in code without a network and without mocks."""

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

# Generate the same cases in every run, so that a failure comes from a change and not from chance.
settings.register_profile("llmkit", derandomize=True, deadline=None)
settings.load_profile("llmkit")

# One thread, so that sums are computed in the same order, and no access to the Hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A background job of a shell ignores SIGINT, and so would the processes that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden",
        action="store_true",
        help="rewrite the recorded figures in tests/golden (say why in the commit)",
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of the sample data sets, next to the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the sample data sets (../shared/data) are not next to this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _use_test_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a cache folder of the test session instead of the user's."""
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a BERT checkpoint (2 layers, width 32, 50 words) with its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny_bert")
    write_bert(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Llama checkpoint (2 layers, width 32, 50 words) with its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny_gpt")
    write_gpt(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a T5 checkpoint (2 + 2 layers, width 32, 50 words) with its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny_t5")
    write_t5(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_for(tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path) -> Callable[[str], Path]:
    """Return a function that returns the tiny checkpoint for a task."""
    checkpoints = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}
    return lambda task: checkpoints[TINY.get(task, "bert")]


def reviews(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Generate different reviews of 4 to 22 words, in which two words determine the label."""
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
    """Return a file with 160 generated reviews."""
    path = tmp_path_factory.mktemp("reviews") / "reviews.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in reviews(160)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def make_reviews() -> Callable[[int, int], list[dict[str, str]]]:
    """Return the function that generates reviews."""
    return reviews


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, reviews_jsonl: Path) -> Path:
    """Return a recipe that trains the tiny BERT on the generated reviews in about two seconds, without errors."""
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
