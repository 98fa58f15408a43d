"""The only module that writes: whole or not at all, flushed to the disk, checked by hash.

A file is written beside its target and renamed over it; a folder is filled under a temporary name, given a
`manifest.json` with the size and SHA-256 of every file, and renamed into place. So a reader, or a process killed
at any moment, sees the old state or the new one, never a half of it (where a folder is replaced, for an instant
none). Trade-off: an fsync for every file (about 10 ms each on a disk), which is nothing beside the minutes of work
it protects.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmkit.base.errors import ErrorDetail, StorageError

__all__ = [
    "MANIFEST",
    "append_line",
    "check_space",
    "compute_sha256",
    "create_folder",
    "find_free_path",
    "get_cache_folder",
    "lock",
    "remove",
    "remove_leftovers",
    "staged_folder",
    "translate_os_errors",
    "truncate_file",
    "verify_folder",
    "write_bytes",
    "write_chunks",
    "write_json",
    "write_lines",
    "write_text",
]

MANIFEST = "manifest.json"
STAGING = ".tmp-"  # names that begin so are leftovers of a killed process
CHUNK = 1 << 20  # bytes


def get_cache_folder() -> Path:
    """Where fetched and derived files live: $LLMKIT_CACHE, or llmkit/ in the user's cache folder."""
    named = os.environ.get("LLMKIT_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "llmkit"


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of writing into one line that says which disk and how much room it has."""
    try:
        yield
    except Exception as raised:
        error = _os_error(raised)
        if error is None:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            problem = _no_space(path, f"no space left on the disk ({_free(path):,} bytes free)")
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            problem = ErrorDetail(
                "W02", str(path), "not allowed to write here", "choose another --out or LLMKIT_CACHE"
            )
        else:
            problem = ErrorDetail(
                "W03", str(path), f"writing failed ({error.strerror or error})", "check the disk"
            )
        raise StorageError.of(problem) from raised


def check_space(path: Path, needed: int) -> None:
    """Raises StorageError W01 when the disk has not that many bytes free."""
    free = _free(path)
    if free < needed:
        raise StorageError.of(_no_space(path, f"needs {needed:,} bytes, and the disk has {free:,} free"))


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left half written in this folder. For its only writer."""
    for leftover in sorted(folder.glob(f"{STAGING}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the file by this text, atomically."""
    write_lines(path, [text])


def write_bytes(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace the file by these pieces, one after the other, atomically and in flat memory."""
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f"{STAGING}{os.getpid()}-{path.name}")
        try:
            with staged.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                _sync(file.fileno())
            staged.replace(path)
            _sync_folder(path.parent)
        finally:
            staged.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Replace the file by this value as indented JSON (no NaN: JSON has none)."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_lines(path: Path, pieces: Iterator[str] | list[str]) -> None:
    """Replace the file by these pieces of text, one after the other, atomically and in flat memory."""
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f"{STAGING}{os.getpid()}-{path.name}")
        try:
            with staged.open("w", encoding="utf-8", newline="\n") as file:
                for piece in pieces:
                    file.write(piece)
                _sync(file.fileno())
            staged.replace(path)
            _sync_folder(path.parent)
        finally:
            staged.unlink(missing_ok=True)


def write_chunks(path: Path, pieces: Iterable[bytes], *, append: bool = False) -> None:
    """Write bytes as they come, in flat memory. Not atomic: for `.part` files and staged folders.

    What has come stays when `pieces` raises; that error (a cut connection) passes through as it is.
    """
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab" if append else "wb")
    try:
        for piece in pieces:
            with translate_os_errors(path):
                file.write(piece)
                file.flush()
    finally:
        with translate_os_errors(path):  # what could not be flushed fails once more here
            file.close()


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Add one JSON object as a line."""
    with translate_os_errors(path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def truncate_file(path: Path, size: int) -> None:
    """Cut a log back to `size` bytes: what a killed run wrote after its last checkpoint."""
    with translate_os_errors(path):
        if not path.exists():
            path.touch()
        os.truncate(path, size)


def create_folder(path: Path) -> None:
    """The folder, with those above it."""
    with translate_os_errors(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name; on success give it a manifest and put it at `target`.

    A folder already at `target` is replaced. On any error nothing is left behind and `target` stays as it was.
    """
    with translate_os_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f"{STAGING}{os.getpid()}-", dir=target.parent))
        staged.chmod(0o755)  # mkdtemp gives 0700, but a model is to be shared
        try:
            yield staged
            _write_manifest(staged)
            _put(staged, target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def verify_folder(folder: Path) -> str | None:
    """What is wrong with a folder that has a manifest: one phrase, or None when every byte is right."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = [(name, entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()]
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is damaged"
    for name, size, digest in files:
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size or compute_sha256(path) != digest:
            return f"{name} is damaged"
    return None


def compute_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, read in flat memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def remove(path: Path) -> None:
    """Delete a file or a folder; a folder first under another name, so that no reader meets half of it."""
    with translate_os_errors(path):
        if path.is_dir():
            doomed = find_free_path(path.with_name(f"{STAGING}del-{path.name}"))
            path.replace(doomed)
            shutil.rmtree(doomed)
        else:
            path.unlink(missing_ok=True)


def find_free_path(path: Path) -> Path:
    """`path`, or `path-2`, `path-3` ...: the first that does not exist."""
    number, candidate = 2, path
    while candidate.exists():
        candidate = path.with_name(f"{path.name}-{number}")
        number += 1
    return candidate


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """One process at a time past this point, over all processes of this machine; the others wait."""
    from filelock import FileLock

    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path)
    with held:
        yield


def _write_manifest(folder: Path) -> None:
    """Flush every file, then list them with size and hash; written last, so it vouches for the rest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        path.chmod(0o644)  # safetensors writes 0600, but a model is to be shared
        with path.open("rb") as file:
            _sync(file.fileno())
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": compute_sha256(path)}
        for path in paths
    }
    write_json(folder / MANIFEST, {"files": files})


def _put(staged: Path, target: Path) -> None:
    """Rename into place. A folder can't be renamed over a full one, so an old one steps aside first."""
    if target.exists():
        aside = find_free_path(target.with_name(f"{STAGING}old-{target.name}"))
        target.replace(aside)
        try:
            staged.replace(target)
        except OSError:
            aside.replace(target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    else:
        staged.replace(target)
    _sync_folder(target.parent)


def _sync(descriptor: int) -> None:
    """Ask the kernel to put the file's bytes on the disk."""
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """A rename lasts only once its folder is flushed too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _os_error(error: Exception) -> OSError | None:
    """The operating system's error; safetensors tells of it in words only."""
    if isinstance(error, OSError):
        return error
    number = re.search(r"os error (\d+)|code: (\d+)", str(error))
    if type(error).__name__ != "SafetensorError" or number is None:
        return None
    code = int(number[1] or number[2])
    return OSError(code, os.strerror(code))


def _no_space(path: Path, message: str) -> ErrorDetail:
    return ErrorDetail("W01", str(path), message, "free some space and run it again")


def _free(path: Path) -> int:
    return shutil.disk_usage(_existing(path)).free


def _existing(path: Path) -> Path:
    return next(parent for parent in [path, *path.absolute().parents] if parent.exists())
