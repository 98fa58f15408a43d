"""How the cost of training depends on text length, model, number of rows and processes: one variant per point.

The texts are synthetic and have the point's length in tokens. Each variant makes six optimizer steps with 32 texts and
trains all weights. bench/scaling.py fits a cost model to these points, except those held out.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import prepared
from bench.suite import (
    Figure,
    Settings,
    Suite,
    Variant,
    peak_bytes,
    seconds_between,
    seconds_until,
    total_seconds,
)

__all__ = ["BATCH", "POINTS", "STEPS", "Point", "suite"]

HERE = Path(__file__).parent.parent
STEPS, BATCH = 6, 32
ROWS = STEPS * BATCH
MODELS = {"22 M": "all-MiniLM-L6-v2", "135 M": "SmolLM2-135M-Instruct"}


@dataclass(frozen=True)
class Point:
    """A combination of settings to measure.

    Attributes:
        model: Name of the model, a key of MODELS.
        tokens: Length of each text in tokens.
        rows: Number of training rows.
        processes: Number of processes.
        held_out: Whether the point is left out of the fit, to measure the error of the fit.
    """

    model: str
    tokens: int
    rows: int = ROWS
    processes: int = 1
    held_out: bool = False

    @property
    def name(self) -> str:
        suffix = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.model}, {self.tokens} tokens, {self.rows} rows{suffix}"


POINTS = (
    *(Point("22 M", tokens, held_out=tokens in (64, 512)) for tokens in (16, 32, 64, 128, 256, 512)),
    *(Point("135 M", tokens, held_out=tokens in (64, 256)) for tokens in (16, 32, 64, 128, 256)),
    *(Point("22 M", 32, rows=rows, held_out=rows == 64_000) for rows in (4_000, 16_000, 64_000)),
    *(Point("22 M", tokens, processes=2) for tokens in (32, 128)),
)


def suite(settings: Settings) -> Suite:
    """Return the suite. The size limits the points: texts of at most `size` tokens, at most 1000 * `size` rows."""
    size = settings.size or 512
    points = [point for point in POINTS if point.tokens <= size and point.rows <= 1000 * size]
    return Suite(
        "scaling",
        f"Training on synthetic texts, {STEPS} steps with batches of {BATCH}.",
        size,
        [_make_variant(settings.folder, point) for point in points],
        [
            Figure("until training", "s", seconds_until("training")),
            Figure("five steps", "s", seconds_between("step", "trained")),
            Figure("total time", "s", total_seconds),
            Figure("peak memory", "MB", peak_bytes, 1e-6),
        ],
    )


def _make_variant(folder: Path, point: Point) -> Variant:
    files = _write_texts(folder, point)
    settings = [f"data.{split}={file}" for split, file in files.items()]
    settings += [
        f"model.name={prepared.fetch_model(MODELS[point.model])}",
        f"train.max_length={point.tokens}",
    ]
    settings += [
        f"train.max_steps={STEPS}",
        f"train.batch_size={BATCH}",
        "train.epochs=null",
        "seed={round}",
    ]
    settings += ["evaluate.baselines=false"]
    script = [str(HERE / "ours" / "train.py"), "{out}", "sentiment", *settings]
    return Variant(point.name, [*_make_launcher(point.processes), *script])


def _make_launcher(processes: int) -> list[str]:
    """Return the command that starts the processes. Several processes have one thread each."""
    if processes == 1:
        return [sys.executable]
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return ["env", "OMP_NUM_THREADS=1", sys.executable, *run]


def _write_texts(folder: Path, point: Point) -> dict[str, str]:
    """Write different texts that are truncated to the point's length, few of them for validation and test."""
    target = folder / "data" / f"texts-{point.tokens}-{point.rows}"
    ranges = {"train": (0, point.rows), "validation": (10**6, 8), "test": (2 * 10**6, 8)}
    if not (target / "test.jsonl").exists():
        target.mkdir(parents=True, exist_ok=True)
        words = prepared.read_words()
        for split, (first, count) in ranges.items():
            rows = (
                _format_row(prepared.draw_words(words, number, point.tokens), number)
                for number in range(first, first + count)
            )
            (target / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")
    return {split: str(target / f"{split}.jsonl") for split in ranges}


def _format_row(words: list[str], number: int) -> str:
    return json.dumps({"text": " ".join(words), "label": ("negative", "positive")[number % 2]}) + "\n"
