"""The name of the cache is the one that the installed transformers uses without a warning."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from llmkit.base.cache_name import cache_name


def test_a_model_takes_and_returns_the_cache_by_this_name(
    tiny_gpt: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_gpt).eval()
    ids = torch.arange(5, 15)[None]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        start = model(input_ids=ids[:, :6], use_cache=True)
        rest = model(input_ids=ids[:, 6:], use_cache=True, **{cache_name(): start[cache_name()]})
    assert caplog.text == ""
    torch.testing.assert_close(rest.logits, model(input_ids=ids).logits[:, 6:])
