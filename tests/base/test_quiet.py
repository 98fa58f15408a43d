"""Library messages are off inside the block, and the settings are restored after it."""

from __future__ import annotations

import transformers

from llmkit.base.quiet import quiet


def test_settings_are_restored() -> None:
    before = (transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled())
    with quiet():
        assert transformers.logging.get_verbosity() == transformers.logging.ERROR
        assert not transformers.logging.is_progress_bar_enabled()
    assert (transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()) == before
