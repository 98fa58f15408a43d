"""Draw the plots of a report as SVG. Text stays text, and equal reports give equal bytes.

    draw(report)["loss"]  ->  '<svg ...>'

Labels and colours are finished in `svg`, which does not need matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from itertools import pairwise
from statistics import fmean
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from llmkit.metrics.tasks.calibration import Bin
from llmkit.report.classes import MAX_CLASSES, MAX_CLASSES_WITH_SHARES
from llmkit.report.format import better, count, shorten, titled, words
from llmkit.report.report import (
    Calibration,
    ComparedRun,
    ComparisonReport,
    Confusion,
    Curves,
    LengthBin,
    Lengths,
    Report,
    Scatter,
)
from llmkit.report.svg import COLOURS, FAINT, HEAT, INK, QUIET, finish, stand_in, width

__all__ = ["NAMES", "TITLES", "draw"]

Points = list[tuple[float, float]]

TITLES = {
    "loss": "Training and validation loss by step",
    "losses": "Validation loss by step, or training loss for a run without validation",
    "metrics": "Validation scores by step",
    "confusion": "Confusion matrix: references in rows, predictions in columns",
    "calibration": "Accuracy by confidence, and number of predictions",
    "scatter": "Predictions by reference; a perfect prediction lies on the line",
    "lengths": "Number of inputs by length in tokens",
}
NAMES = tuple(TITLES)

SHADES = LinearSegmentedColormap.from_list(
    "shades", [f"{HEAT}00", HEAT]
)  # from transparent to opaque, on any page
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "llmkit",
    "font.size": 9.5,
    "text.color": QUIET,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
WIDTH, HEIGHT = 5.0, 3.0  # inches: as wide as a phone, so that text keeps its size there
MAX_POINTS = 400
SMOOTHING = 0.8  # weight of the mean so far, per point
MIN_SMOOTHED = 20  # points from which the training loss is smoothed
MAX_LINES = 4
LABEL_LENGTH = 24


def draw(report: Report | ComparisonReport) -> dict[str, str]:
    """Return the SVG of each plot that the report has values for, by name."""
    with matplotlib.style.context(STYLE, after_reset=True):  # ignores the user's matplotlibrc
        if isinstance(report, ComparisonReport):
            plots = {"losses": _draw_losses(report.runs)}
        else:
            details = report.details
            plots = {
                "loss": _draw_loss(report.curves),
                "metrics": _draw_metrics(report.curves, list(report.headline_scores)),
                "confusion": _draw_confusion(details.confusion) if details.confusion else "",
                "calibration": _draw_calibration(details.calibration) if details.calibration else "",
                "scatter": _draw_scatter(details.scatter) if details.scatter else "",
                "lengths": _draw_lengths(report.lengths) if report.lengths else "",
            }
    return {name: svg for name, svg in plots.items() if svg}


def _draw_loss(curves: Curves) -> str:
    training, validation = _training_loss(curves), _validation_scores(curves, "loss")
    if not training and not validation:
        return ""
    figure, axes = _make_figure()
    if len(training) >= MIN_SMOOTHED:
        axes.plot(*zip(*training), color=COLOURS[0], alpha=0.3, linewidth=0.8)
        axes.plot(*zip(*_smooth(training)), color=COLOURS[0], label="training (smoothed)")
    elif training:
        axes.plot(*zip(*training), color=COLOURS[0], marker="o", label="training")
    if validation:
        axes.plot(*zip(*validation), color=COLOURS[1], marker="o", label="validation")
    _mark_best(axes, curves)
    axes.set(xlabel="Step", ylabel="Loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend()
    return _write_svg(figure, "loss")


def _draw_losses(runs: Sequence[ComparedRun]) -> str:
    """Draw one line per run."""
    lines = [
        (run.run, _validation_scores(run.curves, "loss") or _smooth(_training_loss(run.curves)))
        for run in runs
    ]
    if not any(points for _, points in lines):
        return ""
    figure, axes = _make_figure()
    for (name, points), colour in zip(lines, COLOURS):
        if points:
            label = (
                name if len(name) <= LABEL_LENGTH else "…" + name[1 - LABEL_LENGTH :]
            )  # the end tells runs apart
            axes.plot(*zip(*points), color=colour, marker="o", label=label)
    axes.set(xlabel="Step", ylabel="Loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend()
    return _write_svg(figure, "losses")


def _draw_metrics(curves: Curves, first: Sequence[str]) -> str:
    """Draw one panel for all scores between -1 and 1 that should rise, and one panel for each other score."""
    known = dict.fromkeys(name for line in curves.evaluations for name in line.scores if name != "loss")
    names = [name for name in first if name in known] or list(known)
    lines = {name: points for name in names[:MAX_LINES] if (points := _validation_scores(curves, name))}
    shares = [
        name
        for name, points in lines.items()
        if not better(name) and all(abs(value) <= 1 for _, value in points)
    ]
    panels = [shares] * bool(shares) + [[name] for name in lines if name not in shares]
    if not panels:
        return ""
    figure = Figure(figsize=(WIDTH, HEIGHT * (1 + 0.7 * (len(panels) - 1))), layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels):
        for name, colour in zip(panel, COLOURS):
            axes.plot(*zip(*lines[name]), color=colour, marker="o", label=titled(name))
        _mark_best(axes, curves)
        axes.set_ylabel("Score" if len(panel) > 1 else words(panel[0]))
        axes.legend()
    axes.set_xlabel("Step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return _write_svg(figure, "metrics")


def _draw_confusion(content: Confusion) -> str:
    labels, counts = content.labels, content.counts
    if not 0 < len(labels) <= MAX_CLASSES:
        return ""
    shares = [[n / (sum(row) or 1) for n in row] for row in counts]
    texts = [shorten(label, LABEL_LENGTH) for label in labels]
    label_width = 0.075 * max(map(width, texts))  # inches
    side = max(1.8, 0.5 * len(labels))
    figure = Figure(
        figsize=(max(WIDTH, side + label_width + 0.5), side + label_width + 0.5), layout="constrained"
    )
    axes = figure.subplots()
    axes.grid(visible=False)
    axes.pcolormesh(shares, cmap=SHADES, vmin=0, vmax=1)
    middles = [i + 0.5 for i in range(len(labels))]
    stand_ins = [stand_in(i, text) for i, text in enumerate(texts)]
    axes.set_xticks(middles, stand_ins, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(middles, stand_ins)
    axes.tick_params(length=0)
    axes.set(xlabel="Prediction", ylabel="Reference", aspect="equal")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    with_shares = len(labels) <= MAX_CLASSES_WITH_SHARES
    lift, size = (0.14, 9) if with_shares else (0.0, 7)
    centred: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
    for y, row in enumerate(counts):
        for x, n in enumerate(row):
            # Count and share are two texts, because a line break would lose the middle anchor.
            axes.text(x + 0.5, y + 0.5 - lift, count(n), size=size, **centred)
            if with_shares:
                axes.text(x + 0.5, y + 0.5 + lift, f"{100 * shares[y][x]:.0f} %", size=7, **centred)
    return _write_svg(figure, "confusion", texts)


def _draw_calibration(content: Calibration) -> str:
    """Draw the reliability curve and, where a temperature was fitted, the curve after calibration."""
    filled = [part for part in content.bins if part.count]
    if not filled:
        return ""
    figure = Figure(figsize=(WIDTH, HEIGHT + 0.9), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    ends = [min(part.low for part in content.bins), max(part.high for part in content.bins)]
    above.plot(ends, ends, color=FAINT, linestyle="--", linewidth=1.2, label="perfect")
    points = [(part.confidence, part.accuracy) for part in filled]
    above.plot(*zip(*points), color=COLOURS[0], marker="o", label="this model")
    if content.bins_calibrated:
        points = [(part.confidence, part.accuracy) for part in content.bins_calibrated]
        above.plot(*zip(*points), color=COLOURS[1], marker="s", label="calibrated")
    above.set_ylabel("Accuracy")
    above.legend(loc="upper left")
    _draw_histogram(below, filled)
    below.set(xlabel="Confidence", ylabel="Predictions")
    return _write_svg(figure, "calibration")


def _draw_scatter(content: Scatter) -> str:
    """Draw a dot per example; both axes have one scale, so the line of equal numbers has a slope of 45 degrees."""
    references, predicted = content.references, content.predicted
    if not references:
        return ""
    figure = Figure(figsize=(WIDTH, WIDTH * 0.9), layout="constrained")
    axes = figure.subplots()
    ends = [min(*references, *predicted), max(*references, *predicted)]
    axes.plot(ends, ends, color=QUIET, linestyle="--", linewidth=1.2, label="perfect")
    alpha = min(0.7, max(0.2, 100 / len(references)))  # many dots overlap
    axes.plot(references, predicted, "o", color=COLOURS[0], alpha=alpha, markersize=4, markeredgewidth=0)
    axes.grid(visible=True, axis="both")
    axes.set(xlabel="Reference", ylabel="Prediction", aspect="equal")
    axes.legend(loc="upper left")
    return _write_svg(figure, "scatter")


def _draw_lengths(content: Lengths) -> str:
    if not content.bins:
        return ""
    figure, axes = _make_figure()
    _draw_histogram(axes, content.bins)
    if content.max_length <= 1.5 * content.bins[-1].high:  # a distant limit would squeeze the bars
        axes.axvline(
            content.max_length, color=COLOURS[1], linestyle="--", linewidth=1.2, label="maximum length"
        )
        axes.legend()
    axes.set(xlabel="Tokens", ylabel="Inputs")
    return _write_svg(figure, "lengths")


def _make_figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    return figure, figure.subplots()


def _draw_histogram(axes: Axes, bins: Sequence[Bin] | Sequence[LengthBin]) -> None:
    """Draw a bar per bin, with a small gap between them."""
    left, height = [part.low for part in bins], [part.count for part in bins]
    widths = [0.94 * (part.high - part.low) for part in bins]
    axes.bar(left, height, widths, align="edge", color=COLOURS[0], alpha=0.75)


def _mark_best(axes: Axes, curves: Curves) -> None:
    if curves.best_step is not None:
        axes.axvline(curves.best_step, color=QUIET, linestyle=":", linewidth=1, label="best")


def _training_loss(curves: Curves) -> Points:
    return _thin([(float(step.step), step.loss) for step in curves.steps])


def _validation_scores(curves: Curves, name: str) -> Points:
    scores = [(float(line.step), line.scores.get(name)) for line in curves.evaluations]
    return _thin([(step, score) for step, score in scores if score is not None])


def _thin(points: Points) -> Points:
    """Reduce a curve to at most MAX_POINTS points, each the mean of some neighbours."""
    every = -(-len(points) // MAX_POINTS) or 1
    edges = [*range(0, len(points), every), len(points)]
    pieces = [points[start:end] for start, end in pairwise(edges)]
    return [(fmean(x for x, _ in piece), fmean(y for _, y in piece)) for piece in pieces]


def _smooth(points: Points) -> Points:
    """Return the exponential moving mean, corrected for its bias to 0 at the start.

    Source: Kingma and Ba (2015), Adam, section 3.
    """
    mean, weight, smoothed = 0.0, 0.0, []
    for x, y in points:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * y
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        smoothed.append((x, mean / weight))
    return smoothed


def _write_svg(figure: Figure, name: str, texts: Sequence[str] = ()) -> str:
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=NO_METADATA)
    return finish(buffer.getvalue(), name=name, title=TITLES[name], texts=texts)
