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

GOOD = ["good", "great", "fine", "lovely", "superb", "charming", "bright", "warm", "funny", "fresh"]
BAD = ["bad", "awful", "dull", "dreary", "poor", "boring", "dark", "cold", "sad", "stale"]
NEUTRAL = [
    *("the", "a", "film", "story", "plot", "actor", "scene", "music", "it", "was", "is", "and"),
    *("of", "with", "very", "quite", "rather", "this", "that"),
]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *NEUTRAL, *"0123456789", *".,!?"]


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
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny_bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama checkpoint (2 layers, hidden 32, 50 words) with its tokenizer, in a folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny_gpt")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        bos_token_id=WORDS.index("[CLS]"),
        eos_token_id=WORDS.index("[SEP]"),
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(folder, bos_token="[CLS]", eos_token="[SEP]")
    return folder


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 checkpoint (2 layers on each side, hidden 32, 50 words) with its tokenizer, in a folder."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny_t5")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(WORDS),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=WORDS.index("[PAD]"),
        eos_token_id=WORDS.index("[SEP]"),
        decoder_start_token_id=WORDS.index("[PAD]"),
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    save_tokenizer(folder, eos_token="[SEP]")
    return folder


@pytest.fixture(scope="session")
def tiny_for(tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path) -> Callable[[str], Path]:
    """The tiny checkpoint that a task can be trained on."""
    decoders = dict.fromkeys(("chat", "clm", "code", "dpo", "summarization"), tiny_gpt)
    others = {**decoders, "translation": tiny_t5}
    return lambda task: others.get(task, tiny_bert)


def save_tokenizer(folder: Path, **special: str) -> None:
    """A word-level BERT tokenizer over WORDS, with more names for its special tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        **special,
    ).save_pretrained(folder)


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
