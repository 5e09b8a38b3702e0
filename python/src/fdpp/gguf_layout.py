# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Walks a GGUF file before gguf-py does, which trusts every number in it: a
count of 2**60 would keep it busy for years, and so would a length in memory.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"""

import math
import mmap
import struct
from pathlib import Path

import gguf

from .errors import UserError

_TYPES = gguf.GGUFValueType
_SCALAR_BYTES = {
    _TYPES.UINT8: 1, _TYPES.INT8: 1, _TYPES.BOOL: 1, _TYPES.UINT16: 2, _TYPES.INT16: 2,
    _TYPES.UINT32: 4, _TYPES.INT32: 4, _TYPES.FLOAT32: 4, _TYPES.UINT64: 8,
    _TYPES.INT64: 8, _TYPES.FLOAT64: 8,
}
_VERSIONS = (2, 3)
_MAX_DIMENSIONS = 4
_ALIGNMENT = "general.alignment"


class _Damaged(Exception):
    pass


class _Walker:
    """A position in the file that never leaves it."""

    def __init__(self, data: mmap.mmap):
        self.data = data
        self.at = 0

    def skip(self, count: int) -> int:
        """Moves on; returns where it was."""
        begin = self.at
        if count > len(self.data) - begin:
            raise _Damaged
        self.at = begin + count
        return begin

    def number(self, code: str) -> int:
        begin = self.skip(struct.calcsize(code))
        return struct.unpack_from("<" + code, self.data, begin)[0]

    def text(self) -> str:
        size = self.number("Q")
        begin = self.skip(size)
        return self.data[begin : begin + size].decode("utf-8")

    def value(self, kind: int) -> None:
        if kind == _TYPES.STRING:
            self.skip(self.number("Q"))
        elif kind == _TYPES.ARRAY:
            element, count = self.number("I"), self.number("Q")
            if element in _SCALAR_BYTES:
                self.skip(count * _SCALAR_BYTES[element])
            elif element == _TYPES.STRING:
                for _ in range(count):  # each moves on, so the file bounds them
                    self.skip(self.number("Q"))
            else:
                raise _Damaged
        elif kind in _SCALAR_BYTES:
            self.skip(_SCALAR_BYTES[kind])
        else:
            raise _Damaged


def check_layout(path: Path) -> None:
    """Raises UserError unless every field and tensor lies inside the file."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{path} is truncated or not a GGUF file") from None
    with data:
        try:
            _walk(_Walker(data), path)
        except (_Damaged, UnicodeDecodeError):
            raise UserError(f"{path} is truncated or not a GGUF file") from None


def _walk(walker: _Walker, path: Path) -> None:
    if walker.number("I") != gguf.GGUF_MAGIC:
        raise _Damaged
    version = walker.number("I")
    if version not in _VERSIONS:
        known = " and ".join(map(str, _VERSIONS))
        raise UserError(f"{path}: GGUF version {version} is not read, only {known}"
                        " (little-endian); convert the model again")
    tensors, fields = walker.number("Q"), walker.number("Q")
    alignment = _walk_fields(walker, fields, path)
    extents = [_walk_tensor(walker, path) for _ in range(tensors)]
    begin = -(-walker.at // alignment) * alignment
    for offset, size in extents:
        if offset % alignment or begin + offset + size > len(walker.data):
            raise _Damaged


def _walk_fields(walker: _Walker, count: int, path: Path) -> int:
    """Steps over the metadata; returns the alignment of the tensors."""
    alignment = gguf.GGUF_DEFAULT_ALIGNMENT
    seen = set()
    for _ in range(count):
        name, kind = walker.text(), walker.number("I")
        if name in seen:
            raise UserError(f"{path}: metadata {name!r} is there twice")
        seen.add(name)
        if name == _ALIGNMENT:
            if kind != _TYPES.UINT32:
                raise _Damaged
            alignment = walker.number("I")
            if alignment == 0 or alignment & (alignment - 1):
                raise _Damaged
        else:
            walker.value(kind)
    return alignment


def _walk_tensor(walker: _Walker, path: Path) -> tuple[int, int]:
    """Steps over a tensor's entry; returns its offset and size in bytes."""
    name, rank = walker.text(), walker.number("I")
    if not 1 <= rank <= _MAX_DIMENSIONS:
        raise _Damaged
    shape = [walker.number("Q") for _ in range(rank)]
    try:
        kind = gguf.GGMLQuantizationType(walker.number("I"))
        block, size = gguf.GGML_QUANT_SIZES[kind]
    except (ValueError, KeyError):
        raise UserError(f"{path}: tensor {name!r} has a type that gguf-py does not"
                        " know") from None
    if 0 in shape or shape[0] % block:
        raise _Damaged
    return walker.number("Q"), math.prod(shape) // block * size
