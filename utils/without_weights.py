#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Takes an engine of gigabytes to a machine that only kilobytes can be sent to.

    without_weights.py take ENGINE FOLDER   copies all but weights of 16 bits
    without_weights.py fill FOLDER [SEED]   random ones in their place, there

FOLDER is an engine again then, for measurements: its checksums are not those of engine.json,
which nothing but --verify reads. Weights are normal with deviation 0.02. Needs numpy.
"""
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np

HEAD, SMALL = "weights.head", "weights.small"


def tensors(head):
    """Begin, end and whether it is made up, in the order of the file."""
    header = json.loads(head[8:])
    return sorted((*entry["data_offsets"], entry["dtype"] in ("BF16", "F16"))
                  for name, entry in header.items() if name != "__metadata__")


def take(engine, folder):
    shutil.copytree(engine, folder, ignore=shutil.ignore_patterns("weights.safetensors"))
    with (engine / "weights.safetensors").open("rb") as file:
        length = file.read(8)
        head = length + file.read(struct.unpack("<Q", length)[0])
        (folder / HEAD).write_bytes(head)
        with (folder / SMALL).open("wb") as small:
            for begin, end, random in tensors(head):
                if not random:
                    file.seek(len(head) + begin)
                    small.write(file.read(end - begin))


def fill(folder, seed):
    head, small = (folder / HEAD).read_bytes(), (folder / SMALL).read_bytes()
    is_half = any(entry.get("dtype") == "F16" for entry in json.loads(head[8:]).values())
    draw = np.random.default_rng(seed)
    values = draw.standard_normal(1 << 22, dtype=np.float32) * np.float32(0.02)
    pool = (values.astype(np.float16).tobytes() if is_half else
            (values.view(np.uint32) + 0x8000 >> 16).astype(np.uint16).tobytes())
    at = 0
    with (folder / "weights.safetensors").open("wb") as file:
        file.write(head)
        for begin, end, random in tensors(head):
            file.write(bytes(begin + len(head) - file.tell()))
            if not random:
                file.write(small[at:at + end - begin])
                at += end - begin
                continue
            start = int(draw.integers(len(pool) // 64)) * 16
            while (left := len(head) + end - file.tell()) > 0:
                file.write(pool[start:start + left])
                start = 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["take"] and len(sys.argv) == 4:
        take(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["fill"] and len(sys.argv) in (3, 4):
        fill(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) == 4 else 1)
    else:
        sys.exit(__doc__)
