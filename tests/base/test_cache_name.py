"""The name of the key-value cache in the installed version of transformers."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from llmkit.base.cache_name import get_cache_name


def test_model_accepts_and_returns_the_cache_under_this_name_without_a_warning(
    tiny_gpt: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_gpt).eval()
    ids = torch.arange(5, 15)[None]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        start = model(input_ids=ids[:, :6], use_cache=True)
        rest = model(input_ids=ids[:, 6:], use_cache=True, **{get_cache_name(): start[get_cache_name()]})
    assert caplog.text == ""
    torch.testing.assert_close(rest.logits, model(input_ids=ids).logits[:, 6:])
