"""Log-probabilities of answer pairs equal those of each answer alone, under the model and a copy without adapter."""

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
from tests.float64 import EXACT, in_float64

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


def load_with_adapter(folder: Path, *, dropout: float = 0.0) -> tuple[Any, Any]:
    """Return the model with a non-zero adapter, and a copy of it without; both have the dropout."""
    base = in_float64(AutoModelForCausalLM.from_pretrained(folder, attention_dropout=dropout)).eval()
    model = lora.add_adapter(copy.deepcopy(base), Lora(rank=4, dropout=dropout), seed=1)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.1)
    return model, base


def score_alone(model: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Return the log-probability of one answer, from a forward pass over prompt and answer alone."""
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
    return torch.stack([logits[len(prompt) + n - 1, token] for n, token in enumerate(answer)]).sum()


def test_log_probabilities_in_a_batch_equal_those_of_each_answer_alone(tiny_gpt: Path) -> None:
    """Prompts and answers have different lengths; the reference equals the copy without the adapter."""
    model, base = load_with_adapter(tiny_gpt)
    model.eval()
    policy_2B, reference_2B = compute_log_probabilities(model, batch_of(PAIRS), pad=PAD)
    for log_probabilities, scorer in ((policy_2B, model), (reference_2B, base)):
        expected = [[score_alone(scorer, pair[0], pair[side]).item() for pair in PAIRS] for side in (1, 2)]
        torch.testing.assert_close(log_probabilities, torch.tensor(expected, dtype=torch.float64), **EXACT)
    assert (policy_2B - reference_2B).abs().max() > 0.1  # the adapter has an effect


def test_dpo_loss_and_gradient_equal_the_formula(tiny_gpt: Path) -> None:
    """Rafailov et al. 2023, equation 7, pair by pair, with the copy as the reference."""
    model, base = load_with_adapter(tiny_gpt)
    policy_2B, reference_2B = compute_log_probabilities(model, batch_of(PAIRS), pad=PAD)
    loss, count = preference(0.1 * ((policy_2B - reference_2B)[0] - (policy_2B - reference_2B)[1]))
    weights = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, weights)
    expected = torch.zeros((), dtype=torch.float64)
    for prompt, chosen, rejected in PAIRS:
        ratios = [
            score_alone(model, prompt, own) - score_alone(base, prompt, own).detach()
            for own in (chosen, rejected)
        ]
        expected = expected - functional.logsigmoid(0.1 * (ratios[0] - ratios[1]))
    assert count == len(PAIRS)
    torch.testing.assert_close(loss, expected, **EXACT)
    for own, other in zip(gradients, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(own, other, **EXACT)


def test_the_reference_has_no_dropout_draws_no_numbers_and_leaves_the_model_unchanged(tiny_gpt: Path) -> None:
    model, _ = load_with_adapter(tiny_gpt, dropout=0.5)
    without_dropout = compute_log_probabilities(model.eval(), batch_of(PAIRS), pad=PAD)
    model.train()
    torch.manual_seed(5)
    policy_2B, reference_2B = compute_log_probabilities(model, batch_of(PAIRS), pad=PAD)
    after = torch.get_rng_state()
    torch.testing.assert_close(reference_2B, without_dropout[1], atol=0, rtol=0)
    assert not reference_2B.requires_grad
    assert (policy_2B - without_dropout[0]).abs().max() > 0.01  # the policy has dropout
    torch.manual_seed(5)
    own = engine._score_answers(model, engine._stack_pairs(batch_of(PAIRS)), PAD)
    torch.testing.assert_close(
        own, policy_2B, atol=0, rtol=0
    )  # the same random numbers as without a reference
    assert torch.equal(torch.get_rng_state(), after)
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad == ("lora_" in name) for name, p in model.named_parameters())


def test_an_error_in_the_forward_pass_restores_the_model(tiny_gpt: Path) -> None:
    model, _ = load_with_adapter(tiny_gpt)
    model.train()
    faulty = {**batch_of(PAIRS), "input_ids": batch_of(PAIRS)["input_ids"] + 10_000}
    with pytest.raises(IndexError):
        compute_log_probabilities(model, faulty, pad=PAD)
    assert model.training
    assert all(p.requires_grad == ("lora_" in name) for name, p in model.named_parameters())


def test_a_new_adapter_does_not_change_log_probabilities(tiny_gpt: Path) -> None:
    """At step 0 model and reference are bit-identical, so all margins are 0."""
    base = AutoModelForCausalLM.from_pretrained(tiny_gpt)
    model = lora.add_adapter(base, Lora(rank=4), seed=1).eval()
    policy_2B, reference_2B = compute_log_probabilities(model, batch_of(PAIRS), pad=PAD)
    assert torch.equal(policy_2B, reference_2B)
