"""The body alone, averaged over the real tokens: any architecture, no padding, no random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llmkit.base.errors import ModelError
from llmkit.models import load, sentence_embedding
from tests.float64 import EXACT, in_float64

IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 9, 9]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def tiny(kind: str) -> Any:
    """An untrained model with a head, hidden size 32."""
    import transformers as t

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


def test_the_mean_is_over_the_real_tokens() -> None:
    hidden = torch.arange(12, dtype=torch.float32).reshape(2, 3, 2)
    found = sentence_embedding.pool_mean(hidden, torch.tensor([[1, 1, 1], [1, 1, 0]]))
    assert found.tolist() == [[2.0, 3.0], [7.0, 8.0]]


@pytest.mark.parametrize("kind", ["bert", "albert", "gpt2", "llama", "t5"])
def test_any_body_gives_vectors_of_length_1_that_padding_does_not_change(kind: str, tmp_path: Path) -> None:
    body = in_float64(
        sentence_embedding.load_body(saved(tiny(kind), tmp_path))
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
    ("kind", "one_way"), [("bert", False), ("albert", False), ("gpt2", True), ("llama", True), ("t5", False)]
)
def test_gpt_types_are_told_apart(kind: str, one_way: bool, tmp_path: Path) -> None:
    body = sentence_embedding.load_body(saved(tiny(kind), tmp_path))
    assert sentence_embedding.is_gpt_type(body) is one_way


def test_the_body_is_that_below_the_head(tmp_path: Path) -> None:
    model = tiny("bert").eval()
    body = sentence_embedding.load_body(saved(model, tmp_path)).eval()
    assert {parameter.dtype for parameter in body.parameters()} == {torch.float32}
    model, body = in_float64(model), in_float64(body)
    with torch.no_grad():
        expected = model.bert(input_ids=IDS, attention_mask=MASK).last_hidden_state
        found = body(input_ids=IDS, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(found, expected, **EXACT)


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved(tiny("bert"), tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"1 weights of BertModel are missing \(encoder.layer.0.output"
    ) as caught:
        sentence_embedding.load_body(folder)
    assert caught.value.details[0].code == "M01"


def test_a_folder_that_wants_to_run_code_is_refused_as_elsewhere(tmp_path: Path) -> None:
    folder = saved(tiny("bert"), tmp_path)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("{", '{"auto_map": {"AutoModel": "x.Y"},', 1))
    with pytest.raises(ModelError, match="M06"):
        sentence_embedding.load_body(folder)


def test_an_unknown_architecture_is_one_line(tiny_bert: Path, tmp_path: Path) -> None:
    folder = saved(tiny("bert"), tmp_path)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "bert"', '"model_type": "brt"'))
    with pytest.raises(ModelError) as caught:
        sentence_embedding.load_body(folder)
    assert caught.value.lines()[0].startswith(f"error[M01] {folder}: can't be loaded (")
    assert load.check_folder(tiny_bert)  # the planted fault is what stops it
