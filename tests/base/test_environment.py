"""What a run ran on: true, and told without importing the packages."""

from __future__ import annotations

import json
import mmap
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llmkit.base import environment


def test_versions_are_those_installed() -> None:
    import numpy
    import torch
    import transformers

    found = environment.read_versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == numpy.__version__
    assert found["transformers"] == transformers.__version__
    assert torch.__version__.startswith(found["torch"])  # the module may add "+cpu"
    assert found["cores"] == os.cpu_count()
    assert set(environment.PACKAGES) <= set(found)
    json.dumps(found)


def test_a_missing_package_is_told_not_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package"))
    assert environment.read_versions()["no-such-package"] == "not installed"


def test_nothing_heavy_is_imported() -> None:
    code = "import sys; from llmkit.base import environment; environment.read_versions(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"False\n"


def test_the_processor_is_the_first_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "processor\t: 0\nmodel name\t: Some CPU @ 2.0: fast\nmodel name\t: Other\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: told)
    assert environment.read_processor_name() == "Some CPU @ 2.0: fast"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "Hardware : none named\n")
    assert environment.read_processor_name() == platform.machine()


def test_a_system_without_proc_has_a_processor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert environment.read_processor_name() == (platform.processor() or platform.machine())


def test_threads_are_those_of_torch() -> None:
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert environment.count_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_peak_memory_is_in_bytes_and_never_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = environment.get_peak_memory_bytes()
    assert 50e6 < before < 100e9  # torch alone takes more than 50 MB
    held = mmap.mmap(
        -1, before + 64_000_000 - _now()
    )  # not malloc's: tests before this may have left it freed memory
    np.frombuffer(held, np.uint8)[:: mmap.PAGESIZE] = 1
    grown = environment.get_peak_memory_bytes()
    assert grown > before + 32_000_000
    held.close()
    assert environment.get_peak_memory_bytes() >= grown


def _now() -> int:
    """Bytes that this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)
