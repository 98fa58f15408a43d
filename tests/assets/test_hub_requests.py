from __future__ import annotations

import socket

import pytest
from huggingface_hub import constants

from llmkit.assets import hub_requests
from llmkit.assets.hub_requests import Reference, parse_reference, resolve_commit
from llmkit.base.errors import AssetError, ModelError

TINY = Reference("owner/tiny", None, None)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("owner/name", ("owner/name", None, None)),
        ("owner/name@v1.0", ("owner/name", "v1.0", None)),
        ("owner/name@refs/pr/1#en", ("owner/name", "refs/pr/1", "en")),
        ("owner/name#en", ("owner/name", None, "en")),
    ],
)
def test_a_hub_id_is_parsed(name, parts):
    assert parse_reference(name) == Reference(*parts)


@pytest.mark.parametrize("name", ["gpt2", "./a/b", "/a/b", "a/b/c", "a/b@", "a b/c", "a/b#", ""])
def test_other_names_are_not_hub_ids(name):
    assert parse_reference(name) is None


def test_a_branch_resolves_to_its_commit(hub):
    hub.files["model.safetensors"] = b"weights"
    assert resolve_commit(TINY, "model") == "c" * 40


@pytest.mark.parametrize(("status", "code"), [(401, "A06"), (403, "A06")])
def test_a_401_or_403_without_a_reason_counts_as_gated(hub, monkeypatch, status, code):
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    httpx = pytest.importorskip(HfHubHTTPError.__mro__[1].__module__.partition(".")[0])
    response = httpx.Response(status, request=httpx.Request("GET", hub.url))

    def refuse(*args, **kwargs):
        raise HfHubHTTPError("no", response=response)

    monkeypatch.setattr(HfApi, "repo_info", refuse)
    with pytest.raises(AssetError) as error:
        resolve_commit(TINY, "model")
    assert error.value.details[0].code == code


def test_a_repository_without_weights_can_be_data_but_not_a_model(hub):
    hub.files["train.jsonl"] = b"{}"
    assert resolve_commit(TINY, "dataset") == "c" * 40
    with pytest.raises(ModelError, match="contains no weights"):
        resolve_commit(TINY, "model")


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_an_unreachable_hub_resolves_to_no_commit(hub, monkeypatch, kind):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert resolve_commit(TINY, kind) is None


def test_a_hub_that_never_responds_counts_as_unreachable(hub, monkeypatch):
    monkeypatch.setattr(hub_requests, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert resolve_commit(TINY, "model") is None


def test_offline_mode_sends_no_request(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve_commit(TINY, "model") is None
    assert hub.requests == []
