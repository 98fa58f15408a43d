"""Where the model is weakest, and whether its probabilities are right."""

from __future__ import annotations

from typing import Any

from llmkit.report.trust import calibration, slices


def test_slices_stand_against_the_rest_and_the_shown_ones_are_named(content: dict[str, Any]) -> None:
    section = slices(content)
    assert section.lines == [
        "Worse than the rest, corrected for all slices: length 1 to 40.",
        "2 slices were too small to be judged.",
        "Lengths are in characters; languages are told by their script.",
    ]
    (table,) = section.tables
    assert [row[0].text for row in table.rows] == ["Length: 1 to 40", "Label: 积极"]
    assert [cell.text for cell in table.rows[0][3:7]] == ["0.700", "-0.190", "-0.250 to -0.130", "0.0003"]


def test_no_slice_is_called_worse_that_is_not_shown_to_be(content: dict[str, Any]) -> None:
    first, second = content["slices"]["slices"]
    for changes in ({"p_holm": 0.06}, {"p_holm": None}, {"metric": "loss"}):
        changed = {**content["slices"], "slices": [{**first, **changes}, second], "left_out": 0}
        lines = slices(content | {"slices": changed}).lines
        assert lines[0] == "No slice is shown to be worse than the rest, corrected for all slices."
        assert len(lines) == 2


def test_the_temperature_is_said_with_what_it_mends(content: dict[str, Any]) -> None:
    section = calibration(content)
    (line,) = section.lines
    assert line.startswith(
        "The model is too sure of its answers. Its logits divided by 1.420, the temperature"
    )
    names = [row[0].text for row in section.tables[0].rows]
    assert names == ["ECE", "Brier score", "ECE, calibrated", "Brier score, calibrated"]
    without = {**content["calibration"], "temperature": 1.0}
    assert calibration(content | {"calibration": without}).lines == [
        "No temperature was found: the validation rows hold no mistake to learn it from."
    ]
    cold = content | {"calibration": {**without, "temperature": 0.5}, "part": "validation"}
    lines = calibration(cold).lines
    assert lines[0].startswith("The model is not sure enough")
    assert len(lines) == 2
