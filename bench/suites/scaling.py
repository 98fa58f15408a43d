"""How training grows with the length of texts, the model, the number of rows, and processes: one variant a point.

Texts are made up, each of the point's length in tokens; six updates of 32 texts, all weights trained.
bench/scaling.py fits its model to these points but for those held back.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import prepared
from bench.suite import Figure, Settings, Suite, Variant, between, peak, until, whole

__all__ = ["BATCH", "POINTS", "UPDATES", "Point", "suite"]

HERE = Path(__file__).parent.parent
UPDATES, BATCH = 6, 32
ROWS = UPDATES * BATCH
MODELS = {"22 M": "all-MiniLM-L6-v2", "135 M": "SmolLM2-135M-Instruct"}


@dataclass(frozen=True)
class Point:
    """held: left out of the fit, to see how far it can be trusted."""

    model: str
    tokens: int
    rows: int = ROWS
    processes: int = 1
    held: bool = False

    @property
    def name(self) -> str:
        several = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.model}, {self.tokens} tokens, {self.rows} rows{several}"


POINTS = (
    *(Point("22 M", tokens, held=tokens in (64, 512)) for tokens in (16, 32, 64, 128, 256, 512)),
    *(Point("135 M", tokens, held=tokens in (64, 256)) for tokens in (16, 32, 64, 128, 256)),
    *(Point("22 M", 32, rows=rows, held=rows == 64_000) for rows in (4_000, 16_000, 64_000)),
    *(Point("22 M", tokens, processes=2) for tokens in (32, 128)),
)


def suite(settings: Settings) -> Suite:
    """size: the longest text and a thousandth of the most rows that are measured, so that a small one is a trial."""
    size = settings.size or 512
    points = [point for point in POINTS if point.tokens <= size and point.rows <= 1000 * size]
    return Suite(
        "scaling",
        f"Training on made-up texts, {UPDATES} updates of {BATCH}.",
        size,
        [_variant(settings.folder, point) for point in points],
        [
            Figure("to training", "s", until("training")),
            Figure("five updates", "s", between("step", "trained")),
            Figure("whole", "s", whole),
            Figure("peak memory", "MB", peak, 1e-6),
        ],
    )


def _variant(folder: Path, point: Point) -> Variant:
    files = _texts(folder, point)
    settings = [f"data.{part}={file}" for part, file in files.items()]
    settings += [f"model.name={prepared.model(MODELS[point.model])}", f"train.max_length={point.tokens}"]
    settings += [
        f"train.max_steps={UPDATES}",
        f"train.batch_size={BATCH}",
        "train.epochs=null",
        "seed={round}",
    ]
    settings += ["evaluate.baselines=false"]
    script = [str(HERE / "ours" / "train.py"), "{out}", "sentiment", *settings]
    return Variant(point.name, [*_launcher(point.processes), *script])


def _launcher(processes: int) -> list[str]:
    """Several processes have one thread each."""
    if processes == 1:
        return [sys.executable]
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return ["env", "OMP_NUM_THREADS=1", sys.executable, *run]


def _texts(folder: Path, point: Point) -> dict[str, str]:
    """Files of different texts of so many words that each is cut to the point's length; few to validate and test."""
    target = folder / "data" / f"texts-{point.tokens}-{point.rows}"
    begins = {"train": (0, point.rows), "validation": (10**6, 8), "test": (2 * 10**6, 8)}
    if not (target / "test.jsonl").exists():
        target.mkdir(parents=True, exist_ok=True)
        words = prepared.words()
        for part, (first, count) in begins.items():
            rows = (
                _row(prepared.pick(words, number, point.tokens), number)
                for number in range(first, first + count)
            )
            (target / f"{part}.jsonl").write_text("".join(rows), encoding="utf-8")
    return {part: str(target / f"{part}.jsonl") for part in begins}


def _row(words: list[str], number: int) -> str:
    return json.dumps({"text": " ".join(words), "label": ("negative", "positive")[number % 2]}) + "\n"
