"""The LSTM language model computes its equations and works like a model of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from llmkit.base.cache_name import get_cache_name
from llmkit.models.lstm import LSTMConfig, LSTMForCausalLM, LSTMModel
from tests.float64 import EXACT, in_float64

V, D, K = 40, 12, 2


@pytest.fixture(scope="module")
def model() -> LSTMForCausalLM:
    torch.manual_seed(0)
    config = LSTMConfig(vocab_size=V, hidden_size=D, num_hidden_layers=K, pad_token_id=0, eos_token_id=1)
    return in_float64(LSTMForCausalLM(config)).eval()


def ids(rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(2, V, (rows, length), generator=torch.Generator().manual_seed(seed))


def compute_by_hand(model: LSTMForCausalLM, tokens: Tensor) -> Tensor:
    """Compute the logits (L, V) of one text by the equations of the paper, with torch's order of the gates."""
    weights = dict(model.model.lstm.named_parameters())
    states = model.model.embed_tokens(tokens)
    for layer in range(K):
        hidden = cell = torch.zeros(D, dtype=torch.float64)
        outputs = []
        for state in states:
            gates = (
                weights[f"weight_ih_l{layer}"] @ state
                + weights[f"bias_ih_l{layer}"]
                + weights[f"weight_hh_l{layer}"] @ hidden
                + weights[f"bias_hh_l{layer}"]
            )
            input_gate, forget_gate, candidate, output_gate = gates.chunk(4)
            cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
            hidden = output_gate.sigmoid() * cell.tanh()
            outputs.append(hidden)
        states = torch.stack(outputs)
    return states @ model.model.embed_tokens.weight.T


def test_logits_equal_the_equations_of_the_paper(model: LSTMForCausalLM) -> None:
    tokens = ids(3, 7)
    logits = model(tokens).logits
    for row, text in zip(logits, tokens, strict=True):
        torch.testing.assert_close(row, compute_by_hand(model, text), **EXACT)


def test_padding_on_either_side_has_no_effect(model: LSTMForCausalLM) -> None:
    texts = [ids(1, length, seed)[0] for seed, length in enumerate([1, 5, 3])]
    right, left = torch.zeros(3, 5, dtype=torch.int64), torch.zeros(3, 5, dtype=torch.int64)
    for row, text in enumerate(texts):
        right[row, : len(text)] = text
        left[row, 5 - len(text) :] = text
    after, before = (model(padded, attention_mask=(padded != 0).long()).logits for padded in (right, left))
    for row, text in enumerate(texts):
        alone = model(text[None]).logits[0]
        torch.testing.assert_close(after[row, : len(text)], alone, **EXACT)
        torch.testing.assert_close(before[row, 5 - len(text) :], alone, **EXACT)


def test_a_padded_batch_has_the_summed_loss_of_its_texts(model: LSTMForCausalLM) -> None:
    texts = [ids(1, length, length) for length in (4, 9)]
    summed = sum(model(text, labels=text).loss * (text.shape[1] - 1) for text in texts)
    padded = torch.nn.functional.pad(texts[0], (0, 5))
    batch = torch.cat([padded, texts[1]])
    labels = batch.masked_fill(batch == 0, -100)
    loss = model(batch, attention_mask=(batch != 0).long(), labels=labels).loss
    torch.testing.assert_close(loss * 11, summed)  # in float32, as transformers computes a loss


def test_each_packed_segment_begins_with_a_zero_state(model: LSTMForCausalLM) -> None:
    """As in packed blocks: segments of 3, 4 and 1 tokens, then padding, whose positions are all 0."""
    first, second, third = ids(1, 3, 1), ids(1, 4, 2), ids(1, 1, 3)
    block = torch.cat([first, second, third, torch.zeros(1, 2, dtype=torch.int64)], 1)
    other = ids(1, 10, 4)
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0, 0, 0], list(range(10))])
    logits = model(torch.cat([block, other]), position_ids=positions).logits
    apart = torch.cat([model(piece).logits for piece in (first, second, third)], 1)
    torch.testing.assert_close(logits[:1, :8], apart, **EXACT)
    torch.testing.assert_close(logits[1:], model(other).logits, **EXACT)


def test_a_text_continues_from_a_returned_state(model: LSTMForCausalLM) -> None:
    tokens = ids(3, 9)
    start = model(tokens[:, :4], use_cache=True)
    rest = model(tokens[:, 4:], **{get_cache_name(): start[get_cache_name()]}, use_cache=True)
    full = model(tokens, use_cache=True)
    torch.testing.assert_close(rest.logits, full.logits[:, 4:], **EXACT)
    for part, expected in zip(rest[get_cache_name()], full[get_cache_name()], strict=True):
        torch.testing.assert_close(part, expected, **EXACT)
    restarted = model(
        tokens[:, 4:],
        **{get_cache_name(): start[get_cache_name()]},
        position_ids=torch.arange(5).expand(3, 5),
    )
    fresh = model(tokens[:, 4:]).logits
    torch.testing.assert_close(restarted.logits, fresh, **EXACT)  # position 0 starts a new text


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_generation_is_the_same_with_and_without_cache_and_in_batches(
    model: LSTMForCausalLM, options: dict[str, int]
) -> None:
    texts = [ids(1, length, length) for length in (2, 6, 4)]
    settings = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, **options}
    alone = [model.generate(text, use_cache=False, **settings)[0, text.shape[1] :] for text in texts]
    cached = [model.generate(text, **settings)[0, text.shape[1] :] for text in texts]
    padded = torch.cat([torch.nn.functional.pad(text, (6 - text.shape[1], 0)) for text in texts])
    batched = model.generate(padded, attention_mask=(padded != 0).long(), **settings)[:, 6:]
    for rows in zip(alone, cached, batched, strict=True):
        assert rows[0].tolist() == rows[1].tolist() == rows[2].tolist()


def test_a_saved_model_is_loaded_by_the_auto_classes(model: LSTMForCausalLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), LSTMConfig)
    opened = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(opened, LSTMForCausalLM)
    assert all(
        torch.equal(one, other) for one, other in zip(opened.parameters(), model.parameters(), strict=True)
    )
    # Weights mapped from a file are aligned otherwise in memory, and sums may come out in another order.
    torch.testing.assert_close(opened(ids(2, 5)).logits, model(ids(2, 5)).logits, **EXACT)
    body, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(body, LSTMModel)
    assert not report["missing_keys"]


def test_every_weight_gets_a_gradient_and_the_output_layer_is_tied(model: LSTMForCausalLM) -> None:
    assert model.lm_head.weight is model.model.embed_tokens.weight
    tokens = ids(2, 6)
    model(tokens, labels=tokens).loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
    model.zero_grad()
    assert sum(parameter.numel() for parameter in model.parameters()) == V * D + K * (8 * D * D + 8 * D)


def test_dropout_depends_on_the_seed(model: LSTMForCausalLM) -> None:
    tokens = ids(2, 6)
    model.train()
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(model(tokens).logits)
    model.eval()
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_logits_to_keep_returns_the_last_logits(model: LSTMForCausalLM) -> None:
    tokens = ids(2, 6)
    full = model(tokens).logits
    torch.testing.assert_close(model(tokens, logits_to_keep=2).logits, full[:, -2:], **EXACT)
