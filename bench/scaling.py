"""A model of training's time and memory from the points of the suite `scaling`, and its error on points held back.

    python bench/run.py scaling --name scaling      # measures, or goes on
    python bench/scaling.py --name scaling          # fits, and writes bench/scaling.md

Seconds of an update: c0 + c1 x (operations of the weights' products) + c2 x (operations of attention, which grow with
the square of the length). Seconds until training: r0 + r1 x (rows) + r2 x (parameters). Peak bytes: m0 + m1 x (4 bytes
a parameter) + m2 x (values of a micro-batch) + m3 x (its attention weights) + m4 x (rows). No coefficient is below 0,
and the error that is made small is the relative one.
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
from bench.suite import Clock, Record, between, until  # noqa: E402
from bench.suites.scaling import BATCH, MODELS, POINTS, UPDATES, Point  # noqa: E402
from bench.table import CLOCKS, number  # noqa: E402

BUDGET = 1024  # padded tokens of a micro-batch on a processor (llmkit/engine/batching.py)
Floats = np.ndarray


@dataclass(frozen=True)
class Shape:
    """What of a checkpoint the model needs. weights: of the products made for each token; parameters: all."""

    layers: int
    hidden: int
    heads: int
    weights: int
    parameters: int


@dataclass(frozen=True)
class Law:
    """terms: what a value is a sum of, by point; found: the value measured in a run."""

    name: str
    unit: str
    terms: Callable[[Point, Shape], list[float]]
    names: Sequence[str]
    found: Callable[[Record, Clock], float | None]


LAWS = (
    Law(
        "an update",
        "s",
        lambda point, shape: [1.0, _dense(point, shape), _attention(point, shape)],
        ("fixed (s)", "weights (s per TFLOP)", "attention (s per TFLOP)"),
        lambda run, clock: _divided(between("step", "trained")(run, clock), UPDATES - 1),
    ),
    Law(
        "until training",
        "s",
        lambda point, shape: [1.0, point.rows / 1000, shape.parameters / 1e6],
        ("fixed (s)", "rows (s per 1000)", "parameters (s per million)"),
        until("training"),
    ),
    Law(
        "peak memory",
        "MB",
        lambda point, shape: [1.0, 4e-6 * shape.parameters, *_micro_batch(point, shape), point.rows / 1000],
        (
            "fixed (MB)",
            "copies of the weights",
            "activations (values a token, layer and unit)",
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
    shapes = {model: shape(prepared.model(asset)) for model, asset in MODELS.items()}
    parts = [section(law, measured(law, runs, clock), shapes) for law in LAWS]
    head = (
        f"# How training grows\n\n{results.machine['processor']}, {threads} thread(s), seconds of {CLOCKS[clock]}, "
        f"medians of {len({run.round for run in runs})} round(s); full fine-tuning, batches of {BATCH}.\n"
    )
    (HERE / "scaling.md").write_text("\n".join([head, *parts]), encoding="utf-8")
    print(HERE / "scaling.md")


def measured(law: Law, runs: Sequence[Record], clock: Clock) -> dict[Point, float]:
    """The median over the rounds, by point of one process."""
    found: dict[Point, float] = {}
    for point in POINTS:
        values = [law.found(run, clock) for run in runs if run.variant == point.name]
        known = [value for value in values if value is not None]
        if known and point.processes == 1:
            found[point] = statistics.median(known)
    return found


def fit(rows: Floats, values: Floats) -> Floats:
    """Coefficients (C,) >= 0 of the terms (N, C) that make the relative errors of the values (N,) least in square."""
    from scipy.optimize import nnls

    scale = rows.max(axis=0)
    found, _ = nnls(rows / scale / values[:, None], np.ones(len(values)))
    return found / scale


def section(law: Law, values: dict[Point, float], shapes: dict[str, Shape]) -> str:
    kept = [point for point in values if not point.held]
    rows = {point: law.terms(point, shapes[point.model]) for point in values}
    if len(kept) < len(law.names):
        return f"## {law.name}\n\nToo few points ({len(kept)}) for {len(law.names)} coefficients.\n"
    found = fit(np.array([rows[point] for point in kept]), np.array([values[point] for point in kept]))
    lines = [
        f"## {law.name}",
        "",
        "; ".join(f"{name} {value:.3g}" for name, value in zip(law.names, found)),
        "",
    ]
    lines += [f"| point | measured ({law.unit}) | model | error | |", "| --- | --: | --: | --: | --- |"]
    for point, value in values.items():
        told = float(np.dot(rows[point], found))
        mark = "held back" if point.held else ""
        lines.append(
            f"| {point.name} | {number(value)} | {number(told)} | {told / value - 1:+.0%} | {mark} |"
        )
    apart = [abs(float(np.dot(rows[p], found)) / values[p] - 1) for p in values if p.held]
    if apart:
        lines += ["", f"Largest error of the {len(apart)} points held back: {max(apart):.0%}."]
    return "\n".join([*lines, ""])


def shape(folder: Path) -> Shape:
    """Read from config.json and the header of the weights."""
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", "np") as weights:
        sizes = {name: int(np.prod(weights.get_slice(name).get_shape())) for name in weights.keys()}  # noqa: SIM118
        flat = [
            name for name in sizes if len(weights.get_slice(name).get_shape()) == 2 and "embed" not in name
        ]
    return Shape(
        config["num_hidden_layers"],
        config["hidden_size"],
        config["num_attention_heads"],
        sum(sizes[name] for name in flat if "lm_head" not in name),
        sum(sizes.values()),
    )


def _dense(point: Point, shape: Shape) -> float:
    """TFLOP of an update in the products with weights: 6 for each weight and token."""
    return 6e-12 * BATCH * point.tokens * shape.weights


def _attention(point: Point, shape: Shape) -> float:
    """TFLOP of an update in the two products of attention, forward and backward."""
    return 12e-12 * BATCH * point.tokens**2 * shape.layers * shape.hidden


def _micro_batch(point: Point, shape: Shape) -> list[float]:
    """MB of a micro-batch: one value for each token, layer and unit; one for each pair of tokens, layer and head."""
    texts = min(BATCH, max(1, BUDGET // point.tokens))
    tokens = texts * point.tokens
    return [
        4e-6 * tokens * shape.layers * shape.hidden,
        4e-6 * tokens * point.tokens * shape.layers * shape.heads,
    ]


def _divided(value: float | None, by: int) -> float | None:
    return None if value is None else value / by


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="scaling", help="of the results in bench/results")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    main(chosen.name, chosen.threads)
