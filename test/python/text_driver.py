# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls runtime/text through test/runtime/text/tokenizer_driver.cpp."""

import os
import struct
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def driver() -> Path:
    """The program, from FDPP_BUILD_DIR (default build/release)."""
    build = Path(os.environ.get("FDPP_BUILD_DIR", _ROOT / "build" / "release"))
    program = build / "bin" / "fdpp-tokenizer-driver"
    assert program.exists(), f"{program} is missing, build fdpp-tokenizer-driver"
    return program


def _words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _data(text: str) -> bytes:
    encoded = text.encode()
    return _words(len(encoded)) + encoded


class _Reader:
    def __init__(self, data: bytes):
        self._data, self._at = data, 0

    def word(self) -> int:
        self._at += 4
        return struct.unpack_from("<I", self._data, self._at - 4)[0]

    def bytes(self) -> bytes:
        size = self.word()
        self._at += size
        return self._data[self._at - size : self._at]

    def ids(self) -> list[int]:
        count = self.word()
        self._at += 4 * count
        return list(struct.unpack_from(f"<{count}i", self._data, self._at - 4 * count))

    def at_end(self) -> bool:
        return self._at == len(self._data)


def _run(mode: str, path: Path, records: list[bytes]) -> _Reader:
    result = subprocess.run(
        [driver(), mode, path], input=b"".join(records), capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    return _Reader(result.stdout)


def _read(reader: _Reader, count: int, one) -> list:
    values = [one() for _ in range(count)]
    assert reader.at_end()
    return values


def encode(path: Path, strings: list[str], add_special: bool) -> list[list[int]]:
    reader = _run("encode", path, [_words(add_special) + _data(text) for text in strings])
    return _read(reader, len(strings), reader.ids)


def _id_records(sequences: list[list[int]], skip_special: bool) -> list[bytes]:
    return [_words(skip_special, len(ids), *ids) for ids in sequences]


def decode(path: Path, sequences: list[list[int]], skip_special: bool) -> list[str]:
    reader = _run("decode", path, _id_records(sequences, skip_special))
    return _read(reader, len(sequences), lambda: reader.bytes().decode())


def stream(path: Path, sequences: list[list[int]], skip_special: bool) -> list[list[str]]:
    """Each sequence's text in the parts that came out; every part is UTF-8."""
    reader = _run("stream", path, _id_records(sequences, skip_special))

    def parts() -> list[str]:
        return [reader.bytes().decode() for _ in range(reader.word())]

    return _read(reader, len(sequences), parts)


def chat(path: Path, conversations: list[list[dict]], generate: bool, now: int) -> list[str | None]:
    """The prompts; None where the conversation was refused."""
    records = [
        _words(generate, now, len(messages))
        + b"".join(_data(message["role"]) + _data(message["content"]) for message in messages)
        for messages in conversations
    ]
    reader = _run("chat", path, records)

    def outcome() -> str | None:
        taken, text = reader.word(), reader.bytes().decode()
        return text if taken else None

    return _read(reader, len(conversations), outcome)
