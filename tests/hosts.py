"""Run the numeric tests as other processors would: under several instruction sets and numbers of threads.

Usage: python -m tests.hosts [PATH ...]

torch and its libraries choose their kernels by the processor, and each kernel adds up in an order of its own. The
environment makes them choose those of an older processor. The combinations vary all libraries at once, except one in
which torch's own kernels and those of the libraries differ. `make test` covers the processor as it is with one thread.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

__all__ = ["NUMERIC_TESTS", "Combination", "list_combinations", "main"]

ROOT = Path(__file__).parent.parent
NUMERIC_TESTS = (
    "tests/golden",
    "tests/numerics",
    "tests/models",
    "tests/engine/generation",
    "tests/engine/test_losses.py",
    "tests/engine/test_predict.py",
    "tests/engine/test_preference.py",
    "tests/engine/test_row_gradients.py",
    "tests/engine/test_sharding.py",
    "tests/engine/test_supervised.py",
    "tests/engine/test_train.py",
    "tests/inference",
    "tests/metrics",
    "tests/tasks",
    "tests/training",
)

TORCH_SSE4 = {"ATEN_CPU_CAPABILITY": "default"}
LIBRARIES_SSE4 = {
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "MKL_CBWR": "COMPATIBLE",  # MKL heeds the variable above on Intel's processors only
    "OPENBLAS_CORETYPE": "Nehalem",
}
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}


@dataclass(frozen=True)
class Combination:
    """An instruction set and a number of threads, as environment variables."""

    instructions: str
    threads: int
    environment: dict[str, str]

    def __str__(self) -> str:
        return f"{self.instructions}, {self.threads} thread{'s' if self.threads > 1 else ''}"


def list_combinations(capability: str) -> list[Combination]:
    """List the combinations for a processor of this capability (`torch.backends.cpu.get_cpu_capability()`)."""
    found = [Combination("as it is", 2, {})]
    if capability in ("AVX2", "AVX512"):
        features = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])  # type: ignore[index,call-overload]
        avx512 = [name for name in features if "512" in name or name == "X86_V4"]
        numpy_sse4 = {"NPY_DISABLE_CPU_FEATURES": " ".join(features)}
        numpy_avx2 = {"NPY_DISABLE_CPU_FEATURES": " ".join(avx512)}
        found += [
            Combination("SSE4", 1, TORCH_SSE4 | LIBRARIES_SSE4 | numpy_sse4),
            Combination("libraries SSE4", 1, LIBRARIES_SSE4 | numpy_sse4),
        ]
        if capability == "AVX512":
            found.append(Combination("AVX2", 2, AVX2 | numpy_avx2))
    return found


def run(combination: Combination, paths: list[str]) -> tuple[int, str]:
    """Return the exit status and the output of pytest."""
    processes = max(1, (os.cpu_count() or 1) // combination.threads)
    environment = {
        **os.environ,
        **combination.environment,
        "OMP_NUM_THREADS": str(combination.threads),
        "OMP_WAIT_POLICY": "passive",  # several processes on the same cores must not spin
        "PYTHONPATH": str(ROOT),
    }
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-m", "not index", "--dist", "loadfile"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--numprocesses", str(processes), *paths],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def main(paths: list[str]) -> int:
    """Print a line for each combination, and pytest's output where a test failed; return 1 if one did."""
    failed = []
    for combination in list_combinations(torch.backends.cpu.get_cpu_capability()):
        start = time.monotonic()
        status, output = run(combination, paths or list(NUMERIC_TESTS))
        *_, summary = output.strip().splitlines() or [""]
        if status:
            failed.append(str(combination))
            print(output)
        print(f"{combination}: {summary} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"failed: {'; '.join(failed)}" if failed else "all combinations passed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
