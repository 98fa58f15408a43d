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


def test_the_folder_contains_only_the_pinned_members_and_a_manifest(wheel, cache, progress):
    folder = store.fetch_folder("tiny-model", progress)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["about.json", "config.json", files.MANIFEST, "model.safetensors"]
    assert files.verify_folder(folder) is None
    assert not list((cache / "assets").glob("*.part"))


def test_a_cached_folder_needs_no_index(wheel, cache, progress, monkeypatch):
    folder = store.fetch_folder("tiny-model", progress)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert store.fetch_folder("tiny-model", progress) == folder


def test_a_changed_pin_is_stored_in_another_folder(wheel, cache, progress, monkeypatch):
    folder = store.fetch_folder("tiny-model", progress)
    fewer = replace(wheel, members={"tiny/config.json": wheel.members["tiny/config.json"]})
    monkeypatch.setattr(pinned, "ASSETS", {fewer.name: fewer})
    assert store.fetch_folder("tiny-model", progress) != folder


def test_a_member_with_a_wrong_hash_leaves_no_folder(wheel, cache, progress, monkeypatch):
    wrong = replace(wheel, members={"tiny/config.json": ("config.json", "0" * 64)})
    monkeypatch.setattr(pinned, "ASSETS", {wrong.name: wrong})
    with pytest.raises(AssetError, match="but the catalog expects 0000"):
        store.fetch_folder("tiny-model", progress)
    assert not [path for path in (cache / "assets").iterdir() if path.is_dir()]


def test_two_processes_download_an_asset_only_once(wheel, index, cache):
    index.delay = 1.0
    command = [sys.executable, "-c", FETCH, json.dumps(asdict(wheel))]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=60)[0].strip() for process in both]
    assert printed[0] == printed[1] != ""
    assert index.downloads() == [""]


def test_a_model_is_not_accepted_as_data(cache, progress):
    with pytest.raises(AssetError, match="this asset is model, not data"):
        store.fetch_data_file("all-MiniLM-L6-v2", progress)


def test_the_listing_shows_cached_missing_and_damaged_assets(wheel, cache, progress):
    assert [entry.state for entry in store.list_assets()] == ["not fetched"]
    folder = store.fetch_folder("tiny-model", progress)
    assert store.list_assets(verify=True)[0] == store.Entry(
        "tiny-model", "model", wheel.size_bytes, "none", "cached"
    )
    (folder / "config.json").write_text("{}")
    assert store.list_assets()[0].state == "cached"
    assert store.list_assets(verify=True)[0].state.startswith("damaged (config.json is damaged); remove ")
