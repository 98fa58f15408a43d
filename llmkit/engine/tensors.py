"""Write a safetensors file one tensor at a time, and read it row by row.

    files.write_chunks(path, serialize({"weight": tensor}))
    with open_file(path) as saved:
        copy_saved(tensor, saved, "weight")

No process ever holds the whole file. Sharded tensors are gathered one after another, so the file of a sharded model
equals that of a plain one: any number of processes can open it, and each reads only its own rows.

Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from llmkit.engine.sharding import gather_rows, get_local_rows, get_local_slice

__all__ = ["copy_saved", "open_file", "serialize"]

# torch.float32 is F32 in safetensors.
DTYPE_PREFIXES = {"float": "F", "bfloat": "BF", "int": "I", "uint": "U", "bool": "BOOL"}


def serialize(tensors: Mapping[str, Tensor]) -> Iterator[bytes]:
    """Yield the bytes of a safetensors file: its header, then each tensor.

    Sharded tensors are gathered one by one, so all processes must iterate together.
    """
    # Wide types come first, so that every tensor is aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    entries, end = {}, 0
    for name in names:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.dtype.itemsize
        dtype = str(tensor.dtype).removeprefix("torch.")
        prefix = dtype.rstrip("0123456789")
        entries[name] = {
            "dtype": DTYPE_PREFIXES[prefix] + dtype.removeprefix(prefix),
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little") + header
    for name in names:
        full = gather_rows(tensors[name].detach()).cpu().contiguous()
        yield full.flatten().view(torch.uint8).numpy().tobytes()


def open_file(path: Path) -> safe_open:
    """Open a safetensors file as a context manager with `keys`, `get_tensor` and `get_slice`; no tensor is read yet."""
    return safe_open(path, framework="pt")


def copy_saved(tensor: Tensor, saved: safe_open, name: str) -> None:
    """Copy the saved values into a tensor; into a sharded one, only this process's rows.

    Args:
        tensor: The tensor to overwrite.
        saved: A file opened by `open_file`.
        name: The tensor's name in the file.
    """
    rows = get_local_slice(tensor)
    if rows == slice(None):
        value: Tensor = saved.get_tensor(name)  # type: ignore[no-untyped-call]
    else:
        value = saved.get_slice(name)[rows]  # type: ignore[no-untyped-call]
    with torch.no_grad():
        get_local_rows(tensor).copy_(value)
