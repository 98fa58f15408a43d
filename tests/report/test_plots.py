from __future__ import annotations

import re
import warnings
from typing import Any
from xml.etree import ElementTree

import pytest

from llmkit.report import plots
from llmkit.report.svg import COLOURS, HEAT, INK, inline

ODD = ["积极", "a $x$ b", "<b>&", "שירות", "🎬", "a very long name of a class, longer than there is room"]


def _texts(svg: str) -> list[str | None]:
    return [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]


@pytest.fixture
def drawn(content: dict[str, Any]) -> dict[str, str]:
    return plots.draw(content)


def test_a_full_content_draws_every_plot(drawn: dict[str, str]) -> None:
    others = ("scatter", "losses")  # for numbers, and for several runs
    assert tuple(drawn) == tuple(name for name in plots.NAMES if name not in others)


def test_nothing_to_draw_draws_nothing(content: dict[str, Any]) -> None:
    assert plots.draw({}) == {}
    assert plots.draw(dict.fromkeys(content)) == {}
    empty = {"curves": {"steps": [], "evaluations": [{"step": 1}]}, "calibration": {"bins": [{"count": 0}]}}
    assert plots.draw(empty) == {}


def test_odd_labels_are_drawn_as_text_without_a_warning() -> None:
    counts = [[1] * len(ODD)] * len(ODD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = plots.draw({"confusion": {"labels": ODD, "counts": counts}})["confusion"]
    assert all(_texts(svg).count(label) == 2 for label in ODD[:5])
    assert any(text and text.startswith("a very long") and text.endswith("…") for text in _texts(svg))


def test_more_than_twenty_classes_have_no_matrix() -> None:
    confusion = {"labels": [str(i) for i in range(21)], "counts": [[1] * 21] * 21}
    assert plots.draw({"confusion": confusion}) == {}


def _dots(svg: str) -> list[tuple[float, float]]:
    """Places of the marks in the first colour, in the order of the rows; y grows downward."""
    marks = re.findall(rf'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill: {COLOURS[0]}', svg)
    return [(float(x), float(y)) for x, y in marks]


def test_a_scatter_plot_has_a_dot_a_row_on_two_axes_of_one_scale() -> None:
    svg = plots.draw({"scatter": {"gold": [0.0, 5.0, 2.0, 1.0], "predicted": [0.0, 5.0, 2.0, 6.0]}})[
        "scatter"
    ]
    dots = _dots(svg)
    assert len(dots) == 4
    (left, bottom), (right, top), middle, above = dots
    assert right - left == pytest.approx(bottom - top)  # equal numbers lie on the line
    assert middle[0] - left == pytest.approx(bottom - middle[1])
    assert above[1] < top
    assert above[0] - left == pytest.approx((right - left) / 5, abs=0.01)
    assert {"Score in the data", "Prediction", "perfect"} <= set(_texts(svg))


def test_many_dots_are_fainter_and_still_all_there() -> None:
    few, many = (
        plots.draw({"scatter": {"gold": [n / 7 for n in range(rows)], "predicted": [1.0] * rows}})["scatter"]
        for rows in (10, 2000)
    )
    shown = [float(re.findall(rf"fill: {COLOURS[0]}; fill-opacity: ([\d.]+)", svg)[0]) for svg in (few, many)]
    assert shown[0] > shown[1] >= 0.2
    assert len(_dots(many)) == 2000
    assert len(many) < 300_000


def test_a_confusion_matrix_takes_its_colours_from_the_page() -> None:
    svg = plots.draw({"confusion": {"labels": ["a", "b"], "counts": [[3, 1], [0, 4]]}})["confusion"]
    page = inline(svg)
    assert {HEAT, INK} & set(re.findall(r"#[0-9a-f]{6}", page)) == set()
    assert page.count("var(--heat)") >= 3
    assert page.count("var(--ink)") == 8  # a count and a share in each cell
    opacities = sorted({float(found) for found in re.findall(r"var\(--heat\); fill-opacity: ([\d.]+)", page)})
    assert opacities == pytest.approx([0.25, 0.75], abs=0.01)  # of clear cells there is nothing


def test_steps_are_whole_numbers() -> None:
    evaluations = [{"step": 2, "loss": 0.5, "accuracy": 0.5}]
    drawn = plots.draw({"curves": {"steps": [{"step": 1, "loss": 1.0}], "evaluations": evaluations}})
    assert _texts(drawn["metrics"])[:1] == ["2"]
    assert [text for text in _texts(drawn["loss"]) if text in ("1.5", "1.2")] == []


def test_the_same_content_gives_the_same_bytes_whatever_the_user_has_set(
    content: dict[str, Any], drawn: dict[str, str]
) -> None:
    import matplotlib

    with matplotlib.rc_context({"xtick.labelsize": 30, "svg.fonttype": "path"}):
        assert plots.draw(content) == drawn
        assert matplotlib.rcParams["xtick.labelsize"] == 30  # and his settings are left alone


def test_a_plot_carries_no_date_no_tool_and_no_metadata(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        assert "<metadata" not in svg
        assert "dc:" not in svg


def test_a_long_run_is_thinned() -> None:
    steps = [{"step": step, "loss": 1 / step} for step in range(1, 50_001)]
    assert len(plots.draw({"curves": {"steps": steps}})["loss"]) < 60_000


def test_scores_of_another_size_get_a_panel_of_their_own() -> None:
    evaluations = [{"step": step, "accuracy": 0.1 * step, "perplexity": 90.0 / step} for step in range(1, 4)]
    together = plots.draw({"curves": {"evaluations": [{"step": 1, "accuracy": 0.5, "f1": 0.4}]}})["metrics"]
    apart = plots.draw({"curves": {"evaluations": evaluations}})["metrics"]
    assert ('id="metrics-axes_2"' in together, 'id="metrics-axes_2"' in apart) == (False, True)


def test_scores_that_should_fall_get_a_panel_of_their_own() -> None:
    evaluations = [{"step": step, "pearson": 0.2 * step, "mse": 0.9 - 0.2 * step} for step in range(1, 4)]
    svg = plots.draw({"curves": {"evaluations": evaluations}})["metrics"]
    assert 'id="metrics-axes_2"' in svg
    assert {"Pearson correlation", "MSE (lower is better)"} <= set(_texts(svg))
