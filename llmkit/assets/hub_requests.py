"""Make the first request to the Hugging Face Hub with a time limit, and translate its refusals into errors.

huggingface_hub lets its first request wait without a limit, and on a machine without network datasets tries for half a
minute. Both are called only after `resolve_commit` has received a response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from llmkit.base.errors import AssetError, ModelError

__all__ = [
    "Reference",
    "first_line",
    "gated_error",
    "interrupted_error",
    "parse_reference",
    "resolve_commit",
    "translate_refusals",
    "transport_error",
    "unreachable_error",
]

TIMEOUT = 10.0  # seconds for the Hub to respond to the first request


@dataclass(frozen=True)
class Reference:
    """The parts of a Hub id `owner/name[@revision][#config]`.

    Attributes:
        repo: `owner/name`.
        revision: A branch, a tag or a commit; None for the default branch.
        config: A configuration of a data set.
    """

    repo: str
    revision: str | None
    config: str | None


def parse_reference(name: str) -> Reference | None:
    """Parse a Hub id; return None when the name can't be one."""
    match = re.fullmatch(r"(\w[\w.-]*/\w[\w.-]*)(?:@([^@#\s]+))?(?:#([^@#\s]+))?", name, re.ASCII)
    return Reference(*match.groups()) if match else None


def resolve_commit(reference: Reference, kind: Literal["model", "dataset", "space"]) -> str | None:
    """Ask the Hub for the commit of a revision; return None when the Hub can't be reached.

    Raises:
        AssetError: A05 for a missing repository or revision, A06 for a gated one.
        ModelError: M02 for a model without safetensors.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        with translate_refusals(reference):
            info: Any = HfApi().repo_info(  # its class depends on the kind
                reference.repo, repo_type=kind, revision=reference.revision, timeout=TIMEOUT
            )
    except (transport_error(), OfflineModeIsEnabled):
        return None
    if kind == "model":
        names = [file.rfilename for file in info.siblings or []]
        if not any(name.startswith("model") and name.endswith(".safetensors") for name in names):
            pickles = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
            message = "the repository contains no weights"
            if pickles:
                message = f"the repository has its weights only as {pickles[0]}, which can execute code"
            fix = "choose a repository or a revision with model.safetensors"
            raise ModelError("M02", reference.repo, message, fix)
    return str(info.sha)


@contextmanager
def translate_refusals(reference: Reference) -> Iterator[None]:
    """Translate the Hub's refusals into AssetError A05 and A06; network errors pass through unchanged."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:  # a subclass of RepositoryNotFoundError, so it comes first
        raise gated_error(reference) from error
    except errors.RevisionNotFoundError as error:
        message = f"this repository has no revision {reference.revision or 'main'!r} on the Hub"
        fix = "give a branch, a tag or a full commit"
        raise AssetError("A05", reference.repo, message, fix) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        message = (
            "there is no folder and no repository on the Hub with this name, or the repository is private"
        )
        fix = "check the spelling; for a private repository run `hf auth login`"
        raise AssetError("A05", reference.repo, message, fix) from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise gated_error(reference) from error
        raise


def transport_error() -> type[Exception]:
    """Return the base class of network errors: httpx's, or httpx2's in huggingface_hub 2."""
    from huggingface_hub import errors

    base: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    return base


def unreachable_error(reference: Reference) -> AssetError:
    """Make the error for a Hub that can't be reached."""
    message = "the Hugging Face Hub can't be reached, and its cache contains no copy"
    fix = "connect to a network, set HF_ENDPOINT to a mirror, or give a local path"
    return AssetError("A01", reference.repo, message, fix)


def gated_error(reference: Reference) -> AssetError:
    """Make the error for a gated or private repository."""
    message = "the repository is gated or private, and you have no access"
    fix = "accept its terms on its page on the Hub, then run `hf auth login`"
    return AssetError("A06", reference.repo, message, fix)


def interrupted_error(reference: Reference, error: BaseException) -> AssetError:
    """Make the error for a download that was interrupted."""
    message = f"the connection to the Hub was interrupted ({type(error).__name__}); received data is kept"
    return AssetError("A07", reference.repo, message, "run the command again to continue the download")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message without its full stop."""
    return next(iter(str(error).splitlines()), "").rstrip(".")
