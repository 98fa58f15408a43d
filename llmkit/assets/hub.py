"""What `model.name` means, and data sets from the Hugging Face Hub.

Where the Hub can't be reached its own cache serves, then a pinned asset that stands in for the repository;
either is said in one line. Weights come as safetensors only: a pickle can run code.
Example: `fetch_model("sentence-transformers/all-MiniLM-L6-v2", progress)`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from llmkit.base.errors import AssetError, ErrorDetail, ModelError, closest
from llmkit.base.progress import Progress

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["fetch_dataset", "fetch_model"]

WANTED = [
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
NEVER = ["*/*", "*.bin", "*.py", "*.pt"]  # subfolders hold other forms of the same model


def fetch_model(name: str, progress: Progress) -> Path:
    """The folder of checkpoint `name`: a local one, `index:NAME`, or a Hub id `owner/name[@revision]`.

    Raises ModelError M01 (nothing of that name), M02 (no safetensors) and AssetError A01, A02, A05, A06, A07.
    """
    if name.startswith(pinned.ASSET_PREFIX):
        return store.fetch_folder(pinned.find_asset(name, "model").name, progress)
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    reference = parse_reference(name)
    if reference is None or reference.config or path.exists():
        raise ModelError.of(_no_such_model(name, path))
    if resolve_commit(reference, "model"):
        return _download(reference, progress)
    return _cached(reference, progress) or _stand_in(reference, progress)


def fetch_dataset(name: str, progress: Progress) -> dict[str, Dataset]:
    """The splits of a data set on the Hub, `owner/name[@revision][#config]`, through datasets' own cache.

    Raises AssetError A01, A05, A06, A07, and A08 where the repository holds nothing that datasets can read.
    """
    reference = parse_reference(name)
    if reference is None:
        fix = "write owner/name, with @revision or #config behind it where needed"
        raise AssetError("A05", name, "is neither a file nor the id of a data set on the Hub", fix)
    sha = resolve_commit(reference, "dataset")
    if sha is None:
        progress.note(f"{reference.repo}: the Hub can't be reached; looking in the cache of datasets")
    return _load_dataset(reference, sha)


def _download(reference: Reference, progress: Progress) -> Path:
    """The snapshot's folder in huggingface_hub's cache, complete and with the hashes that the Hub states."""
    from huggingface_hub import constants, errors, snapshot_download

    started, bars = time.time(), _bars(reference.repo, progress)
    try:
        with translate_refusals(reference):
            folder = snapshot_download(
                reference.repo,
                revision=reference.revision,
                allow_patterns=WANTED,
                ignore_patterns=NEVER,
                tqdm_class=bars,
            )
    except (transport_error(), errors.LocalEntryNotFoundError, errors.XetDownloadError) as error:
        raise interrupted_error(reference, error) from error
    except OSError as error:
        if error.errno is None:  # not the disk but huggingface_hub's own check of the size
            raise _wrong(reference, first_line(error)) from error
        with files.storage_errors(Path(constants.HF_HUB_CACHE)):
            raise
    _verify(reference, Path(folder), started)
    return Path(folder)


def _verify(reference: Reference, folder: Path, started: float) -> None:
    """Compare the weights that have just come with their SHA-256, which huggingface_hub does not.

    In its cache a large file is a link to a blob that bears the SHA-256 as its name.
    """
    for link in folder.glob("*.safetensors"):
        blob = link.resolve()
        fresh = blob.stat().st_mtime >= started - 1  # seconds: the file system's clock may lag
        if fresh and re.fullmatch("[0-9a-f]{64}", blob.name) and (found := files.sha256(blob)) != blob.name:
            files.remove(link)
            files.remove(blob)
            raise _wrong(reference, f"{link.name} has SHA-256 {found}, but the Hub states {blob.name}")


def _cached(reference: Reference, progress: Progress) -> Path | None:
    """What an earlier download left in huggingface_hub's cache, if it is complete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            reference.repo,
            revision=reference.revision,
            allow_patterns=WANTED,
            ignore_patterns=NEVER,
            local_files_only=True,
        )
    except LocalEntryNotFoundError:
        return None
    progress.note(f"{reference.repo}: the Hub can't be reached; using the copy in its cache")
    return Path(folder)


def _stand_in(reference: Reference, progress: Progress) -> Path:
    """The pinned asset that holds this repository's model."""
    asset = pinned.find_by_hub_id(reference.repo)
    if asset is None or reference.revision not in (None, "main"):
        raise unreachable_error(reference)
    instead = f"{pinned.ASSET_PREFIX}{asset.name} ({asset.description})"
    progress.note(f"{reference.repo}: the Hub can't be reached; using {instead}")
    return store.fetch_folder(asset.name, progress)


def _load_dataset(reference: Reference, sha: str | None) -> dict[str, Dataset]:
    """All splits; sha None: from the cache of datasets, without one request."""
    from datasets import load_dataset

    try:
        with translate_refusals(reference), _offline(sha is None):
            return dict(load_dataset(reference.repo, reference.config, revision=sha or reference.revision))
    except AssetError:
        raise
    except Exception as error:  # datasets raises a dozen kinds, and wraps what huggingface_hub said
        raise (_dataset_error(reference, error) if sha else unreachable_error(reference)) from error


def _dataset_error(reference: Reference, error: Exception) -> AssetError:
    """What lies behind an error of datasets: gated, cut on the way, or nothing readable."""
    from datasets.exceptions import DatasetNotFoundError

    if isinstance(error, DatasetNotFoundError):  # the Hub has just told its commit, so it is there
        return gated_error(reference)
    chain = list(_causes(error))
    if any(isinstance(cause, (transport_error(), ConnectionError, TimeoutError)) for cause in chain):
        return interrupted_error(reference, chain[-1])
    message = f"the data set can't be opened ({type(error).__name__}: {first_line(error)})"
    fix = "name a configuration with #config, or download the files and give their path"
    return AssetError("A08", reference.repo, message, fix)


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


@contextmanager
def _offline(on: bool) -> Iterator[None]:
    """datasets without one request: it would try for half a minute before it looks into its cache."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = before or on
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _bars(label: str, progress: Progress) -> type[Any]:
    """A class for huggingface_hub's progress bars that shows nothing and reports bytes to `progress`."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.in_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if self.in_bytes and self.total:
                progress.advance(f"fetching {label}", int(min(self.n, self.total)), int(self.total), "bytes")

    return Bar


def _no_such_model(name: str, path: Path) -> ErrorDetail:
    if path.exists():
        fix = "give the folder that holds config.json and the weights"
        return ErrorDetail("M01", name, "is a file, not a folder", fix)
    parent = path.parent if path.parent.is_dir() else Path()
    near = closest(path.name, [folder.name for folder in parent.iterdir() if folder.is_dir()])
    fix = "give a folder, a Hub id as owner/name or owner/name@revision, or index:NAME"
    return ErrorDetail("M01", name, f"is neither a folder nor the id of a model{near}", fix)


def _wrong(reference: Reference, what: str) -> AssetError:
    return AssetError("A02", reference.repo, what, "run it again; if it stays so, use another revision")
