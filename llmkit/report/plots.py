"""The plots of a report as SVG: text stays text, colours suit light and dark pages, bytes repeat.

    draw(content)["loss"]  ->  '<svg ...>'

Colours and labels are finished in `svg`, which knows no matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from itertools import pairwise
from statistics import fmean

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from llmkit.report.classes import FEW_CLASSES, MOST_CLASSES
from llmkit.report.format import better, count, shorten, words
from llmkit.report.scores import headline
from llmkit.report.svg import COLOURS, FAINT, HEAT, INK, QUIET, finish, stand_in, width
from llmkit.report.tables import Content

__all__ = ["NAMES", "TITLES", "draw"]

Points = list[tuple[float, float]]

TITLES = {
    "loss": "Loss by step, in training and on the validation rows",
    "losses": "Loss by step on the validation rows of each run, or in training where there was no validation",
    "metrics": "Scores on the validation rows by step",
    "confusion": "Confusion matrix: labels in rows, predictions in columns",
    "calibration": "Accuracy by confidence, and how many predictions have it",
    "scatter": "Predictions against the scores in the data; a perfect model's lie on the line",
    "lengths": "Number of inputs by length in tokens",
}
NAMES = tuple(TITLES)

SHADES = LinearSegmentedColormap.from_list("shades", [f"{HEAT}00", HEAT])  # from clear to full, on any page
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
WIDTH, HEIGHT = 5.0, 3.0  # inches of 72 units: as wide as a phone, so that text keeps its size there
MOST_POINTS = 400
SMOOTHING = 0.8  # of the moving mean, per point
MOST_LINES = 4
LABEL_LENGTH = 24


def draw(content: Content) -> dict[str, str]:
    """The SVGs that this content can fill, by name."""
    with matplotlib.style.context(STYLE, after_reset=True):  # a user's own matplotlibrc has no say here
        drawn = {
            "loss": _loss(content.get("curves") or {}),
            "losses": _losses(content.get("compared") or []),
            "metrics": _metrics(content.get("curves") or {}, list(headline(content))),
            "confusion": _confusion(content.get("confusion") or {}),
            "calibration": _calibration(content.get("calibration") or {}),
            "scatter": _scatter(content.get("scatter") or {}),
            "lengths": _lengths(content.get("lengths") or {}),
        }
    return {name: svg for name, svg in drawn.items() if svg}


def _loss(curves: Content) -> str:
    training = _points(curves.get("steps") or [], "loss")
    validation = _points(curves.get("evaluations") or [], "loss")
    if not training and not validation:
        return ""
    figure, axes = _figure()
    if len(training) >= 20:
        axes.plot(*zip(*training), color=COLOURS[0], alpha=0.3, linewidth=0.8)
        axes.plot(*zip(*_smoothed(training)), color=COLOURS[0], label="training (smoothed)")
    elif training:
        axes.plot(*zip(*training), color=COLOURS[0], marker="o", label="training")
    if validation:
        axes.plot(*zip(*validation), color=COLOURS[1], marker="o", label="validation")
    _mark_best(axes, curves)
    axes.set(xlabel="Step", ylabel="Loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend()
    return _svg(figure, "loss")


def _losses(runs: Sequence[Content]) -> str:
    """One line for each run."""
    lines = {
        run["run"]: _points(run["curves"].get("evaluations") or [], "loss")
        or _smoothed(_points(run["curves"].get("steps") or [], "loss"))
        for run in runs
    }
    if not any(lines.values()):
        return ""
    figure, axes = _figure()
    for (name, points), colour in zip(lines.items(), COLOURS):
        if points:
            axes.plot(*zip(*points), color=colour, marker="o", label=shorten(name, LABEL_LENGTH))
    axes.set(xlabel="Step", ylabel="Loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend()
    return _svg(figure, "losses")


def _metrics(curves: Content, first: Sequence[str]) -> str:
    """One panel for all that lies between -1 and 1 and should rise, one for each other score."""
    evaluations = curves.get("evaluations") or []
    known = dict.fromkeys(name for row in evaluations for name in row if name not in ("step", "loss"))
    lines = {name: _points(evaluations, name) for name in [name for name in first if name in known] or known}
    lines = {name: points for name, points in list(lines.items())[:MOST_LINES] if points}
    shares = [
        name
        for name, points in lines.items()
        if not better(name) and all(abs(value) <= 1 for _, value in points)
    ]
    panels = [shares] * bool(shares) + [[name] for name in lines if name not in shares]
    if not panels:
        return ""
    figure = Figure(figsize=(WIDTH, HEIGHT * (1 + 0.7 * (len(panels) - 1))), layout="constrained")
    for axes, names in zip(figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels):
        for name, colour in zip(names, COLOURS):
            axes.plot(*zip(*lines[name]), color=colour, marker="o", label=_named(name))
        _mark_best(axes, curves)
        axes.set_ylabel("Score" if len(names) > 1 else words(names[0]))
        axes.legend()
    axes.set_xlabel("Step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return _svg(figure, "metrics")


def _named(name: str) -> str:
    return f"{words(name)} ({better(name)})" if better(name) else words(name)


def _confusion(confusion: Content) -> str:
    labels, counts = confusion.get("labels") or [], confusion.get("counts") or []
    if not 0 < len(labels) <= MOST_CLASSES:
        return ""
    shares = [[n / (sum(row) or 1) for n in row] for row in counts]
    texts = [shorten(label, LABEL_LENGTH) for label in labels]
    room = 0.075 * max(map(width, texts))  # inches that the longest label takes
    side = max(1.8, 0.5 * len(labels))
    figure = Figure(figsize=(max(WIDTH, side + room + 0.5), side + room + 0.5), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=False)
    axes.pcolormesh(shares, cmap=SHADES, vmin=0, vmax=1)
    middles = [i + 0.5 for i in range(len(labels))]
    stand_ins = [stand_in(i, text) for i, text in enumerate(texts)]
    axes.set_xticks(middles, stand_ins, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(middles, stand_ins)
    axes.tick_params(length=0)
    axes.set(xlabel="Prediction", ylabel="Label", aspect="equal")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    for y, row in enumerate(counts):
        for x, n in enumerate(row):
            _cell(axes, x, y, count(n), f"{100 * shares[y][x]:.0f} %" if len(labels) <= FEW_CLASSES else "")
    return _svg(figure, "confusion", texts)


def _cell(axes: Axes, x: int, y: int, text: str, note: str) -> None:
    """Count and, where there is room, share; two texts, because a line break would lose the middle anchor."""
    lift = 0.14 if note else 0.0
    size = 9 if note else 7
    axes.text(x + 0.5, y + 0.5 - lift, text, ha="center", va="center", color=INK, size=size)
    if note:
        axes.text(x + 0.5, y + 0.5 + lift, note, ha="center", va="center", color=INK, size=7)


def _calibration(calibration: Content) -> str:
    """The reliability curve, and where a temperature was fitted what it makes of it."""
    bins = calibration.get("bins") or []
    filled = [part for part in bins if part["count"]]
    if not filled:
        return ""
    figure = Figure(figsize=(WIDTH, HEIGHT + 0.9), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    ends = [min(part["low"] for part in bins), max(part["high"] for part in bins)]
    above.plot(ends, ends, color=FAINT, linestyle="--", linewidth=1.2, label="perfect")
    points = [(part["confidence"], part["accuracy"]) for part in filled]
    above.plot(*zip(*points), color=COLOURS[0], marker="o", label="this model")
    after = [(part["confidence"], part["accuracy"]) for part in calibration.get("bins_calibrated") or []]
    if after:
        above.plot(*zip(*after), color=COLOURS[1], marker="s", label="calibrated")
    above.set_ylabel("Accuracy")
    above.legend(loc="upper left")
    _bars(below, filled)
    below.set(xlabel="Confidence", ylabel="Predictions")
    return _svg(figure, "calibration")


def _scatter(points: Content) -> str:
    """Each dot is a row; both axes have one scale, so that the line of equal numbers runs at 45 degrees."""
    gold, predicted = points.get("gold") or [], points.get("predicted") or []
    if not gold:
        return ""
    figure = Figure(figsize=(WIDTH, WIDTH * 0.9), layout="constrained")
    axes = figure.subplots()
    ends = [min(*gold, *predicted), max(*gold, *predicted)]
    axes.plot(ends, ends, color=QUIET, linestyle="--", linewidth=1.2, label="perfect")
    alpha = min(0.7, max(0.2, 100 / len(gold)))  # dots of many rows lie on each other
    axes.plot(gold, predicted, "o", color=COLOURS[0], alpha=alpha, markersize=4, markeredgewidth=0)
    axes.grid(visible=True, axis="both")
    axes.set(xlabel="Score in the data", ylabel="Prediction", aspect="equal")
    axes.legend(loc="upper left")
    return _svg(figure, "scatter")


def _lengths(lengths: Content) -> str:
    bins = lengths.get("bins") or []
    if not bins:
        return ""
    figure, axes = _figure()
    _bars(axes, bins)
    limit = lengths.get("max_length")
    if limit and limit <= 1.5 * bins[-1]["high"]:  # a far-off limit would squeeze the bars
        axes.axvline(limit, color=COLOURS[1], linestyle="--", linewidth=1.2, label="longest allowed")
        axes.legend()
    axes.set(xlabel="Tokens", ylabel="Inputs")
    return _svg(figure, "lengths")


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    return figure, figure.subplots()


def _bars(axes: Axes, bins: Sequence[Content]) -> None:
    """A histogram of counted bins, with a little air between them."""
    left, height = [part["low"] for part in bins], [part["count"] for part in bins]
    widths = [0.94 * (part["high"] - part["low"]) for part in bins]
    axes.bar(left, height, widths, align="edge", color=COLOURS[0], alpha=0.75)


def _mark_best(axes: Axes, curves: Content) -> None:
    if curves.get("best_step") is not None:
        axes.axvline(curves["best_step"], color=QUIET, linestyle=":", linewidth=1, label="best")


def _points(rows: Sequence[Content], name: str) -> Points:
    """The curve of one score, thinned where it has more points than a picture can show."""
    points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    return _thinned(points)


def _thinned(points: Points) -> Points:
    """At most MOST_POINTS points, each the mean of a stretch."""
    every = -(-len(points) // MOST_POINTS) or 1
    edges = [*range(0, len(points), every), len(points)]
    stretches = [points[start:end] for start, end in pairwise(edges)]
    return [(fmean(x for x, _ in stretch), fmean(y for _, y in stretch)) for stretch in stretches]


def _smoothed(points: Points) -> Points:
    """Exponential moving mean without the bias to 0 at its start (Kingma and Ba 2015, section 3)."""
    mean, weight, out = 0.0, 0.0, []
    for x, y in points:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * y
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        out.append((x, mean / weight))
    return out


def _svg(figure: Figure, name: str, texts: Sequence[str] = ()) -> str:
    buffer = StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=NO_METADATA)
    return finish(buffer.getvalue(), name=name, title=TITLES[name], texts=texts)
