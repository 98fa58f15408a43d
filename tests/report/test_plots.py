"""The plots: complete, equal for equal input, and safe with any label."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from llmkit.report import plots
from llmkit.report.report import Confusion, Curves, Details, Evaluation, Report, Scatter, Step
from llmkit.report.svg import COLOURS, HEAT, INK, inline

ODD = ["积极", "a $x$ b", "<b>&", "שירות", "🎬", "a very long name of a class, longer than there is room"]


def _texts(svg: str) -> list[str | None]:
    return [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]


@pytest.fixture
def drawn(report: Report) -> dict[str, str]:
    return plots.draw(report)


def _draw_confusion(labels: list[str], counts: list[list[int]]) -> dict[str, str]:
    return plots.draw(Report(details=Details(confusion=Confusion(labels, counts))))


def _draw_scatter(references: list[float], predicted: list[float]) -> str:
    return plots.draw(Report(details=Details(scatter=Scatter(references, predicted))))["scatter"]


def _draw_evaluations(*evaluations: Evaluation) -> dict[str, str]:
    return plots.draw(Report(curves=Curves(evaluations=evaluations)))


def test_a_full_report_has_every_plot(drawn: dict[str, str]) -> None:
    others = ("scatter", "losses")  # for predicted numbers, and for two runs
    assert tuple(drawn) == tuple(name for name in plots.NAMES if name not in others)


def test_an_empty_report_has_no_plots(report: Report) -> None:
    assert plots.draw(Report()) == {}
    assert report.details.calibration is not None
    empty_bins = replace(
        report.details.calibration, bins=[replace(report.details.calibration.bins[0], count=0)]
    )
    empty = Report(curves=Curves(evaluations=[Evaluation(1, {})]), details=Details(calibration=empty_bins))
    assert plots.draw(empty) == {}


def test_unusual_labels_are_drawn_as_text_without_a_warning() -> None:
    counts = [[1] * len(ODD)] * len(ODD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = _draw_confusion(ODD, counts)["confusion"]
    assert all(_texts(svg).count(label) == 2 for label in ODD[:5])
    assert any(text and text.startswith("a very long") and text.endswith("…") for text in _texts(svg))


def test_more_than_twenty_classes_have_no_matrix() -> None:
    assert _draw_confusion([str(i) for i in range(21)], [[1] * 21] * 21) == {}


def _dots(svg: str) -> list[tuple[float, float]]:
    """Return the positions of marks in the first colour, in the order of the examples; y grows downward."""
    marks = re.findall(rf'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill: {COLOURS[0]}', svg)
    return [(float(x), float(y)) for x, y in marks]


def test_a_scatter_plot_has_a_dot_per_example_and_axes_of_one_scale() -> None:
    svg = _draw_scatter([0.0, 5.0, 2.0, 1.0], [0.0, 5.0, 2.0, 6.0])
    dots = _dots(svg)
    assert len(dots) == 4
    (left, bottom), (right, top), middle, above = dots
    assert right - left == pytest.approx(bottom - top)  # equal numbers lie on the line
    assert middle[0] - left == pytest.approx(bottom - middle[1])
    assert above[1] < top
    assert above[0] - left == pytest.approx((right - left) / 5, abs=0.01)
    assert {"Reference", "Prediction", "perfect"} <= set(_texts(svg))


def test_many_dots_are_fainter_and_complete() -> None:
    few, many = (_draw_scatter([n / 7 for n in range(count)], [1.0] * count) for count in (10, 2000))
    shown = [float(re.findall(rf"fill: {COLOURS[0]}; fill-opacity: ([\d.]+)", svg)[0]) for svg in (few, many)]
    assert shown[0] > shown[1] >= 0.2
    assert len(_dots(many)) == 2000
    assert len(many) < 300_000


def test_a_confusion_matrix_takes_its_colours_from_the_page() -> None:
    svg = _draw_confusion(["a", "b"], [[3, 1], [0, 4]])["confusion"]
    page = inline(svg)
    assert {HEAT, INK} & set(re.findall(r"#[0-9a-f]{6}", page)) == set()
    assert page.count("var(--heat)") >= 3
    assert page.count("var(--ink)") == 8  # a count and a share in each cell
    opacities = sorted(
        {float(opacity) for opacity in re.findall(r"var\(--heat\); fill-opacity: ([\d.]+)", page)}
    )
    assert opacities == pytest.approx([0.25, 0.75], abs=0.01)  # empty cells are not drawn


def test_steps_are_whole_numbers() -> None:
    curves = Curves([Step(1, 1.0, 1e-3, 1.0)], [Evaluation(2, {"loss": 0.5, "accuracy": 0.5})])
    drawn = plots.draw(Report(curves=curves))
    assert _texts(drawn["metrics"])[:1] == ["2"]
    assert [text for text in _texts(drawn["loss"]) if text in ("1.5", "1.2")] == []


def test_settings_of_the_users_matplotlib_have_no_effect(report: Report, drawn: dict[str, str]) -> None:
    import matplotlib

    with matplotlib.rc_context({"xtick.labelsize": 30, "svg.fonttype": "path"}):
        assert plots.draw(report) == drawn
        assert matplotlib.rcParams["xtick.labelsize"] == 30  # and are left unchanged


def test_plots_have_no_metadata(drawn: dict[str, str]) -> None:
    for svg in drawn.values():
        assert "<metadata" not in svg
        assert "dc:" not in svg


def test_a_long_run_is_thinned() -> None:
    steps = [Step(step, 1 / step, 1e-3, 1.0) for step in range(1, 50_001)]
    assert len(plots.draw(Report(curves=Curves(steps)))["loss"]) < 60_000


def test_scores_on_another_scale_have_a_separate_panel() -> None:
    evaluations = [
        Evaluation(step, {"accuracy": 0.1 * step, "perplexity": 90.0 / step}) for step in (1, 2, 3)
    ]
    together = _draw_evaluations(Evaluation(1, {"accuracy": 0.5, "f1": 0.4}))["metrics"]
    apart = _draw_evaluations(*evaluations)["metrics"]
    assert ('id="metrics-axes_2"' in together, 'id="metrics-axes_2"' in apart) == (False, True)


def test_scores_where_lower_is_better_have_a_separate_panel() -> None:
    evaluations = [Evaluation(step, {"pearson": 0.2 * step, "mse": 0.9 - 0.2 * step}) for step in (1, 2, 3)]
    svg = _draw_evaluations(*evaluations)["metrics"]
    assert 'id="metrics-axes_2"' in svg
    assert {"Pearson correlation", "MSE (lower is better)"} <= set(_texts(svg))
