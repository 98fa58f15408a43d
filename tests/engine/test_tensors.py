"""The streamed file is what safetensors itself writes and reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from llmkit.engine import tensors
from llmkit.engine.tensors import copy_saved, open_file, serialize

KINDS = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.uint8, torch.bool),
]
shapes = st.lists(st.integers(0, 3), max_size=3)
some_tensors = st.dictionaries(st.text(max_size=5), st.tuples(st.sampled_from(KINDS), shapes), max_size=6)


def drawn(about: dict[str, tuple[torch.dtype, list[int]]]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: (8 * torch.rand(shape)).to(kind) for name, (kind, shape) in about.items()}


@given(some_tensors)
@settings(max_examples=60)
def test_safetensors_reads_what_was_put_in(about: dict[str, tuple[torch.dtype, list[int]]]) -> None:
    own = drawn(about)
    read = load(b"".join(serialize(own)))
    assert read.keys() == own.keys()
    for name, tensor in own.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_a_transposed_tensor_is_written_as_it_looks() -> None:
    turned = torch.arange(6.0).view(2, 3).T
    assert torch.equal(load(b"".join(serialize({"a": turned})))["a"], turned)


def test_tensors_come_one_at_a_time() -> None:
    sizes = [
        len(piece) for piece in serialize({"b": torch.zeros(5, 2), "a": torch.zeros(3, dtype=torch.int64)})
    ]
    assert sizes[1:] == [24, 40]  # the wide type first, so that all of them are aligned
    assert sizes[0] % 8 == 0


def test_values_are_filled_in_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(save({"a": torch.arange(6.0).view(3, 2), "one": torch.tensor(4.0)}))
    matrix, one = torch.nn.Parameter(torch.zeros(3, 2)), torch.zeros(())
    with open_file(tmp_path / "file") as saved:
        copy_saved(matrix, saved, "a")
        copy_saved(one, saved, "one")
    assert torch.equal(matrix, torch.arange(6.0).view(3, 2))
    assert one == 4


def test_only_the_own_rows_of_a_shard_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(save({"a": torch.arange(10.0).view(5, 2)}))
    monkeypatch.setattr(tensors, "get_local_slice", lambda _: slice(3, 5))
    rows = torch.zeros(2, 2)
    with open_file(tmp_path / "file") as saved:
        copy_saved(rows, saved, "a")
    assert rows.tolist() == [[6, 7], [8, 9]]
