"""Settings of a metric have the defaults of a plain `llmkit score`."""

from __future__ import annotations

from llmkit.metrics.resampling import DEFAULT_RESAMPLING
from llmkit.metrics.settings import MetricSettings


def test_defaults_change_no_text_and_use_the_default_resampling() -> None:
    settings = MetricSettings()
    assert (settings.language, settings.tokenizer, settings.groups) == (None, None, None)
    assert not settings.stemmer
    assert not settings.strict
    assert settings.resampling == DEFAULT_RESAMPLING
