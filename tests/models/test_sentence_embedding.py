"""Embeddings: the mean over real tokens, for any architecture, without padding and without random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as t
from safetensors.torch import load_file, save_file

from llmkit.base.errors import ModelError
from llmkit.models import load, sentence_embedding
from tests.float64 import EXACT, in_float64

IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 9, 9]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def build_tiny(kind: str) -> Any:
    """Build an untrained model with a head and hidden size 32."""

    torch.manual_seed(0)
    shape = {"vocab_size": 20, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    bert = {**shape, "intermediate_size": 64}
    if kind == "bert":
        return t.BertForTokenClassification(t.BertConfig(**bert))
    if kind == "albert":  # its token embedding is narrower than its hidden states
        return t.AlbertForMaskedLM(t.AlbertConfig(**bert, embedding_size=16))
    if kind == "gpt2":
        return t.GPT2LMHeadModel(t.GPT2Config(vocab_size=20, n_embd=32, n_layer=1, n_head=4))
    if kind == "llama":
        return t.LlamaForCausalLM(t.LlamaConfig(**bert))
    assert kind == "t5"
    return t.T5ForConditionalGeneration(
        t.T5Config(vocab_size=20, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    )


def test_padding_is_left_out_of_the_mean() -> None:
    hidden = torch.arange(12, dtype=torch.float32).reshape(2, 3, 2)
    pooled = sentence_embedding.pool_mean(hidden, torch.tensor([[1, 1, 1], [1, 1, 0]]))
    assert pooled.tolist() == [[2.0, 3.0], [7.0, 8.0]]


@pytest.mark.parametrize("kind", ["bert", "albert", "gpt2", "llama", "t5"])
def test_embeddings_have_length_1_and_do_not_depend_on_padding(kind: str, tmp_path: Path) -> None:
    body = in_float64(
        sentence_embedding.load_body(save(build_tiny(kind), tmp_path))
    ).eval()  # the vectors are float32
    with torch.no_grad():
        both = sentence_embedding.embed(body, {"input_ids": IDS, "attention_mask": MASK})["embedding"]
        alone = sentence_embedding.embed(
            body, {"input_ids": IDS[1:, :3], "attention_mask": torch.ones(1, 3, dtype=torch.long)}
        )["embedding"]
    assert both.shape == (2, sentence_embedding.get_dimension(body)) == (2, 32)
    assert np.linalg.norm(both.numpy(), axis=1) == pytest.approx(1, abs=1e-6)
    assert (both[1] - alone[0]).abs().max() < 1e-6
    assert (both[0] - both[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "expected"), [("bert", False), ("albert", False), ("gpt2", True), ("llama", True), ("t5", False)]
)
def test_gpt_types_are_recognized(kind: str, expected: bool, tmp_path: Path) -> None:
    body = sentence_embedding.load_body(save(build_tiny(kind), tmp_path))
    assert sentence_embedding.is_gpt_type(body) is expected


def test_the_body_gives_the_hidden_states_below_the_head(tmp_path: Path) -> None:
    model = build_tiny("bert").eval()
    body = sentence_embedding.load_body(save(model, tmp_path)).eval()
    assert {parameter.dtype for parameter in body.parameters()} == {torch.float32}
    model, body = in_float64(model), in_float64(body)
    with torch.no_grad():
        expected = model.bert(input_ids=IDS, attention_mask=MASK).last_hidden_state
        states = body(input_ids=IDS, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(states, expected, **EXACT)


def test_missing_weights_are_an_error(tmp_path: Path) -> None:

    folder = save(build_tiny("bert"), tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"1 weights of BertModel are missing \(encoder.layer.0.output"
    ) as caught:
        sentence_embedding.load_body(folder)
    assert caught.value.details[0].code == "M01"


def test_a_config_that_asks_to_run_code_is_an_error(tmp_path: Path) -> None:
    folder = save(build_tiny("bert"), tmp_path)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("{", '{"auto_map": {"AutoModel": "x.Y"},', 1))
    with pytest.raises(ModelError, match="M06"):
        sentence_embedding.load_body(folder)


def test_an_unknown_architecture_is_an_error(tiny_bert: Path, tmp_path: Path) -> None:
    folder = save(build_tiny("bert"), tmp_path)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "bert"', '"model_type": "brt"'))
    with pytest.raises(ModelError) as caught:
        sentence_embedding.load_body(folder)
    assert caught.value.lines()[0].startswith(f"error[M01] {folder}: cannot be loaded (")
    assert load.check_folder(tiny_bert)  # without the change the folder is valid
