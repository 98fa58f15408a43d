from __future__ import annotations

from typing import Any

import pytest

from llmkit.report import provenance
from llmkit.report.wording import Wording


@pytest.mark.parametrize(("share", "warned"), [(0.05, False), (0.051, True), (None, False)])
def test_many_unknown_tokens_are_a_warning(share: float | None, warned: bool) -> None:
    section = provenance.lengths({"lengths": {"max_length": 128, "unknown_tokens_share": share}})
    assert section is not None
    assert bool(section.warnings) is warned


def test_much_cut_text_is_a_warning() -> None:
    section = provenance.lengths({"lengths": {"cut_tokens_share": 0.2}})
    assert section is not None
    assert "20.0 % of the tokens were cut off" in section.warnings[0]


def test_the_seed_is_read_from_the_recipe() -> None:
    assert provenance.seed({"recipe": "task:\n  seed: 3\nseed: 42\n"}) == "42"
    assert provenance.seed({}) is None


def test_a_part_without_rows_and_a_source_without_part_are_shown() -> None:
    section = provenance.data(
        {"data": {"parts": {"train": {"rows": 3}}, "sources": {"test": ["a", "b"]}}}, Wording()
    )
    assert section is not None
    assert [[cell.text for cell in row] for row in section.tables[0].rows] == [
        ["train", "3", "–"],
        ["test", "–", "a, b"],
    ]


def test_costs_that_were_not_measured_are_left_out() -> None:
    section = provenance.speed({"train": {"steps": 3, "peak_memory_bytes": None}})
    assert section is not None
    assert [row[0].text for row in section.tables[0].rows] == ["Steps"]


def test_repeating_names_command_seed_and_fingerprint(content: dict[str, Any]) -> None:
    section = provenance.repeat(content)
    assert section is not None
    assert section.codes == [("Command", "llmkit finetune sentiment train.epochs=2")]
    assert [row[1].text for row in section.tables[0].rows][:2] == ["7", "sha256:9f2c4e"]
