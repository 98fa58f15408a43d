"""A bug of ours: a file with everything, one line on the screen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmkit.cli.bug import report


def raised() -> Exception:
    try:
        raise ZeroDivisionError("of our making\nsecond line")
    except ZeroDivisionError as error:
        return error


def test_the_file_holds_command_traceback_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["llmkit", "finetune", "a b", "\udcff"])
    line = report(raised())
    (file,) = tmp_path.iterdir()
    assert line == (
        f"bug in llmkit (ZeroDivisionError: of our making); please report it with the file {file.name}"
    )
    text = file.read_text(encoding="utf-8")
    assert text.startswith("llmkit finetune 'a b' ")
    assert 'raise ZeroDivisionError("of our making' in text
    assert '"torch": "' in text


def test_two_bugs_are_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(raised()) != report(raised())
    assert len(list(tmp_path.glob("llmkit-bug-*.txt"))) == 2


def test_where_the_working_folder_is_gone_the_temporary_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, temporary = tmp_path / "gone", tmp_path / "temporary"
    gone.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = Path.cwd()
    os.chdir(gone)
    gone.rmdir()
    try:
        line = report(raised())
    finally:
        os.chdir(before)
    (file,) = temporary.iterdir()
    assert line.endswith(str(file))
