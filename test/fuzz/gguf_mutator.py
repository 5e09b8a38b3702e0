# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mutations that leave a GGUF file's layout whole, so that what lies behind the
check of the layout is reached: entries are dropped, repeated, moved and
overwritten in place."""

import random
import struct

_HEAD = struct.Struct("<IIQQ")
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_NUMBERS = (0, 1, 2, 3, 7, 32, 64, 255, 1 << 31, (1 << 32) - 1, 0x7F800000, 0x7FC00000)


class _Reader:
    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize(code)
        return value

    def skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.data):
            raise ValueError("outside")

    def value(self, kind: int) -> None:
        if kind == _STRING:
            self.skip(self.number("Q"))
        elif kind == _ARRAY:
            element, count = self.number("I"), self.number("Q")
            for _ in range(min(count, 1 << 16)):
                self.value(element)
        else:
            self.skip(_SIZES[kind])

    def field(self) -> bytes:
        begin = self.at
        self.skip(self.number("Q"))
        self.value(self.number("I"))
        return self.data[begin : self.at]

    def tensor(self) -> bytes:
        begin = self.at
        self.skip(self.number("Q"))
        self.skip(8 * self.number("I") + 12)
        return self.data[begin : self.at]


def mutate(data: bytes, seed: int) -> bytes | None:
    """Another file, or None where `data` is no whole one."""
    draw = random.Random(seed)
    try:
        magic, version, tensors, fields = _HEAD.unpack_from(data)
        reader = _Reader(data, _HEAD.size)
        entries = [[reader.field() for _ in range(min(fields, 1 << 10))],
                   [reader.tensor() for _ in range(min(tensors, 1 << 10))]]
    except (struct.error, ValueError, KeyError, RecursionError):
        return None
    payload = data[-(-reader.at // 32) * 32 :]
    for _ in range(draw.randint(1, 3)):
        group = entries[draw.random() < 0.3]
        if group:
            _change(group, draw)
    content = _HEAD.pack(magic, version, len(entries[1]), len(entries[0]))
    content += b"".join(entries[0] + entries[1])
    return content + bytes(-len(content) % 32) + payload


def _change(group: list[bytes], draw: random.Random) -> None:
    at = draw.randrange(len(group))
    other = draw.randrange(len(group))
    choice = draw.randrange(6)
    if choice == 0:
        del group[at]
    elif choice == 1:
        group[at], group[other] = group[other], group[at]
    elif choice == 2:  # one's value under another's name
        group[at] = _named(group[at]) + group[other][len(_named(group[other])) :]
    else:
        entry = bytearray(group[at])
        place = draw.randrange(8, len(entry))
        if choice == 3:
            entry[place] = draw.randrange(256)
        else:
            place = max(8, len(entry) - draw.choice((4, 8, 12, 20, 28)))
            struct.pack_into("<I", entry, min(place, len(entry) - 4), draw.choice(_NUMBERS))
        group[at] = bytes(entry)


def _named(entry: bytes) -> bytes:
    (size,) = struct.unpack_from("<Q", entry)
    return entry[: 8 + size]
