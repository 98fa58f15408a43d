from __future__ import annotations

import io
import tarfile

import pytest

from llmkit.assets import archive
from llmkit.base.errors import AssetError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of b"abc"


def test_a_member_of_a_wheel_is_read(tmp_path, zipped):
    path = tmp_path / "a.whl"
    path.write_bytes(zipped({"a/x.txt": b"abc"}))
    assert b"".join(archive.read_member(path, "a/x.txt", ABC)) == b"abc"


def test_a_member_of_an_archive_inside_an_sdist_is_read(tmp_path, tarred):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tarred({"a/inner.tar.gz": tarred({"b/x.txt": b"abc"})}))
    assert b"".join(archive.read_member(path, "a/inner.tar.gz!b/x.txt", ABC)) == b"abc"


def test_a_member_with_a_wrong_hash_is_rejected(tmp_path, zipped):
    path = tmp_path / "a.whl"
    path.write_bytes(zipped({"a/x.txt": b"abd"}))
    with pytest.raises(AssetError, match=f"but the catalog expects {ABC}") as error:
        list(archive.read_member(path, "a/x.txt", ABC))
    assert error.value.details[0].code == "A02"


def test_a_link_in_a_tar_is_not_followed(tmp_path):
    path, stream = tmp_path / "a.tar.gz", io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        real = tarfile.TarInfo("real")
        real.size = 3
        packed.addfile(real, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "real"
        packed.addfile(link)
    path.write_bytes(stream.getvalue())
    with pytest.raises(AssetError, match="not a regular file"):
        list(archive.read_member(path, "link", ABC))


def test_text_files_of_a_folder_are_read_in_order(tmp_path, zipped):
    path = tmp_path / "a.whl"
    path.write_bytes(zipped({"d/b/2.txt": b"2", "d/a/1.txt": b"1", "d/run.py": b"", "e/3.txt": b"3"}))
    assert list(archive.read_text_files(path, "d/")) == [("a/1.txt", b"1"), ("b/2.txt", b"2")]
