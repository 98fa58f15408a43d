"""Resolve `model.name` to a folder, and load data sets from the Hugging Face Hub.

If the Hub can't be reached, its local cache is used, then a pinned asset with the same model; a note says so. Weights
are loaded only from safetensors, because a pickle can execute code. The clients of the Hub are imported on first use:
recipes with local files need none of them.

Example: `fetch_model("sentence-transformers/all-MiniLM-L6-v2", progress)`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm  # type: ignore[import-untyped]

from llmkit.assets import pinned, store
from llmkit.assets.hub_requests import (
    Reference,
    first_line,
    gated_error,
    interrupted_error,
    parse_reference,
    resolve_commit,
    translate_refusals,
    transport_error,
    unreachable_error,
)
from llmkit.base import files
from llmkit.base.errors import AssetError, ModelError, suggest
from llmkit.base.progress import Progress

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["fetch_dataset", "fetch_model"]

MODEL_FILES = [
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
]
IGNORED_FILES = ["*/*", "*.bin", "*.py", "*.pt"]  # subfolders contain other formats of the same model


def fetch_model(name: str, progress: Progress) -> Path:
    """Return the folder of a checkpoint, downloading it first where needed.

    Args:
        name: A local folder, `index:NAME`, or a Hub id `owner/name[@revision]`.
        progress: Receives the progress of a download, and a note when the Hub can't be reached.

    Raises:
        ModelError: M01 when the name is none of the three, M02 for a repository without safetensors.
        AssetError: A01, A02, A05, A06 or A07 when the download fails.
    """
    if name.startswith(pinned.ASSET_PREFIX):
        return store.fetch_folder(pinned.find_asset(name, "model").name, progress)
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        fix = "give the folder that contains config.json and the weights"
        raise ModelError("M01", name, "this is a file, not a folder", fix)
    reference = parse_reference(name)
    if reference is None or reference.config:
        parent = path.parent if path.parent.is_dir() else Path()
        suggestion = suggest(path.name, [folder.name for folder in parent.iterdir() if folder.is_dir()])
        message = f"this is neither a folder nor the id of a model{suggestion}"
        fix = "give a folder, a Hub id as owner/name or owner/name@revision, or index:NAME"
        raise ModelError("M01", name, message, fix)
    if resolve_commit(reference, "model"):
        return _download(reference, progress)
    return _find_cached(reference, progress) or _fetch_replacement(reference, progress)


def fetch_dataset(name: str, progress: Progress) -> dict[str, Dataset]:
    """Load all splits of a Hub data set, through the cache of the library datasets.

    Args:
        name: `owner/name[@revision][#config]`.
        progress: Receives a note when the Hub can't be reached.

    Raises:
        AssetError: A01, A05, A06 or A07 when the download fails, A08 for a repository that datasets can't read.
    """
    from datasets import load_dataset

    reference = parse_reference(name)
    if reference is None:
        fix = "write owner/name, followed by @revision or #config if needed"
        raise AssetError("A05", name, "this is neither a file nor the id of a data set on the Hub", fix)
    commit = resolve_commit(reference, "dataset")
    if commit is None:
        progress.note(f"{reference.repo}: the Hub can't be reached; looking in the cache of datasets")
    revision = commit or reference.revision
    try:
        with translate_refusals(reference), _datasets_offline(commit is None):
            return dict(load_dataset(reference.repo, reference.config, revision=revision))
    except AssetError:
        raise
    except Exception as error:  # datasets raises a dozen types, which wrap those of huggingface_hub
        raise (_dataset_error(reference, error) if commit else unreachable_error(reference)) from error


def _download(reference: Reference, progress: Progress) -> Path:
    """Download a snapshot to huggingface_hub's cache, and verify it against the hashes that the Hub states."""
    from huggingface_hub import constants, errors, snapshot_download

    started, bars = time.time(), _make_bar_class(reference.repo, progress)
    try:
        with translate_refusals(reference):
            folder = snapshot_download(
                reference.repo,
                revision=reference.revision,
                allow_patterns=MODEL_FILES,
                ignore_patterns=IGNORED_FILES,
                tqdm_class=bars,
            )
    except (transport_error(), errors.LocalEntryNotFoundError, errors.XetDownloadError) as error:
        raise interrupted_error(reference, error) from error
    except OSError as error:
        if error.errno is None:  # not from the disk, but from huggingface_hub's check of the size
            raise _wrong_content_error(reference, first_line(error)) from error
        with files.translate_os_errors(Path(constants.HF_HUB_CACHE)):
            raise
    _verify_weights(reference, Path(folder), started)
    return Path(folder)


def _verify_weights(reference: Reference, folder: Path, started: float) -> None:
    """Compare newly downloaded weights with their SHA-256, which huggingface_hub does not do.

    In its cache a large file is a link to a blob whose name is the SHA-256.
    """
    for link in folder.glob("*.safetensors"):
        blob = link.resolve()
        is_new = blob.stat().st_mtime >= started - 1  # the clock of the file system may lag by a second
        if (
            is_new
            and re.fullmatch("[0-9a-f]{64}", blob.name)
            and (digest := files.compute_sha256(blob)) != blob.name
        ):
            files.remove(link)
            files.remove(blob)
            message = f"{link.name} has SHA-256 {digest}, but the Hub states {blob.name}"
            raise _wrong_content_error(reference, message)


def _find_cached(reference: Reference, progress: Progress) -> Path | None:
    """Return the copy in huggingface_hub's cache if it is complete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            reference.repo,
            revision=reference.revision,
            allow_patterns=MODEL_FILES,
            ignore_patterns=IGNORED_FILES,
            local_files_only=True,
        )
    except LocalEntryNotFoundError:
        return None
    progress.note(f"{reference.repo}: the Hub can't be reached; using the copy in its cache")
    return Path(folder)


def _fetch_replacement(reference: Reference, progress: Progress) -> Path:
    """Return the folder of the pinned asset with the model of this repository. Raises AssetError A01."""
    asset = pinned.find_by_hub_id(reference.repo)
    if asset is None or reference.revision not in (None, "main"):
        raise unreachable_error(reference)
    replacement = f"{pinned.ASSET_PREFIX}{asset.name} ({asset.description})"
    progress.note(f"{reference.repo}: the Hub can't be reached; using {replacement}")
    return store.fetch_folder(asset.name, progress)


def _dataset_error(reference: Reference, error: Exception) -> AssetError:
    """Return A06, A07 or A08 for what lies behind an error of datasets."""
    from datasets.exceptions import DatasetNotFoundError

    if isinstance(
        error, DatasetNotFoundError
    ):  # the Hub has just returned its commit, so the data set exists
        return gated_error(reference)
    chain: list[BaseException] = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    if any(isinstance(link, (transport_error(), ConnectionError, TimeoutError)) for link in chain):
        return interrupted_error(reference, chain[-1])
    message = f"the data set can't be opened ({type(error).__name__}: {first_line(error)})"
    fix = "name a configuration with #config, or download the files and give their path"
    return AssetError("A08", reference.repo, message, fix)


@contextmanager
def _datasets_offline(offline: bool) -> Iterator[None]:
    """Keep datasets from making requests; it would try for half a minute before it looks into its cache."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _make_bar_class(label: str, progress: Progress) -> type[Any]:
    """Make a class for huggingface_hub's progress bars that shows nothing and reports bytes to `progress`."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.in_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self.in_bytes and self.total:
                progress.advance(f"fetching {label}", int(min(self.n, self.total)), int(self.total), "bytes")

    return Bar


def _wrong_content_error(reference: Reference, message: str) -> AssetError:
    fix = "run the command again; if the error persists, use another revision"
    return AssetError("A02", reference.repo, message, fix)
