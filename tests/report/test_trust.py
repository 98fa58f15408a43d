"""Sections on slices and calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmkit.report.report import Report
from llmkit.report.tables import Section
from llmkit.report.trust import calibration, slices


def _slices(report: Report, **changes: Any) -> Section:
    assert report.slices is not None
    section = slices(replace(report, slices=replace(report.slices, **changes)))
    assert section is not None
    return section


def _calibration(report: Report, **changes: Any) -> Section:
    assert report.details.calibration is not None
    details = replace(report.details, calibration=replace(report.details.calibration, **changes))
    section = calibration(replace(report, details=details))
    assert section is not None
    return section


def test_significantly_worse_slices_are_named(report: Report) -> None:
    section = _slices(report)
    assert section.lines == [
        "Significantly worse than all other examples (Holm-corrected): length 1 to 40.",
        "2 slices were too small to compare.",
        "Lengths are in characters. Languages are detected by their script.",
    ]
    (table,) = section.tables
    assert [row[0].text for row in table.rows] == ["Length: 1 to 40", "Label: 积极"]
    assert [cell.text for cell in table.rows[0][3:7]] == ["0.700", "-0.190", "-0.250 to -0.130", "0.0003"]
    assert _slices(report, left_out=1).lines[1] == "1 slice was too small to compare."


def test_no_slice_is_called_worse_without_significance(report: Report) -> None:
    assert report.slices is not None
    first, second = report.slices.slices
    for changed in (replace(first, p_holm=0.06), replace(first, p_holm=None), replace(first, metric="loss")):
        lines = _slices(report, slices=[changed, second], left_out=0).lines
        assert lines[0] == "No slice is significantly worse than all other examples (Holm-corrected)."
        assert len(lines) == 2


def test_the_temperature_is_shown_with_its_effect(report: Report) -> None:
    section = _calibration(report)
    (line,) = section.lines
    assert line.startswith("The model is overconfident. Dividing its logits by 1.420, the temperature")
    names = [row[0].text for row in section.tables[0].rows]
    assert names == ["ECE", "Brier score", "ECE, calibrated", "Brier score, calibrated"]
    assert _calibration(report, temperature=1.0).lines == [
        "No temperature was fitted, because the model makes no error on the validation set."
    ]
    lines = _calibration(replace(report, split="validation"), temperature=0.5).lines
    assert lines[0].startswith("The model is underconfident.")
    assert len(lines) == 2
