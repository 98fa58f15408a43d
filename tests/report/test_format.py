"""Formats of values for readers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from llmkit.report import format as form


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0.000"),
        (-0.0, "0.000"),
        (1e-6, "1e-6"),
        (-2.34e-5, "-2.3e-5"),
        (0.0005, "0.001"),
        (0.8623, "0.862"),
        (1, "1.000"),
        (27.314, "27.31"),
        (100.0, "100.0"),
        (123456789.0, "123,456,789"),
    ],
)
def test_numbers_have_about_three_digits(value: float | None, shown: str) -> None:
    assert form.number(value) == shown


def test_a_missing_interval_is_a_dash() -> None:
    assert form.interval(SimpleNamespace(low=None, high=None)) == "–"
    assert form.interval(SimpleNamespace(low=0.0, high=0.882)) == "0.000 to 0.882"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (290.1, "4 min 50 s"),
        (3599.9, "1 h 00 min"),
        (1e7, "2,777 h 46 min"),
    ],
)
def test_durations_never_show_sixty_seconds_or_minutes(seconds: float, shown: str) -> None:
    assert form.duration(seconds) == shown


def test_counts_sizes_and_shares_have_units() -> None:
    assert form.count(10**15) == "1,000,000,000,000,000"
    assert form.size(1_300_000_000) == "1.30 GB"
    assert form.size(12) == "12 bytes"
    assert form.percent(0.0) == "0.0 %"
    assert form.percent(0.0001) == "< 0.1 %"
    assert form.p_value(1e-9) == "< 0.0001"
    assert [form.count(None), form.size(None), form.percent(None), form.duration(None)] == ["–"] * 4


def test_keys_become_headings() -> None:
    names = ["f1_micro", "mcc", "learning_rate", "rougeL", "world_size"]
    assert [form.words(name) for name in names] == [
        "Micro F1",
        "MCC",
        "Learning rate",
        "ROUGE-L",
        "Processes",
    ]


def test_a_key_in_a_sentence_keeps_the_capitals_of_names_and_abbreviations() -> None:
    names = [
        "exact_match",
        "f1_micro",
        "f1",
        "pearson",
        "hamming_loss",
        "semeval2010",
        "pr_auc",
    ]
    assert [form.phrase(name) for name in names] == [
        "exact match",
        "micro F1",
        "F1",
        "Pearson correlation",
        "Hamming loss",
        "SemEval-2010 F1",
        "PR-AUC",
    ]


def test_nested_settings_are_formatted_in_one_line() -> None:
    assert form.plain({"a": [1, 2], "b": None}) == "a 1, 2, b –"


def test_markdown_in_data_is_escaped() -> None:
    assert form.markdown("<b>|x|\n`y` [z](u)") == r"&lt;b&gt;\|x\| \`y\` \[z\](u)"


def test_a_fence_is_longer_than_any_fence_in_the_text() -> None:
    assert form.fence("a ```` b") == "`````"


def test_a_shortened_text_ends_in_an_ellipsis() -> None:
    assert form.shorten("abcdef", 4) == "abc…"
    assert form.shorten("abcd", 4) == "abcd"
