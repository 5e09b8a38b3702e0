# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fuzzes what fdpp-export reads, by atheris (libFuzzer for Python).

    python test/fuzz/fuzz_python.py gguf|checkpoint [libFuzzer's arguments]

gguf: a GGUF file. checkpoint: config.json in a line, then model.safetensors.
The source is opened, every tensor read; UserError with one line is the only
way to refuse it."""

import sys
import tempfile
from pathlib import Path

import atheris

import gguf_mutator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python" / "src"))

with atheris.instrument_imports(include=["fdpp", "gguf"]):
    from fdpp.companions import with_chat
    from fdpp.errors import UserError
    from fdpp.sources import open_source

_MAX_BYTES = 1 << 28  # of tensors an input of kilobytes may declare


def _read(source: Path) -> None:
    try:
        opened = open_source(str(source), None, True)
        with_chat(opened.files)
        for tensor in opened.tensors:
            assert tensor.nbytes < _MAX_BYTES, "more tensor than the file can hold"
            read = sum(chunk.nbytes for chunk in tensor.chunks())
            assert read == tensor.nbytes, f"{read} bytes of {tensor.nbytes}"
    except UserError as error:
        text = str(error)
        assert text and text.isprintable(), f"not one printable line: {text!r}"


def _gguf(folder: Path, data: bytes) -> None:
    path = folder / "model.gguf"
    path.write_bytes(data)
    _read(path)


def _checkpoint(folder: Path, data: bytes) -> None:
    config, _, weights = data.partition(b"\n")
    (folder / "config.json").write_bytes(config)
    (folder / "model.safetensors").write_bytes(weights)
    _read(folder)


TARGETS = {"gguf": _gguf, "checkpoint": _checkpoint}


def _mutate_gguf(data: bytes, limit: int, seed: int) -> bytes:
    changed = gguf_mutator.mutate(data, seed) if seed % 8 else None
    return atheris.Mutate(data, limit) if changed is None else changed[:limit]


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: fuzz_python.py {'|'.join(TARGETS)} [libFuzzer's arguments]")
    target = TARGETS[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory(prefix="fdpp-fuzz-") as folder:
        mutators = {"custom_mutator": _mutate_gguf} if target is _gguf else {}
        atheris.Setup(sys.argv, lambda data: target(Path(folder), data), **mutators)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
