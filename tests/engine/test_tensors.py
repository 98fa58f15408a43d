"""Streamed files can be read by safetensors, and its files by llmkit."""

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


def draw(shapes_by_name: dict[str, tuple[torch.dtype, list[int]]]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: (8 * torch.rand(shape)).to(kind) for name, (kind, shape) in shapes_by_name.items()}


@given(some_tensors)
@settings(max_examples=60)
def test_safetensors_reads_serialized_tensors(
    shapes_by_name: dict[str, tuple[torch.dtype, list[int]]],
) -> None:
    own = draw(shapes_by_name)
    read = load(b"".join(serialize(own)))
    assert read.keys() == own.keys()
    for name, tensor in own.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_a_transposed_tensor_is_serialized_in_its_logical_order() -> None:
    transposed = torch.arange(6.0).view(2, 3).T
    assert torch.equal(load(b"".join(serialize({"a": transposed})))["a"], transposed)


def test_each_tensor_is_a_piece_of_its_own_widest_type_first() -> None:
    sizes = [
        len(piece) for piece in serialize({"b": torch.zeros(5, 2), "a": torch.zeros(3, dtype=torch.int64)})
    ]
    assert sizes[1:] == [24, 40]  # the wide type first, so that all tensors are aligned
    assert sizes[0] % 8 == 0


def test_saved_values_are_copied_into_existing_tensors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(save({"a": torch.arange(6.0).view(3, 2), "scalar": torch.tensor(4.0)}))
    matrix, scalar = torch.nn.Parameter(torch.zeros(3, 2)), torch.zeros(())
    with open_file(tmp_path / "file") as saved:
        copy_saved(matrix, saved, "a")
        copy_saved(scalar, saved, "scalar")
    assert torch.equal(matrix, torch.arange(6.0).view(3, 2))
    assert scalar == 4


def test_a_sharded_tensor_reads_only_its_own_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(save({"a": torch.arange(10.0).view(5, 2)}))
    monkeypatch.setattr(tensors, "get_local_slice", lambda _: slice(3, 5))
    rows = torch.zeros(2, 2)
    with open_file(tmp_path / "file") as saved:
        copy_saved(rows, saved, "a")
    assert rows.tolist() == [[6, 7], [8, 9]]
