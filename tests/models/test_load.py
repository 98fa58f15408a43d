"""Loading: doubts in one line, no code of the checkpoint run, the head a function of the seed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from llmkit.errors import ModelError
from llmkit.models import load
from llmkit.tasks._texts import named_classes

HEAD = "AutoModelForSequenceClassification"


def opened(folder: Path, labels: list[str], *, new_head: bool = False, seed: int = 1) -> Any:
    """The checkpoint under a classification head."""
    return load.pretrained(
        folder,
        "AutoModelForSequenceClassification",
        named_classes(labels, "single_label_classification"),
        new_head=new_head,
        seed=seed,
        tokenizer=load.tokenizer(folder),
    )


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint, to be damaged."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "checkpoint"))


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def fault(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        opened(folder, ["a", "b"], new_head=False, seed=1)
    assert len(caught.value.lines()) == 1
    return caught.value.lines()[0]


def test_labels_are_names_in_the_config(folder: Path) -> None:
    model = opened(folder, ["no", "yes", "perhaps"], new_head=False, seed=1)
    assert model.config.id2label == {0: "no", 1: "yes", 2: "perhaps"}
    assert model.config.label2id == {"no": 0, "yes": 1, "perhaps": 2}
    assert model.dtype == torch.float32


def test_a_missing_head_is_drawn_from_the_seed(folder: Path) -> None:
    def head(seed: int) -> torch.Tensor:
        return opened(folder, ["a", "b"], new_head=False, seed=seed).classifier.weight

    torch.rand(5)
    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_nothing_is_printed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    opened(folder, ["a", "b"], new_head=False, seed=1)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_no_model_folder(tmp_path: Path) -> None:
    assert fault(tmp_path).startswith(f"error[M01] {tmp_path}: is no model folder")


def test_malformed_config(folder: Path) -> None:
    (folder / "config.json").write_text("{oops")
    assert "error[M01]" in fault(folder)


def test_pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "error[M02]" in fault(folder)
    assert "pytorch_model.bin" in fault(folder)


def test_cut_short_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "error[M03]" in fault(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"trust_remote_code": True},
        {"_attn_implementation": "someone/kernel"},
        {"_attn_implementation_internal": "someone/kernel"},
    ],
)
def test_a_config_that_wants_code_run_is_refused(folder: Path, change: dict[str, Any]) -> None:
    edit_config(folder, **change)
    assert "error[M06]" in fault(folder)


def test_an_unknown_architecture(folder: Path) -> None:
    edit_config(folder, model_type="nonsense")
    assert "error[M01]" in fault(folder)


def test_no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match=r"error\[M01\].*holds no tokenizer"):
        load.tokenizer(folder)


def test_a_head_for_other_labels_is_kept_until_one_asks_for_a_new_one(folder: Path, tmp_path: Path) -> None:
    model = opened(folder, ["x", "y", "z"], new_head=False, seed=1)
    trained = tmp_path / "trained"
    model.save_pretrained(trained)
    load.tokenizer(folder).save_pretrained(trained)
    assert "error[L11]" in fault(trained)
    assert "3 labels (x, y, z), the data has 2 (a, b)" in fault(trained)
    fresh = opened(trained, ["a", "b"], new_head=True, seed=1)
    assert fresh.classifier.weight.shape[0] == 2
    same = opened(trained, ["x", "y", "z"], new_head=False, seed=9)
    assert torch.equal(same.classifier.weight, model.classifier.weight)
