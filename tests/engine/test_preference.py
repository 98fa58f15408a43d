"""Log-probabilities of pairs: those of each answer alone, against a copy of the model from before its adapter."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from llmkit.data.encoding.collate import IGNORED
from llmkit.engine import preference as engine
from llmkit.engine.losses import preference
from llmkit.engine.preference import compute_log_probabilities
from llmkit.models import lora
from llmkit.recipe.schema import Lora

PAD = 0
# (prompt, chosen, rejected)
PAIRS = [
    ([2, 7, 8, 9, 3], [11, 12, 3], [13, 3]),
    ([2, 7], [13, 3], [14, 15, 16, 17, 3]),
    ([2, 20, 21, 22, 23, 24, 3], [14, 3], [3]),
]


def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def batch_of(pairs: list[Any]) -> dict[str, torch.Tensor]:
    prompts, chosen, rejected = (list(column) for column in zip(*pairs, strict=True))
    return {
        "input_ids": padded(prompts, PAD),
        "attention_mask": padded([[1] * len(row) for row in prompts], 0),
        "targets": padded(chosen, IGNORED),
        "rejected": padded(rejected, IGNORED),
    }


def adapted(folder: Path, *, dropout: float = 0.0) -> tuple[Any, Any]:
    """The model with an adapter that has moved, and a copy from before; dropout is for both."""
    before = AutoModelForCausalLM.from_pretrained(folder, attention_dropout=dropout).eval()
    model = lora.add_adapter(copy.deepcopy(before), Lora(rank=4, dropout=dropout), seed=1)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.1)
    return model, before


def plainly(model: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Of one answer alone, from the whole text at once."""
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
    return torch.stack([logits[len(prompt) + n - 1, token] for n, token in enumerate(answer)]).sum()


def test_they_are_those_of_each_answer_alone(tiny_gpt: Path) -> None:
    """Ragged prompts and answers in one batch; the reference is the copy, though there is none."""
    model, before = adapted(tiny_gpt)
    model.eval()
    now_2B, before_2B = compute_log_probabilities(model, batch_of(PAIRS), pad=PAD)
    for found, judge in ((now_2B, model), (before_2B, before)):
        expected = [[plainly(judge, pair[0], pair[side]).item() for pair in PAIRS] for side in (1, 2)]
        torch.testing.assert_close(found, torch.tensor(expected), atol=2e-5, rtol=1e-5)
    assert (now_2B - before_2B).abs().max() > 0.1  # the adapter does something


def test_loss_and_gradient_are_those_of_the_paper(tiny_gpt: Path) -> None:
    """Equation 7, with the copy as the reference, pair by pair."""
    model, before = adapted(tiny_gpt)
    now_2B, before_2B = compute_log_probabilities(model, batch_of(PAIRS), pad=PAD)
    loss, count = preference(0.1 * ((now_2B - before_2B)[0] - (now_2B - before_2B)[1]))
    weights = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, weights)
    expected = torch.zeros(())
    for prompt, chosen, rejected in PAIRS:
        ratios = [
            plainly(model, prompt, own) - plainly(before, prompt, own).detach() for own in (chosen, rejected)
        ]
        expected = expected - functional.logsigmoid(0.1 * (ratios[0] - ratios[1]))
    assert count == len(PAIRS)
    torch.testing.assert_close(loss, expected)
    for own, other in zip(found, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(own, other, atol=1e-6, rtol=1e-4)


def test_the_reference_is_without_dropout_draws_nothing_and_leaves_no_trace(tiny_gpt: Path) -> None:
    model, _ = adapted(tiny_gpt, dropout=0.5)
    still = compute_log_probabilities(model.eval(), batch_of(PAIRS), pad=PAD)
    model.train()
    torch.manual_seed(5)
    now_2B, before_2B = compute_log_probabilities(model, batch_of(PAIRS), pad=PAD)
    after = torch.get_rng_state()
    torch.testing.assert_close(before_2B, still[1], atol=0, rtol=0)
    assert not before_2B.requires_grad
    assert (now_2B - still[0]).abs().max() > 0.01  # the model itself has dropout
    torch.manual_seed(5)
    own = engine._of_answers(model, engine._both(batch_of(PAIRS)), PAD)
    torch.testing.assert_close(own, now_2B, atol=0, rtol=0)  # the same draws as without a reference
    assert torch.equal(torch.get_rng_state(), after)
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad == ("lora_" in name) for name, p in model.named_parameters())


def test_an_error_inside_leaves_the_model_as_it_was(tiny_gpt: Path) -> None:
    model, _ = adapted(tiny_gpt)
    model.train()
    faulty = {**batch_of(PAIRS), "input_ids": batch_of(PAIRS)["input_ids"] + 10_000}
    with pytest.raises(IndexError):
        compute_log_probabilities(model, faulty, pad=PAD)
    assert model.training
    assert all(p.requires_grad == ("lora_" in name) for name, p in model.named_parameters())


def test_a_new_adapter_changes_nothing(tiny_gpt: Path) -> None:
    """At step 0 model and reference agree to the bit, so all margins are 0."""
    before = AutoModelForCausalLM.from_pretrained(tiny_gpt)
    model = lora.add_adapter(before, Lora(rank=4), seed=1).eval()
    now_2B, before_2B = compute_log_probabilities(model, batch_of(PAIRS), pad=PAD)
    assert torch.equal(now_2B, before_2B)
