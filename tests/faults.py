"""Inject a failure into the nth write, flush, rename or delete."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["KINDS", "Fault", "arm"]

KINDS = ("ENOSPC", "EIO", "short", "kill")


class Fault:
    """A failure of a given kind at the nth call, and the number of calls so far."""

    def __init__(self, kind: str, at: int) -> None:
        self.kind, self.at, self.calls = kind, at, 0

    @property
    def happened(self) -> bool:
        return self.calls >= self.at

    def count_call(self, written: Path | None = None) -> None:
        """Count one call and fail at the nth.

        Args:
            written: The file that the call has just written; a short write truncates it to half its size.
        """
        self.calls += 1
        if self.calls != self.at:
            return
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "short" and written is not None:
            os.truncate(written, written.stat().st_size // 2)
        number = 5 if self.kind == "EIO" else 28
        raise OSError(number, os.strerror(number))


def arm(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """Patch every function that reaches the disk so that its calls count and can fail."""

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            fault.count_call()
            return function(*arguments, **options)

        return call

    def open_counted(path: Path, mode: str = "r", **options: Any) -> Any:
        file = original_open(path, mode, **options)
        return _Writer(file, path, fault) if set(mode) & set("wa") else file

    original_open = Path.open
    monkeypatch.setattr(Path, "open", open_counted)
    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))


class _Writer:
    """A file whose writes can fail."""

    def __init__(self, file: Any, path: Path, fault: Fault) -> None:
        self.file, self.path, self.fault = file, path, fault

    def write(self, text: Any) -> int:
        self.fault.count_call()
        written: int = self.file.write(text)
        self.file.flush()
        self.fault.count_call(self.path)
        return written

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
