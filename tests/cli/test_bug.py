"""An unexpected exception writes a file with all details and prints one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmkit.cli.bug import report


def make_error() -> Exception:
    try:
        raise ZeroDivisionError("broken invariant\nsecond line")
    except ZeroDivisionError as error:
        return error


def test_file_contains_command_traceback_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["llmkit", "finetune", "a b", "\udcff"])
    line = report(make_error())
    (file,) = tmp_path.iterdir()
    assert line == (
        f"bug in llmkit (ZeroDivisionError: broken invariant); please report it with the file {file.name}"
    )
    text = file.read_text(encoding="utf-8")
    assert text.startswith("llmkit finetune 'a b' ")
    assert 'raise ZeroDivisionError("broken invariant' in text
    assert '"torch": "' in text


def test_each_bug_gets_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(make_error()) != report(make_error())
    assert len(list(tmp_path.glob("llmkit-bug-*.txt"))) == 2


def test_file_goes_to_the_temporary_folder_when_the_working_folder_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted, temporary = tmp_path / "deleted", tmp_path / "temporary"
    deleted.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = Path.cwd()
    os.chdir(deleted)
    deleted.rmdir()
    try:
        line = report(make_error())
    finally:
        os.chdir(before)
    (file,) = temporary.iterdir()
    assert line.endswith(str(file))
