"""A safetensors file written tensor by tensor, so that no process ever holds all of it, and read row by row.

    files.write_pieces(path, pieces({"weight": tensor}))
    with opened(path) as saved: fill(tensor, saved, "weight")

The file of a sharded model is that of a whole one: each tensor is gathered when its turn comes, and freed. So it opens
on any number of processes, each of which reads its own rows. Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from llmkit.engine.sharding import gather_rows, get_local_rows, get_local_slice

__all__ = ["copy_saved", "open_file", "serialize"]

KINDS = {"float": "F", "bfloat": "BF", "int": "I", "uint": "U", "bool": "BOOL"}  # as safetensors calls them


def serialize(tensors: Mapping[str, Tensor]) -> Iterator[bytes]:
    """The file's bytes: its header, then one tensor after the other. For sharded ones all processes meet at each."""
    ordered = sorted(
        tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)
    )  # wide types first: aligned
    yield _header({name: tensors[name] for name in ordered})
    for name in ordered:
        whole = gather_rows(tensors[name].detach()).cpu().contiguous()
        yield whole.flatten().view(torch.uint8).numpy().tobytes()


def open_file(path: Path) -> Any:
    """A context with the file's `keys`, `get_tensor` and `get_slice`; nothing is read yet."""
    return safe_open(path, framework="pt")


def copy_saved(tensor: Tensor, saved: Any, name: str) -> None:
    """Copy the saved values, of a sharded tensor this process's rows, into the tensor."""
    rows = get_local_slice(tensor)
    value = saved.get_tensor(name) if rows == slice(None) else saved.get_slice(name)[rows]
    with torch.no_grad():
        get_local_rows(tensor).copy_(value)


def _header(tensors: Mapping[str, Tensor]) -> bytes:
    """The length of the JSON (8 bytes, little-endian) and the JSON, filled up with spaces to whole words."""
    entries, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.dtype.itemsize
        entries[name] = {
            "dtype": _kind(tensor.dtype),
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _kind(dtype: torch.dtype) -> str:
    """torch.float32 -> F32"""
    name = str(dtype).removeprefix("torch.")
    letters = name.rstrip("0123456789")
    return KINDS[letters] + name.removeprefix(letters)
