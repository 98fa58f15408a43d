"""Distributed prediction: 1 to 40 rows over 2 and 3 processes, connected by gloo."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.soak.forks import Child
from tests.soak.workspace import Result, Workspace

__all__ = ["compare_predictions"]

ROWS = range(1, 41)


def compare_predictions(workspace: Workspace) -> Result:
    """Check that every process returns the predictions of a single process, bit for bit, and each row once."""
    result = Result("evaluation, 1 to 40 rows")
    folder = workspace.folder
    _wait([Child(partial(_predict, folder, 0, 1, 0))])
    for processes in (2, 3):
        port = _free_port()
        ranks = range(processes)
        _wait([Child(partial(_predict, folder, rank, processes, port)) for rank in ranks])
        for rows in ROWS:
            expected = np.load(folder / f"{rows}-1-0.npz")
            predictions = [np.load(folder / f"{rows}-{processes}-{rank}.npz") for rank in ranks]
            same = all(
                np.array_equal(other[name], expected[name])
                for other in predictions
                for name in expected.files
            )
            result.add([] if same else [f"{rows} rows over {processes} processes: different predictions"])
        workspace.say(str(result))
    return result


def _wait(children: list[Child]) -> None:
    codes = [child.wait() for child in children]
    assert not any(codes), codes


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _predict(folder: Path, rank: int, processes: int, port: int) -> int:
    """Write the predictions for each number of rows to folder/ROWS-PROCESSES-RANK.npz."""
    if processes > 1:
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        os.environ |= {name: str(value) for name, value in numbers.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    import torch

    from llmkit.engine import session as sessions
    from llmkit.engine.predict import predict
    from llmkit.engine.train import Batches

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(100, 8), torch.nn.Linear(8, 3))
    rng = np.random.default_rng(0)

    def fetch(indices: Any, epoch: int | None) -> dict[str, torch.Tensor]:
        longest = int(lengths[indices].max())
        return {"ids": torch.from_numpy(ids[indices, :longest]), "places": torch.from_numpy(indices)}

    def decode(model: Any, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        logits = model(batch["ids"])
        return {"mean": logits.mean(1), "predictions": logits.argmax(-1), "places": batch["places"]}

    with sessions.start(seed=1, precision="fp32") as session:
        for rows in ROWS:
            lengths, ids = rng.integers(1, 12, rows), rng.integers(0, 100, (rows, 12))
            outputs = predict(session, model, Batches(lengths, fetch, 24), decode)
            assert outputs["places"].tolist() == list(range(rows))
            np.savez(folder / f"{rows}-{processes}-{rank}.npz", **outputs)
    return 0
