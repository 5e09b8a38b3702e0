# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reads safetensors files over a memory map, so that bf16 stays bf16.

Format: 8 bytes little-endian length of a JSON header, the header (name ->
dtype, shape, data_offsets relative to its end), then the bytes."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .config import read_json
from .errors import UserError
from .tensors import DTYPES, Tensor, row_ranges

_DTYPES = {"F32": "f32", "BF16": "bf16", "F16": "f16"}


def read_folder(folder: Path) -> dict[str, Tensor]:
    """All tensors of model.safetensors, or of the shards its index names."""
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    if not index.exists():
        if not single.exists():
            raise UserError(
                f"{folder} has neither model.safetensors nor {index.name};"
                " other weight formats are not read"
            )
        return read_file(single)
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index}: 'weight_map' is missing")
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(map(str, weight_map.values()))):
        if Path(shard).name != shard:
            raise UserError(f"{index}: shard {shard!r} is not a plain file name")
        tensors.update(read_file(folder / shard))
    missing = sorted(set(weight_map) - set(tensors))
    if missing:
        raise UserError(f"{index} names tensor {missing[0]}, which no shard holds")
    return tensors


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of one file; every range is checked against its size."""
    header, data_begin, size = _read_header(path)
    header.pop("__metadata__", None)
    return {
        name: _tensor(path, name, entry, data_begin, size)
        for name, entry in header.items()
    }


def _read_header(path: Path) -> tuple[dict, int, int]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise UserError(f"{path} is truncated or not a safetensors file")
            header = json.loads(file.read(length))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{path} has a damaged safetensors header") from None
    if not isinstance(header, dict):
        raise UserError(f"{path} has a damaged safetensors header")
    return header, 8 + length, size


def _tensor(path: Path, name: str, entry: dict, data_begin: int, size: int) -> Tensor:
    try:
        kind = str(entry["dtype"])
        shape = tuple(int(extent) for extent in entry["shape"])
        begin, end = (int(offset) for offset in entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: tensor {name} has a damaged header entry") from None
    if kind not in _DTYPES:
        raise UserError(
            f"{path}: tensor {name} is {kind}, only F32, F16 and BF16 are read"
        )
    dtype = _DTYPES[kind]
    nbytes = math.prod(shape) * DTYPES[dtype].itemsize
    if min(shape, default=0) < 0 or begin < 0 or end - begin != nbytes:
        raise UserError(f"{path}: tensor {name} has a damaged header entry")
    if data_begin + end > size:
        raise UserError(
            f"{path} is truncated: tensor {name} ends at byte"
            f" {data_begin + end} of {size}"
        )

    def chunks() -> Iterator[np.ndarray]:
        data = np.memmap(path, DTYPES[dtype], "r", data_begin + begin, shape)
        columns = math.prod(shape[1:])
        for first, last in row_ranges(shape[0], columns):
            yield data[first:last]

    return Tensor(name, shape, dtype, chunks)
