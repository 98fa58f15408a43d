"""Fit a cost model of training time and memory to the points of the suite `scaling`, and report its error.

    python bench/run.py scaling --name scaling      # measure, or continue an interrupted measurement
    python bench/scaling.py --name scaling          # fit, and write bench/scaling.md

Seconds per step: c0 + c1 x (FLOPs of the products with weights) + c2 x (FLOPs of attention, which grow with the square
of the length). Seconds until training: r0 + r1 x (rows) + r2 x (parameters). Peak bytes: m0 + m1 x (4 bytes per
parameter) + m2 x (values of a micro-batch) + m3 x (its attention weights) + m4 x (rows). The coefficients are not
negative, and the fit minimizes the squared relative error.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench import prepared  # noqa: E402
from bench.results import Results  # noqa: E402
from bench.suite import Clock, Record, seconds_between, seconds_until  # noqa: E402
from bench.suites.scaling import BATCH, MODELS, POINTS, STEPS, Point  # noqa: E402
from bench.table import CLOCKS, format_number  # noqa: E402

BUDGET = 1024  # padded tokens of a micro-batch on a CPU (llmkit/engine/batching.py)
Floats = np.ndarray


@dataclass(frozen=True)
class Shape:
    """The sizes of a checkpoint that the cost model needs.

    Attributes:
        layers: Number of layers.
        hidden: Width of the hidden states.
        heads: Number of attention heads.
        weights: Number of weights that every token is multiplied with.
        parameters: Number of all parameters.
    """

    layers: int
    hidden: int
    heads: int
    weights: int
    parameters: int


@dataclass(frozen=True)
class CostModel:
    """A quantity that is modelled as a sum of terms with coefficients.

    Attributes:
        name: Heading of its section.
        unit: Unit of the quantity.
        terms: Returns the terms of a point.
        names: Names of the coefficients, with units.
        measure: Returns the measured value of a run.
    """

    name: str
    unit: str
    terms: Callable[[Point, Shape], list[float]]
    names: Sequence[str]
    measure: Callable[[Record, Clock], float | None]


COST_MODELS = (
    CostModel(
        "step",
        "s",
        lambda point, shape: [1.0, _count_dense_flops(point, shape), _count_attention_flops(point, shape)],
        ("fixed (s)", "weights (s per TFLOP)", "attention (s per TFLOP)"),
        lambda run, clock: _divide(seconds_between("step", "trained")(run, clock), STEPS - 1),
    ),
    CostModel(
        "time until training",
        "s",
        lambda point, shape: [1.0, point.rows / 1000, shape.parameters / 1e6],
        ("fixed (s)", "rows (s per 1000)", "parameters (s per million)"),
        seconds_until("training"),
    ),
    CostModel(
        "peak memory",
        "MB",
        lambda point, shape: [
            1.0,
            4e-6 * shape.parameters,
            *_count_micro_batch_values(point, shape),
            point.rows / 1000,
        ],
        (
            "fixed (MB)",
            "copies of the weights",
            "activations (values per token, layer and unit)",
            "attention (values)",
            "rows (MB per 1000)",
        ),
        lambda run, _: run.peak_bytes / 1e6,
    ),
)


def main(name: str, threads: int) -> None:
    results = Results(HERE / "results" / f"{name}.json")
    runs = [run for run in results.records if run.suite == "scaling" and run.threads == threads]
    clock: Clock = "cpu" if threads == 1 else "wall"
    shapes = {name: read_shape(prepared.fetch_model(asset)) for name, asset in MODELS.items()}
    sections = [format_section(model, compute_medians(model, runs, clock), shapes) for model in COST_MODELS]
    head = (
        f"# Scaling of training\n\n{results.machine['processor']}, {threads} thread(s), seconds of {CLOCKS[clock]}, "
        f"medians of {len({run.round for run in runs})} round(s); full fine-tuning, batches of {BATCH}.\n"
    )
    (HERE / "scaling.md").write_text("\n".join([head, *sections]), encoding="utf-8")
    print(HERE / "scaling.md")


def compute_medians(model: CostModel, runs: Sequence[Record], clock: Clock) -> dict[Point, float]:
    """Return the median over the rounds for each point with one process."""
    medians: dict[Point, float] = {}
    for point in POINTS:
        values = [model.measure(run, clock) for run in runs if run.variant == point.name]
        measured = [value for value in values if value is not None]
        if measured and point.processes == 1:
            medians[point] = statistics.median(measured)
    return medians


def fit(rows: Floats, values: Floats) -> Floats:
    """Fit coefficients >= 0 by least squares of the relative errors.

    Args:
        rows: The terms of the points, (N, C).
        values: The measured values, (N,).

    Returns:
        The coefficients, (C,).
    """
    from scipy.optimize import nnls

    scale = rows.max(axis=0)
    coefficients, _ = nnls(rows / scale / values[:, None], np.ones(len(values)))
    return coefficients / scale


def format_section(model: CostModel, values: dict[Point, float], shapes: dict[str, Shape]) -> str:
    """Return the section of one cost model: its coefficients, and measured and modelled values of all points."""
    fitted = [point for point in values if not point.held_out]
    rows = {point: model.terms(point, shapes[point.model]) for point in values}
    if len(fitted) < len(model.names):
        return f"## {model.name}\n\nToo few points ({len(fitted)}) for {len(model.names)} coefficients.\n"
    coefficients = fit(
        np.array([rows[point] for point in fitted]), np.array([values[point] for point in fitted])
    )
    lines = [
        f"## {model.name}",
        "",
        "; ".join(f"{name} {value:.3g}" for name, value in zip(model.names, coefficients)),
        "",
    ]
    lines += [f"| point | measured ({model.unit}) | model | error | |", "| --- | --: | --: | --: | --- |"]
    for point, value in values.items():
        modelled = float(np.dot(rows[point], coefficients))
        mark = "held out" if point.held_out else ""
        lines.append(
            f"| {point.name} | {format_number(value)} | {format_number(modelled)} | {modelled / value - 1:+.0%} "
            f"| {mark} |"
        )
    errors = [
        abs(float(np.dot(rows[point], coefficients)) / value - 1)
        for point, value in values.items()
        if point.held_out
    ]
    if errors:
        lines += ["", f"Largest error of the {len(errors)} points held out: {max(errors):.0%}."]
    return "\n".join([*lines, ""])


def read_shape(folder: Path) -> Shape:
    """Read the sizes from config.json and from the header of the weights."""
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", "np") as weights:
        sizes = {name: int(np.prod(weights.get_slice(name).get_shape())) for name in weights.keys()}  # noqa: SIM118
        matrices = [
            name for name in sizes if len(weights.get_slice(name).get_shape()) == 2 and "embed" not in name
        ]
    return Shape(
        config["num_hidden_layers"],
        config["hidden_size"],
        config["num_attention_heads"],
        sum(sizes[name] for name in matrices if "lm_head" not in name),
        sum(sizes.values()),
    )


def _count_dense_flops(point: Point, shape: Shape) -> float:
    """Return the TFLOPs of a step in the products with weights: 6 FLOPs per weight and token."""
    return 6e-12 * BATCH * point.tokens * shape.weights


def _count_attention_flops(point: Point, shape: Shape) -> float:
    """Return the TFLOPs of a step in the two products of attention, forward and backward."""
    return 12e-12 * BATCH * point.tokens**2 * shape.layers * shape.hidden


def _count_micro_batch_values(point: Point, shape: Shape) -> list[float]:
    """Return the MB of a micro-batch: one value per token, layer and unit; one per pair of tokens, layer and head."""
    texts = min(BATCH, max(1, BUDGET // point.tokens))
    tokens = texts * point.tokens
    return [
        4e-6 * tokens * shape.layers * shape.hidden,
        4e-6 * tokens * point.tokens * shape.layers * shape.heads,
    ]


def _divide(value: float | None, by: int) -> float | None:
    return None if value is None else value / by


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="scaling", help="name of the results in bench/results")
    parser.add_argument("--threads", type=int, default=2, help="number of threads of the runs")
    options = parser.parse_args()
    main(options.name, options.threads)
