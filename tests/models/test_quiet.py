"""Silence inside, the old settings outside."""

from __future__ import annotations

import transformers

from llmkit.models.quiet import quiet


def test_settings_come_back() -> None:
    before = (transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled())
    with quiet():
        assert transformers.logging.get_verbosity() == transformers.logging.ERROR
        assert not transformers.logging.is_progress_bar_enabled()
    assert (transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()) == before
