from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from llmkit.assets import pinned, store
from llmkit.base import files
from llmkit.base.errors import AssetError

FETCH = """
import json, sys
from llmkit.assets import pinned, store
from llmkit.base.progress import SILENT
asset = pinned.Asset(**json.loads(sys.argv[1]))
pinned.ASSETS = {asset.name: asset}
print(store.fetch_folder(asset.name, SILENT))
"""


def test_the_folder_holds_the_pinned_members_only_and_a_manifest(wheel, cache, heard):
    folder = store.fetch_folder("tiny-model", heard)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["about.json", "config.json", files.MANIFEST, "model.safetensors"]
    assert files.verify(folder) is None
    assert not list((cache / "assets").glob("*.part"))


def test_a_folder_that_is_there_needs_no_index(wheel, cache, heard, monkeypatch):
    folder = store.fetch_folder("tiny-model", heard)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert store.fetch_folder("tiny-model", heard) == folder


def test_a_changed_pin_gets_another_folder(wheel, cache, heard, monkeypatch):
    folder = store.fetch_folder("tiny-model", heard)
    fewer = replace(wheel, members={"tiny/config.json": wheel.members["tiny/config.json"]})
    monkeypatch.setattr(pinned, "ASSETS", {fewer.name: fewer})
    assert store.fetch_folder("tiny-model", heard) != folder


def test_a_member_with_a_wrong_hash_leaves_no_folder(wheel, cache, heard, monkeypatch):
    wrong = replace(wheel, members={"tiny/config.json": ("config.json", "0" * 64)})
    monkeypatch.setattr(pinned, "ASSETS", {wrong.name: wrong})
    with pytest.raises(AssetError, match="is pinned"):
        store.fetch_folder("tiny-model", heard)
    assert not [path for path in (cache / "assets").iterdir() if path.is_dir()]


def test_two_processes_at_once_download_once(wheel, index, cache):
    index.delay = 1.0
    command = [sys.executable, "-c", FETCH, json.dumps(asdict(wheel))]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=60)[0].strip() for process in both]
    assert printed[0] == printed[1] != ""
    assert index.downloads() == [""]


def test_a_model_is_no_data(cache, heard):
    with pytest.raises(AssetError, match="is model, not data"):
        store.fetch_data_file("all-MiniLM-L6-v2", heard)


def test_listing_tells_cached_from_missing_and_finds_damage(wheel, cache, heard):
    assert [entry.state for entry in store.list_assets()] == ["not fetched"]
    folder = store.fetch_folder("tiny-model", heard)
    assert store.list_assets(verify=True)[0] == store.Entry(
        "tiny-model", "model", wheel.size_bytes, "none", "cached"
    )
    (folder / "config.json").write_text("{}")
    assert store.list_assets()[0].state == "cached"
    assert store.list_assets(verify=True)[0].state.startswith("damaged (config.json is damaged); remove ")
