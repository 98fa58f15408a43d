from __future__ import annotations

import warnings
from typing import Any
from xml.etree import ElementTree

import pytest

from llmkit.report import plots

ODD = ["积极", "a $x$ b", "<b>&", "שירות", "🎬", "a very long name of a class, longer than there is room"]


def _texts(svg: str) -> list[str | None]:
    return [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]


@pytest.fixture
def drawn(content: dict[str, Any]) -> dict[str, str]:
    return plots.draw(content)


def test_a_full_content_draws_every_plot(drawn: dict[str, str]) -> None:
    assert tuple(drawn) == plots.NAMES


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
