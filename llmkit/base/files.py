"""Write files and folders atomically and durably. No other module of llmkit writes to disk.

A file is written to a temporary name next to its target, flushed to disk and renamed over the target. A folder is
filled under a temporary name, given a `manifest.json` with the size and SHA-256 of every file, and renamed into place.
So a reader, or a process killed at any moment, sees the old state or the new one, never half of it. The only exception:
while a folder is being replaced, there is no folder for an instant.

Trade-off: every file costs an fsync (about 10 ms on a disk), which is little compared with the minutes of work that the
file holds.
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

from filelock import FileLock

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
    "make_disk_full_error",
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
    "write_manifest",
    "write_text",
]

MANIFEST = "manifest.json"
STAGING = ".tmp-"  # prefix of temporary names; after a crash, such files are leftovers
CHUNK = 1 << 20  # bytes


def get_cache_folder() -> Path:
    """Return the folder for downloaded and derived files: $LLMKIT_CACHE, or llmkit/ in the user's cache folder."""
    folder = os.environ.get("LLMKIT_CACHE")
    if folder:
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "llmkit"


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Raise an OSError of the block as a StorageError that names the path and, on a full disk, the free space.

    Raises:
        StorageError: W01 (disk full), W02 (no permission) or W03 (another failure).
    """
    try:
        yield
    except Exception as raised:
        error = _get_os_error(raised)
        if error is None:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            detail = make_disk_full_error(
                path, f"no space left on the disk ({_count_free_bytes(path):,} bytes free)"
            )
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            detail = ErrorDetail(
                "W02", str(path), "no permission to write here", "choose another --out or LLMKIT_CACHE"
            )
        else:
            detail = ErrorDetail(
                "W03", str(path), f"writing failed ({error.strerror or error})", "check the disk"
            )
        raise StorageError.of(detail) from raised


def check_space(path: Path, needed: int) -> None:
    """Raise StorageError W01 if the disk of this path has fewer than `needed` bytes free."""
    free = _count_free_bytes(path)
    if free < needed:
        message = f"{needed:,} bytes needed, {free:,} bytes free on the disk"
        raise StorageError.of(make_disk_full_error(path, message))


def make_disk_full_error(path: Path, message: str) -> ErrorDetail:
    """Return error W01 with this message."""
    return ErrorDetail("W01", str(path), message, "free some space and run the command again")


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders of a killed process. Only the process that writes to the folder may."""
    for leftover in sorted(folder.glob(f"{STAGING}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the file by this text (UTF-8), atomically."""
    write_lines(path, [text])


def write_json(path: Path, value: Any) -> None:
    """Replace the file by this value as indented JSON, atomically. Raises ValueError for NaN, which JSON lacks."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Replace the file by these strings (UTF-8), one after the other, atomically and in constant memory.

    No line ends are added.
    """
    write_bytes(path, (line.encode() for line in lines))


def write_bytes(path: Path, chunks: Iterable[bytes]) -> None:
    """Replace the file by these chunks, one after the other, atomically and in constant memory."""
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f"{STAGING}{os.getpid()}-{path.name}")
        try:
            with staged.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(path)
            _sync_folder(path.parent)
        finally:
            staged.unlink(missing_ok=True)


def write_chunks(path: Path, chunks: Iterable[bytes], *, append: bool = False) -> None:
    """Write chunks as they arrive, in constant memory. Not atomic: for `.part` files and inside staged folders.

    An error that `chunks` raises, such as a lost connection, is not translated. What was written before it stays.
    """
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab" if append else "wb")
    try:
        for chunk in chunks:
            with translate_os_errors(path):
                file.write(chunk)
                file.flush()
    finally:
        with translate_os_errors(path):  # closing flushes again, so a failed flush fails here too
            file.close()


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Append one JSON object as a line."""
    with translate_os_errors(path), path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def truncate_file(path: Path, size: int) -> None:
    """Truncate a file to `size` bytes; create it if there is none.

    A resumed run removes from its log what the killed run wrote after its last checkpoint.
    """
    with translate_os_errors(path):
        if not path.exists():
            path.touch()
        os.truncate(path, size)


def create_folder(path: Path) -> None:
    """Create the folder and its parents, unless they exist."""
    with translate_os_errors(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success write its manifest and rename it to `target`.

    An existing `target` is replaced. After an error nothing is left behind and `target` is unchanged.
    """
    with translate_os_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f"{STAGING}{os.getpid()}-", dir=target.parent))
        staged.chmod(0o755)  # mkdtemp creates it with 0700, but other users may read a model
        try:
            yield staged
            write_manifest(staged)
            _replace_folder(staged, target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def write_manifest(folder: Path) -> None:
    """Flush every file to disk, then list the files with their sizes and hashes in the manifest.

    The manifest is written last, so a folder that has one is complete.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        path.chmod(0o644)  # safetensors creates files with 0600, but other users may read a model
        with path.open("rb") as file:
            os.fsync(file.fileno())
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": compute_sha256(path)}
        for path in paths
    }
    write_json(folder / MANIFEST, {"files": files})


def verify_folder(folder: Path) -> str | None:
    """Compare a folder with its manifest; return what is wrong, in one phrase, or None if every byte is right."""
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
    """Return the SHA-256 of a file in hexadecimal. Reads the file in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def remove(path: Path) -> None:
    """Delete a file or a folder, if it exists. A folder is renamed first, so that no reader sees half of it."""
    with translate_os_errors(path):
        if path.is_dir():
            doomed = find_free_path(path.with_name(f"{STAGING}del-{path.name}"))
            path.replace(doomed)
            shutil.rmtree(doomed)
        else:
            path.unlink(missing_ok=True)


def find_free_path(path: Path) -> Path:
    """Return the first of `path`, `path-2`, `path-3`, ... that does not exist."""
    number, candidate = 2, path
    while candidate.exists():
        candidate = path.with_name(f"{path.name}-{number}")
        number += 1
    return candidate


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file, so that only one process of this machine runs the block at a time; the others wait."""
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file_lock = FileLock(path)
    with file_lock:
        yield


def _replace_folder(staged: Path, target: Path) -> None:
    """Rename a folder into place. A full folder can't be renamed over, so the old one is renamed away first."""
    if target.exists():
        old = find_free_path(target.with_name(f"{STAGING}old-{target.name}"))
        target.replace(old)
        try:
            staged.replace(target)
        except OSError:
            old.replace(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        staged.replace(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Flush a folder to disk: only then does a rename inside it survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _get_os_error(error: Exception) -> OSError | None:
    """Return the error as an OSError, or None if it is not one. A SafetensorError has the number in its text only."""
    if isinstance(error, OSError):
        return error
    number = re.search(r"os error (\d+)|code: (\d+)", str(error))
    if type(error).__name__ != "SafetensorError" or number is None:
        return None
    code = int(number[1] or number[2])
    return OSError(code, os.strerror(code))


def _count_free_bytes(path: Path) -> int:
    """Return the free space of the disk that the path, or its nearest existing parent, is on."""
    existing = next(parent for parent in [path, *path.absolute().parents] if parent.exists())
    return shutil.disk_usage(existing).free
