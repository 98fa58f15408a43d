"""Writing: whole or not at all, however the process ends, and one line that says why it failed."""

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


def python(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """Run this code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def fail(number: int) -> Callable[..., None]:
    def raising(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return raising


def left(folder: Path) -> list[str]:
    """What lies in the folder."""
    return sorted(path.name for path in folder.iterdir())


def test_text_json_and_pieces_are_written_as_given(tmp_path: Path) -> None:
    files.write_text(tmp_path / "new" / "folder" / "a.txt", "first\nsecond")
    assert (tmp_path / "new" / "folder" / "a.txt").read_bytes() == b"first\nsecond"
    files.write_json(tmp_path / "a.json", {"名": [1, None]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "名": [\n    1,\n    null\n  ]\n}\n'
    files.write_chunks(tmp_path / "a.bin", iter([b"\x00", b"12"]))
    files.write_chunks(tmp_path / "a.bin", [b"3"], append=True)
    assert (tmp_path / "a.bin").read_bytes() == b"\x00123"
    files.write_chunks(tmp_path / "a.bin", [b"new"])
    assert (tmp_path / "a.bin").read_bytes() == b"new"


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert left(tmp_path) == []


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_failure_while_writing_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    monkeypatch.setattr(broken, fail(errno.EIO))
    with pytest.raises(StorageError, match="W03"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert left(tmp_path) == ["a.txt"]


KILLED_FILE = """
import os, signal, sys
from pathlib import Path
from llmkit.base import files
def pieces():
    yield "new " * 100_000
    os.kill(os.getpid(), signal.SIGKILL)
files.write_lines(Path(sys.argv[1]), pieces())
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
def test_kill_9_while_writing_leaves_the_old_content(tmp_path: Path, code: str) -> None:
    target = tmp_path / "target"
    if code is KILLED_FILE:
        files.write_text(target, "old")
    else:
        with files.staged_folder(target) as staged:
            (staged / "a.txt").write_text("old")
    done = python(code, target)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (target if target.is_file() else target / "a.txt").read_text() == "old"
    assert all(name == "target" or name.startswith(files.STAGING) for name in left(tmp_path))


def test_lines_are_taken_one_by_one(tmp_path: Path) -> None:
    """The temporary file grows while pieces come: nothing is collected first."""
    sizes = []

    def pieces() -> Iterator[str]:
        for _ in range(3):
            yield "x" * 100_000
            sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))

    files.write_lines(tmp_path / "a.txt", pieces())
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert (tmp_path / "a.txt").stat().st_size == 300_000


def test_an_error_of_the_iterator_leaves_no_file(tmp_path: Path) -> None:
    def pieces() -> Iterator[str]:
        yield "half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        files.write_lines(tmp_path / "a.txt", pieces())
    assert left(tmp_path) == []


def test_pieces_that_came_before_an_error_stay(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError, match="cut"):  # an OSError of the source, not of the disk
        files.write_chunks(tmp_path / "a.part", pieces())
    assert (tmp_path / "a.part").read_bytes() == b"first"


WRITERS: dict[str, Writer] = {
    "write_text": lambda path: files.write_text(path, "new"),
    "append_line": lambda path: files.append_line(path, {"a": 1}),
    "write_chunks": lambda path: files.write_chunks(path, [b"new"]),
}


@pytest.mark.parametrize("name", ["append_line", "write_chunks"])
def test_a_full_disk_is_one_line_with_the_room_left(name: str) -> None:
    full = Path("/dev/full")  # every write to it fails with ENOSPC
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(StorageError) as caught:
        WRITERS[name](full)
    (line,) = caught.value.lines()
    assert line.startswith("error[W01] /dev/full: no space left on the disk (")
    assert " bytes free). Fix: free some space and run it again" in line
    assert caught.value.exit_code == 74


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (errno.ENOSPC, "W01", "no space left on the disk (12,345 bytes free)"),
        (errno.EDQUOT, "W01", "no space left on the disk (12,345 bytes free)"),
        (errno.EACCES, "W02", "not allowed to write here"),
        (errno.EPERM, "W02", "not allowed to write here"),
        (errno.EROFS, "W02", "not allowed to write here"),
        (errno.EIO, "W03", f"writing failed ({os.strerror(errno.EIO)})"),
    ],
)
def test_each_kind_of_failure_has_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, message: str
) -> None:
    usage = type(files.shutil.disk_usage(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(99_999, 87_654, 12_345))
    monkeypatch.setattr("os.fsync", fail(number))
    path = tmp_path / "not" / "there" / "a.txt"
    with pytest.raises(StorageError) as caught:
        files.write_text(path, "new")
    (problem,) = caught.value.details
    assert (problem.code, problem.place, problem.message) == (code, str(path), message)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_folder_without_permission_is_w02(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(StorageError, match="W02"):
            WRITERS[name](tmp_path / "a.txt")
    finally:
        tmp_path.chmod(0o755)


def test_lines_are_appended(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    files.append_line(log, {"kind": "step", "text": "好"})
    files.append_line(log, {"step": 2})
    assert log.read_text(encoding="utf-8") == '{"kind": "step", "text": "好"}\n{"step": 2}\n'


def test_truncate_cuts_back_or_makes_an_empty_file(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    files.truncate_file(log, 0)
    assert log.read_bytes() == b""
    log.write_text("kept\nlost")
    files.truncate_file(log, 5)
    assert log.read_text() == "kept\n"


def fill(target: Path, **contents: str) -> None:
    with files.staged_folder(target) as staged:
        for name, text in contents.items():
            path = staged / "sub" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def test_a_staged_folder_appears_whole_with_a_manifest(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with files.staged_folder(target) as staged:
        (staged / "a.bin").write_bytes(b"12345")
        (staged / "a.bin").chmod(0o600)
        assert not target.exists()
    assert left(target) == ["a.bin", files.MANIFEST]
    listed = json.loads((target / files.MANIFEST).read_text())["files"]
    assert listed == {"a.bin": {"bytes": 5, "sha256": files.compute_sha256(target / "a.bin")}}
    assert (target.stat().st_mode & 0o777, (target / "a.bin").stat().st_mode & 0o777) == (0o755, 0o644)
    assert left(target.parent) == ["model"]


def test_a_staged_folder_replaces_the_old_one(tmp_path: Path) -> None:
    fill(tmp_path / "model", a="old", b="old")
    fill(tmp_path / "model", a="new")
    assert left(tmp_path / "model" / "sub") == ["a"]
    assert (tmp_path / "model" / "sub" / "a").read_text() == "new"
    assert left(tmp_path) == ["model"]


def test_an_error_while_filling_leaves_the_old_folder(tmp_path: Path) -> None:
    fill(tmp_path / "model", a="old")
    with pytest.raises(ZeroDivisionError), files.staged_folder(tmp_path / "model") as staged:
        (staged / "a").write_text("half")
        raise ZeroDivisionError
    assert files.verify_folder(tmp_path / "model") is None
    assert (tmp_path / "model" / "sub" / "a").read_text() == "old"
    assert left(tmp_path) == ["model"]


def test_a_failed_rename_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the old one has stepped aside already."""
    fill(tmp_path / "model", a="old")
    replace = Path.replace

    def second_fails(path: Path, target: Path) -> Path:
        if Path(target) == tmp_path / "model" and "old" not in path.name:
            fail(errno.EIO)()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises(StorageError, match="W03"):
        fill(tmp_path / "model", a="new")
    assert (tmp_path / "model" / "sub" / "a").read_text() == "old"
    assert left(tmp_path) == ["model"]


def test_a_verified_folder_has_every_byte(tmp_path: Path) -> None:
    fill(tmp_path / "model", a="right", b="")
    assert files.verify_folder(tmp_path / "model") is None


@pytest.mark.parametrize(
    ("damage", "told"),
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
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], object], told: str) -> None:
    fill(tmp_path / "model", a="right")
    damage(tmp_path / "model")
    assert files.verify_folder(tmp_path / "model") == told


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
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


def test_a_lock_keeps_a_second_process_out(tmp_path: Path) -> None:
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


def test_remove_takes_files_folders_and_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "model", a="1")
    (tmp_path / "a.txt").write_text("1")
    for name in ("model", "a.txt", "not there"):
        files.remove(tmp_path / name)
    assert left(tmp_path) == []


def test_free_name_is_the_first_that_does_not_exist(tmp_path: Path) -> None:
    assert files.find_free_path(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    assert files.find_free_path(tmp_path / "run") == tmp_path / "run-2"
    (tmp_path / "run-2").touch()
    assert files.find_free_path(tmp_path / "run") == tmp_path / "run-3"


def test_make_folder_makes_those_above_and_keeps_what_is_there(tmp_path: Path) -> None:
    files.create_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "kept").touch()
    files.create_folder(tmp_path / "a" / "b")
    assert left(tmp_path / "a" / "b") == ["kept"]
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
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("LLMKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert files.get_cache_folder() == Path(folder)
