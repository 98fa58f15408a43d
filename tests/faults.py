"""Faults on the way to the disk: at the nth write, flush, rename or delete something happens."""

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
    """What happens at the nth call, and how many calls there were."""

    def __init__(self, kind: str, at: int) -> None:
        self.kind, self.at, self.calls = kind, at, 0

    @property
    def happened(self) -> bool:
        return self.calls >= self.at

    def meet(self, written: Path | None = None) -> None:
        """One call; written: the file that it has just filled, which a short write leaves half of."""
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
    """Let every call of llmkit that reaches the disk meet the fault first."""

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            fault.meet()
            return function(*arguments, **options)

        return call

    def opened(path: Path, mode: str = "r", **options: Any) -> Any:
        file = plain(path, mode, **options)
        return _Writer(file, path, fault) if set(mode) & set("wa") else file

    plain = Path.open
    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(os, "fsync", before(os.fsync))
    monkeypatch.setattr(Path, "replace", before(Path.replace))
    monkeypatch.setattr(Path, "unlink", before(Path.unlink))
    monkeypatch.setattr(shutil, "rmtree", before(shutil.rmtree))


class _Writer:
    """A file whose writes can fail."""

    def __init__(self, file: Any, path: Path, fault: Fault) -> None:
        self.file, self.path, self.fault = file, path, fault

    def write(self, text: Any) -> int:
        self.fault.meet()
        written: int = self.file.write(text)
        self.file.flush()
        self.fault.meet(self.path)
        return written

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
