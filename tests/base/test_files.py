"""Atomic writing of files and folders, verification, locks and storage errors."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmkit.base import files
from llmkit.base.errors import StorageError

Writer = Callable[[Path], None]


def run_python(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """Run this code in a new process."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def make_failing_function(number: int) -> Callable[..., None]:
    def raising(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return raising


def list_names(folder: Path) -> list[str]:
    """Return the names in the folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def test_text_json_and_chunks_are_written_unchanged(tmp_path: Path) -> None:
    files.write_text(tmp_path / "new" / "folder" / "a.txt", "first\nsecond")
    assert (tmp_path / "new" / "folder" / "a.txt").read_bytes() == b"first\nsecond"
    files.write_json(tmp_path / "a.json", {"名": [1, None]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "名": [\n    1,\n    null\n  ]\n}\n'
    files.write_chunks(tmp_path / "a.bin", iter([b"\x00", b"12"]))
    files.write_chunks(tmp_path / "a.bin", [b"3"], append=True)
    assert (tmp_path / "a.bin").read_bytes() == b"\x00123"
    files.write_chunks(tmp_path / "a.bin", [b"new"])
    assert (tmp_path / "a.bin").read_bytes() == b"new"


def test_writing_nan_as_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list_names(tmp_path) == []


@pytest.mark.parametrize("function", ["os.fsync", "pathlib.Path.replace"])
def test_failed_write_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    monkeypatch.setattr(function, make_failing_function(errno.EIO))
    with pytest.raises(StorageError, match="W03"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list_names(tmp_path) == ["a.txt"]


KILLED_FILE = """
import os, signal, sys
from pathlib import Path
from llmkit.base import files
def lines():
    yield "new " * 100_000
    os.kill(os.getpid(), signal.SIGKILL)
files.write_lines(Path(sys.argv[1]), lines())
"""
KILLED_FOLDER = """
import os, signal, sys
from pathlib import Path
from llmkit.base import files
with files.staged_folder(Path(sys.argv[1])) as staged:
    (staged / "a.txt").write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("code", [KILLED_FILE, KILLED_FOLDER])
def test_sigkill_while_writing_keeps_the_old_content(tmp_path: Path, code: str) -> None:
    target = tmp_path / "target"
    if code is KILLED_FILE:
        files.write_text(target, "old")
    else:
        with files.staged_folder(target) as staged:
            (staged / "a.txt").write_text("old")
    process = run_python(code, target)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert (target if target.is_file() else target / "a.txt").read_text() == "old"
    assert all(name == "target" or name.startswith(files.STAGING) for name in list_names(tmp_path))


def test_lines_are_written_as_they_are_produced(tmp_path: Path) -> None:
    """The temporary file grows while the iterator is consumed."""
    sizes = []

    def lines() -> Iterator[str]:
        for _ in range(3):
            yield "x" * 100_000
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))

    files.write_lines(tmp_path / "a.txt", lines())
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert (tmp_path / "a.txt").stat().st_size == 300_000


def test_error_in_the_iterator_leaves_no_file(tmp_path: Path) -> None:
    def lines() -> Iterator[str]:
        yield "first"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        files.write_lines(tmp_path / "a.txt", lines())
    assert list_names(tmp_path) == []


def test_chunks_before_an_error_in_the_iterator_are_kept(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError, match="cut"):  # an OSError of the source, not of the disk
        files.write_chunks(tmp_path / "a.part", chunks())
    assert (tmp_path / "a.part").read_bytes() == b"first"


WRITERS: dict[str, Writer] = {
    "write_text": lambda path: files.write_text(path, "new"),
    "append_line": lambda path: files.append_line(path, {"a": 1}),
    "write_chunks": lambda path: files.write_chunks(path, [b"new"]),
}


@pytest.mark.parametrize("name", ["append_line", "write_chunks"])
def test_full_disk_error_gives_the_free_space(name: str) -> None:
    full = Path("/dev/full")  # every write to it fails with ENOSPC
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(StorageError) as caught:
        WRITERS[name](full)
    (line,) = caught.value.lines()
    assert line.startswith("error[W01] /dev/full: no space left on the disk (")
    assert " bytes free). Fix: free some space and run the command again" in line
    assert caught.value.exit_code == 74


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (errno.ENOSPC, "W01", "no space left on the disk (12,345 bytes free)"),
        (errno.EDQUOT, "W01", "no space left on the disk (12,345 bytes free)"),
        (errno.EACCES, "W02", "no permission to write here"),
        (errno.EPERM, "W02", "no permission to write here"),
        (errno.EROFS, "W02", "no permission to write here"),
        (errno.EIO, "W03", f"writing failed ({os.strerror(errno.EIO)})"),
    ],
)
def test_error_code_of_each_errno(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, message: str
) -> None:
    usage = type(files.shutil.disk_usage(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(99_999, 87_654, 12_345))
    monkeypatch.setattr("os.fsync", make_failing_function(number))
    path = tmp_path / "not" / "there" / "a.txt"
    with pytest.raises(StorageError) as caught:
        files.write_text(path, "new")
    (error,) = caught.value.details
    assert (error.code, error.place, error.message) == (code, str(path), message)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
@pytest.mark.parametrize("name", sorted(WRITERS))
def test_folder_without_write_permission_is_w02(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(StorageError, match="W02"):
            WRITERS[name](tmp_path / "a.txt")
    finally:
        tmp_path.chmod(0o755)


def test_append_line_appends_json_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    files.append_line(log, {"kind": "step", "text": "好"})
    files.append_line(log, {"step": 2})
    assert log.read_text(encoding="utf-8") == '{"kind": "step", "text": "好"}\n{"step": 2}\n'


def test_truncate_file_shortens_or_creates_the_file(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    files.truncate_file(log, 0)
    assert log.read_bytes() == b""
    log.write_text("kept\nlost")
    files.truncate_file(log, 5)
    assert log.read_text() == "kept\n"


def write_folder(target: Path, **contents: str) -> None:
    with files.staged_folder(target) as staged:
        for name, text in contents.items():
            path = staged / "sub" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def test_staged_folder_appears_complete_with_a_manifest(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with files.staged_folder(target) as staged:
        (staged / "a.bin").write_bytes(b"12345")
        (staged / "a.bin").chmod(0o600)
        assert not target.exists()
    assert list_names(target) == ["a.bin", files.MANIFEST]
    listed = json.loads((target / files.MANIFEST).read_text())["files"]
    assert listed == {"a.bin": {"bytes": 5, "sha256": files.compute_sha256(target / "a.bin")}}
    assert (target.stat().st_mode & 0o777, (target / "a.bin").stat().st_mode & 0o777) == (0o755, 0o644)
    assert list_names(target.parent) == ["model"]


def test_staged_folder_replaces_the_old_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", a="old", b="old")
    write_folder(tmp_path / "model", a="new")
    assert list_names(tmp_path / "model" / "sub") == ["a"]
    assert (tmp_path / "model" / "sub" / "a").read_text() == "new"
    assert list_names(tmp_path) == ["model"]


def test_error_while_filling_keeps_the_old_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", a="old")
    with pytest.raises(ZeroDivisionError), files.staged_folder(tmp_path / "model") as staged:
        (staged / "a").write_text("new")
        raise ZeroDivisionError
    assert files.verify_folder(tmp_path / "model") is None
    assert (tmp_path / "model" / "sub" / "a").read_text() == "old"
    assert list_names(tmp_path) == ["model"]


def test_failed_rename_keeps_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second rename fails, after the old folder was renamed away."""
    write_folder(tmp_path / "model", a="old")
    replace = Path.replace

    def fail_at_target(path: Path, target: Path) -> Path:
        if Path(target) == tmp_path / "model" and "old" not in path.name:
            make_failing_function(errno.EIO)()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail_at_target)
    with pytest.raises(StorageError, match="W03"):
        write_folder(tmp_path / "model", a="new")
    assert (tmp_path / "model" / "sub" / "a").read_text() == "old"
    assert list_names(tmp_path) == ["model"]


def test_undamaged_folder_is_verified(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", a="right", b="")
    assert files.verify_folder(tmp_path / "model") is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "sub" / "a").unlink(), "sub/a is missing"),
        (lambda folder: (folder / "sub" / "a").write_text("wrong"), "sub/a is damaged"),  # same size
        (lambda folder: (folder / "sub" / "a").write_text("righ"), "sub/a is damaged"),
        (lambda folder: (folder / files.MANIFEST).unlink(), "manifest.json is missing"),
        (lambda folder: (folder / files.MANIFEST).write_text('{"files": '), "manifest.json is damaged"),
        (lambda folder: (folder / files.MANIFEST).write_text("[]"), "manifest.json is damaged"),
        (lambda folder: (folder / files.MANIFEST).write_text('{"files": 1}'), "manifest.json is damaged"),
        (
            lambda folder: (folder / files.MANIFEST).write_text('{"files": {"sub/a": {}}}'),
            "manifest.json is damaged",
        ),
        (lambda folder: (folder / files.MANIFEST).write_bytes(b"\xff"), "manifest.json is damaged"),
    ],
)
def test_verify_folder_names_the_damaged_file(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    write_folder(tmp_path / "model", a="right")
    damage(tmp_path / "model")
    assert files.verify_folder(tmp_path / "model") == message


def test_compute_sha256_matches_the_published_test_vector(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert (
        files.compute_sha256(tmp_path / "abc")
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


WAITING = """
import sys
from pathlib import Path
from llmkit.base import files
print("started", flush=True)
with files.lock(Path(sys.argv[1])):
    print("inside", flush=True)
"""


def test_second_process_waits_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.lock"
    with files.lock(path):
        other = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "started\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
    assert other.communicate(timeout=30)[0] == "inside\n"


def test_remove_deletes_files_and_folders_and_ignores_missing_paths(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", a="1")
    (tmp_path / "a.txt").write_text("1")
    for name in ("model", "a.txt", "missing"):
        files.remove(tmp_path / name)
    assert list_names(tmp_path) == []


def test_find_free_path_returns_the_first_unused_path(tmp_path: Path) -> None:
    assert files.find_free_path(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    assert files.find_free_path(tmp_path / "run") == tmp_path / "run-2"
    (tmp_path / "run-2").touch()
    assert files.find_free_path(tmp_path / "run") == tmp_path / "run-3"


def test_create_folder_creates_parents_and_keeps_the_content(tmp_path: Path) -> None:
    files.create_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "kept").touch()
    files.create_folder(tmp_path / "a" / "b")
    assert list_names(tmp_path / "a" / "b") == ["kept"]
    with pytest.raises(StorageError, match="W03"):
        files.create_folder(tmp_path / "a" / "b" / "kept")


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"LLMKIT_CACHE": "/named", "XDG_CACHE_HOME": "/xdg"}, "/named"),
        ({"LLMKIT_CACHE": "~/named"}, "/home/me/named"),
        ({"LLMKIT_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/llmkit"),
        ({"XDG_CACHE_HOME": ""}, "/home/me/.cache/llmkit"),
        ({}, "/home/me/.cache/llmkit"),
    ],
)
def test_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("LLMKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert files.get_cache_folder() == Path(folder)
