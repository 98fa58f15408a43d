"""Measure the current speed of matrix products on this machine, for about two seconds.

The shapes are those of a layer of MiniLM.

Usage: python bench/probe.py    (prints GFLOP per second of real time and of CPU time: {"wall": ..., "cpu": ...})
"""

from __future__ import annotations

import json
import time

import torch

ROWS, INNER, COLUMNS = 1024, 1536, 384


def main(seconds: float = 2.0) -> None:
    left, right = torch.randn(ROWS, INNER), torch.randn(INNER, COLUMNS)
    for _ in range(5):
        left @ right
    times = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(20):
            left @ right
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    work = 20 * 2e-9 * ROWS * INNER * COLUMNS
    wall, cpu = (sorted(column)[len(times) // 2] for column in zip(*times))
    print(json.dumps({"wall": work / wall, "cpu": work / cpu}))


if __name__ == "__main__":
    main()
