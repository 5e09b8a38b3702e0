# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Typed access to a GGUF file's metadata: files lie about types too."""

import math

import gguf

from .errors import UserError

_TYPES = gguf.GGUFValueType
_INTEGERS = {_TYPES.UINT8, _TYPES.INT8, _TYPES.UINT16, _TYPES.INT16, _TYPES.UINT32,
             _TYPES.INT32, _TYPES.UINT64, _TYPES.INT64}
_NUMBERS = _INTEGERS | {_TYPES.FLOAT32, _TYPES.FLOAT64}


class Fields:
    """Each accessor gives `default` where the file has no such key and raises
    UserError where it has another type; `where` begins its message."""

    def __init__(self, reader: gguf.GGUFReader, where: str = ""):
        self._fields = reader.fields
        self._where = where

    def text(self, key: str, default: str | None = None) -> str | None:
        field = self._typed(key, "text", {_TYPES.STRING})
        return default if field is None else self._decoded(field, key, -1)

    def flag(self, key: str, default: bool) -> bool:
        field = self._typed(key, "true or false", {_TYPES.BOOL})
        return default if field is None else bool(field.parts[-1][0])

    def integer(self, key: str, default: int | None = None) -> int | None:
        field = self._typed(key, "integer", _INTEGERS)
        return default if field is None else int(field.parts[-1][0])

    def number(self, key: str, default: float | None = None) -> int | float | None:
        """An integer or a finite fraction."""
        field = self._typed(key, "number", _NUMBERS)
        if field is None:
            return default
        value = field.parts[-1][0].item()
        if not math.isfinite(value):
            raise self._error(key, f"is {value}")
        return value

    def strings(self, key: str) -> list[str] | None:
        """An array of strings, without gguf-py's checks on each element."""
        field = self._array(key, "strings", {_TYPES.STRING})
        if field is None:
            return None
        return [self._decoded(field, key, index) for index in field.data]

    def numbers(self, key: str, count: int) -> list | None:
        """An array of `count` numbers."""
        field = self._array(key, "numbers", _NUMBERS)
        if field is None:
            return None
        values = [field.parts[index][0].item() for index in field.data]
        if len(values) != count:
            raise self._error(key, f"has {len(values)} values for"
                            f" {count} tokens")
        return values

    def _typed(self, key: str, what: str, kinds: set) -> gguf.ReaderField | None:
        field = self._fields.get(key)
        if field is not None and (len(field.types) != 1 or field.types[0] not in kinds):
            raise self._error(key, f"is no {what}")
        return field

    def _array(self, key: str, what: str, kinds: set) -> gguf.ReaderField | None:
        field = self._fields.get(key)
        if field is None:
            return None
        # An empty array does not say what of.
        if field.types[:1] != [_TYPES.ARRAY] or not set(field.types[1:]) <= kinds:
            raise self._error(key, f"is no array of {what}")
        return field

    def _decoded(self, field: gguf.ReaderField, key: str, index: int) -> str:
        try:
            return str(field.parts[index], "utf-8")
        except UnicodeDecodeError:
            raise self._error(key, "holds text that is not UTF-8") from None

    def _error(self, key: str, what: str) -> UserError:
        return UserError(f"{self._where}GGUF field {key} {what}")
