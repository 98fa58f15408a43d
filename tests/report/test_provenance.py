"""Sections on data, cost and hardware, and on how to reproduce a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmkit.report import provenance
from llmkit.report.report import Data, Report, SplitCounts
from llmkit.report.tables import Section


def _lengths(report: Report, **changes: Any) -> Section:
    assert report.lengths is not None
    section = provenance.lengths(replace(report, lengths=replace(report.lengths, **changes)))
    assert section is not None
    return section


@pytest.mark.parametrize(("share", "warns"), [(0.05, False), (0.051, True), (0.0, False)])
def test_many_unknown_tokens_give_a_warning(report: Report, share: float, warns: bool) -> None:
    assert bool(_lengths(report, unknown_tokens_share=share).warnings) is warns


def test_much_truncated_text_gives_a_warning(report: Report) -> None:
    warnings = _lengths(report, cut_tokens_share=0.2, unknown_tokens_share=0.0).warnings
    assert warnings == ["20.0 % of the tokens were lost to truncation. Raise train.max_length."]


def test_texts_in_windows_have_no_longest_example(report: Report) -> None:
    names = [[row[0].text for row in _lengths(report, longest=n).tables[0].rows] for n in (0, 113)]
    assert ["Longest example" in each for each in names] == [False, True]


def test_a_split_without_source_and_a_source_without_split_are_shown() -> None:
    section = provenance.data(Report(data=Data({"train": SplitCounts(3)}, sources={"test": ["a", "b"]})))
    assert section is not None
    assert [[cell.text for cell in row] for row in section.tables[0].rows] == [
        ["train", "3", "–"],
        ["test", "–", "a, b"],
    ]


def test_training_figures_have_units(report: Report) -> None:
    section = provenance.speed(report)
    assert section is not None
    values = {row[0].text: row[1].text for row in section.tables[0].rows}
    assert values["Training time"] == "4 min 50 s"
    assert values["Peak memory"] == "1.30 GB"
    assert values["Tokens that are not padding"] == "96.0 %"
    assert provenance.speed(Report()) is None


def test_reproducing_needs_command_seed_and_fingerprint(report: Report) -> None:
    section = provenance.repeat(report)
    assert section is not None
    assert section.codes == [("Command", "llmkit finetune sentiment train.epochs=2")]
    assert [row[1].text for row in section.tables[0].rows][:2] == ["7", "sha256:9f2c4e"]
