"""Asking the Hugging Face Hub: a first request with a time limit, and each answer that is a no as one line.

huggingface_hub lets its first request wait without limit, and datasets tries for half a minute on a machine
without network; both are asked only after `commit` has had an answer.
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

TIMEOUT = 10.0  # seconds for the Hub to answer the first request


@dataclass(frozen=True)
class Reference:
    """`owner/name[@revision][#config]`, taken apart; config names a part of a data set."""

    repo: str
    revision: str | None
    config: str | None


def parse_reference(name: str) -> Reference | None:
    """A Hub id taken apart, or None when the name can't be one."""
    match = re.fullmatch(r"(\w[\w.-]*/\w[\w.-]*)(?:@([^@#\s]+))?(?:#([^@#\s]+))?", name, re.ASCII)
    return Reference(*match.groups()) if match else None


def resolve_commit(reference: Reference, kind: Literal["model", "dataset", "space"]) -> str | None:
    """The commit that the revision stands for, or None when the Hub can't be reached.

    Raises AssetError A05 (not found), A06 (gated), and for a model without safetensors ModelError M02.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        with translate_refusals(reference):
            info: Any = HfApi().repo_info(
                reference.repo, repo_type=kind, revision=reference.revision, timeout=TIMEOUT
            )
    except (transport_error(), OfflineModeIsEnabled):
        return None
    if kind == "model":
        _check_weights(reference, [file.rfilename for file in info.siblings or []])
    return str(info.sha)


def _check_weights(reference: Reference, names: list[str]) -> None:
    if not any(name.startswith("model") and name.endswith(".safetensors") for name in names):
        pickles = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        held = (
            f"holds its weights as {pickles[0]} only, which can run code" if pickles else "holds no weights"
        )
        fix = "choose a repository or a revision with model.safetensors"
        raise ModelError("M02", reference.repo, f"the repository {held}", fix)


@contextmanager
def translate_refusals(reference: Reference) -> Iterator[None]:
    """Turn the Hub's "no" into one line; trouble on the way to the Hub passes through."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:  # a kind of RepositoryNotFoundError, so it comes first
        raise gated_error(reference) from error
    except errors.RevisionNotFoundError as error:
        message = f"the Hub has no revision {reference.revision or 'main'!r} of this repository"
        fix = "give a branch, a tag or a full commit"
        raise AssetError("A05", reference.repo, message, fix) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        message = "there is no folder and no repository on the Hub of that name, or it is private"
        fix = "check the spelling; for a private repository run `hf auth login`"
        raise AssetError("A05", reference.repo, message, fix) from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise gated_error(reference) from error
        raise


def transport_error() -> type[Exception]:
    """Anything that goes wrong on the way: the root of httpx's errors (httpx2's in huggingface_hub 2)."""
    from huggingface_hub import errors

    root: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    return root


def unreachable_error(reference: Reference) -> AssetError:
    message = "the Hugging Face Hub can't be reached, and no copy is in its cache"
    fix = "connect to a network, name a mirror in HF_ENDPOINT, or give a local path"
    return AssetError("A01", reference.repo, message, fix)


def gated_error(reference: Reference) -> AssetError:
    message = "the repository is gated or private, and you have no access"
    fix = "accept its terms on its page on the Hub, then run `hf auth login`"
    return AssetError("A06", reference.repo, message, fix)


def interrupted_error(reference: Reference, error: BaseException) -> AssetError:
    message = f"the connection to the Hub was cut ({type(error).__name__}); what has come is kept"
    return AssetError("A07", reference.repo, message, "run it again: it goes on from there")


def first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(".")
