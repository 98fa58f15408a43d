"""The description of the machine and its software."""

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


def test_versions_are_those_of_the_imported_packages() -> None:
    import numpy
    import torch
    import transformers

    versions = environment.read_versions()
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == numpy.__version__
    assert versions["transformers"] == transformers.__version__
    assert torch.__version__.startswith(str(versions["torch"]))  # the module may add "+cpu"
    assert versions["cores"] == os.cpu_count()
    assert set(environment.PACKAGES) <= set(versions)
    json.dumps(versions)


def test_missing_package_is_reported_as_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package"))
    assert environment.read_versions()["no-such-package"] == "not installed"


def test_reading_versions_does_not_import_torch() -> None:
    code = "import sys; from llmkit.base import environment; environment.read_versions(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"False\n"


def test_processor_name_is_read_from_proc_cpuinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.0: fast\nmodel name\t: Other\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: cpuinfo)
    assert environment.read_processor_name() == "Some CPU @ 2.0: fast"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "Hardware : none named\n")
    assert environment.read_processor_name() == platform.machine()


def test_processor_name_without_proc_comes_from_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert environment.read_processor_name() == (platform.processor() or platform.machine())


def test_thread_count_is_that_of_torch() -> None:
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert environment.count_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_peak_memory_is_in_bytes_and_does_not_decrease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = environment.get_peak_memory_bytes()
    assert 50e6 < before < 100e9  # torch alone needs more than 50 MB
    # mmap, not malloc: malloc could reuse memory that earlier tests have freed
    block = mmap.mmap(-1, before + 64_000_000 - _get_resident_bytes())
    np.frombuffer(block, np.uint8)[:: mmap.PAGESIZE] = 1
    grown = environment.get_peak_memory_bytes()
    assert grown > before + 32_000_000
    block.close()
    assert environment.get_peak_memory_bytes() >= grown


def _get_resident_bytes() -> int:
    """Return the current resident memory of this process in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)
