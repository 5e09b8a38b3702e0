# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Write small binary ONNX models, by the wire format alone, into a folder."""
import pathlib
import random
import sys


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name, dtype, dims, raw, extra=b""):
    body = b"".join(number(1, d) for d in dims) + number(2, dtype)
    return body + block(8, name) + extra + block(9, raw)


def value(name):
    return block(1, name)


def model(initializers, outputs, nodes=b"", extra=b""):
    graph = nodes + block(2, "g")
    graph += b"".join(block(5, t) for t in initializers)
    graph += b"".join(block(12, value(o)) for o in outputs)
    return number(1, 11) + block(7, graph) + block(8, number(2, 23)) + extra


def nested(depth):
    """An If in an If in an If ..."""
    graph = block(2, "leaf")
    for _ in range(depth):
        attribute = block(1, "then_branch") + block(6, graph) + number(20, 5)
        node = block(2, "y") + block(4, "If") + block(5, attribute)
        graph = block(1, node) + block(2, "g")
    return number(1, 11) + block(7, graph) + block(8, number(2, 23))


folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
big = bytes(range(256)) * 8  # 2048 bytes: stays in the file
small = b"\0\0\x80\x3f" * 2
forged = number(50001, 0) + number(50002, 8)
good = model(
    [tensor("big", 1, [16, 32], big), tensor("small", 1, [2], small, forged)],
    ["big", "small"],
)
(folder / "good.onnx").write_bytes(good)
print(good.index(big))
(folder / "empty.onnx").write_bytes(b"")
(folder / "random.onnx").write_bytes(random.Random(7).randbytes(4096))
(folder / "nested.onnx").write_bytes(nested(60))
short = model([tensor("big", 1, [16, 33], big)], ["big"])
(folder / "shape.onnx").write_bytes(short)
for cut in range(0, len(good), 113):
    (folder / f"cut{cut}.onnx").write_bytes(good[:cut])
