# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""GGUF files that lie, most of them found by test/fuzz: one line each, at once."""

import struct

import gguf
import numpy as np
import pytest

from fdpp.errors import UserError
from fdpp.export import main as export
from fdpp.gguf_layout import check_layout
from fdpp.gguf_source import read
from test_export_errors import refused
from test_gguf import CONFIG, TYPES, quantised, write_gguf

KINDS = gguf.GGUFValueType


def text(value: str | bytes) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value)) + value


def field(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(kind: int, count: int, values: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + values


def tensor(name="x", shape=(4,), kind=0, offset=0) -> bytes:
    return (text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
            + struct.pack("<IQ", kind, offset))


def file_of(fields=(), tensors=(), data=b"", version=3) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(fields))
    content = head + b"".join(fields) + b"".join(tensors)
    return content + bytes(-len(content) % 32) + data


HUGE = 1 << 60
DAMAGED = {
    # gguf-py would count to the end of these, and never come there.
    "array of bytes": file_of([field("a", KINDS.ARRAY, array(KINDS.UINT8, HUGE))]),
    "array of strings": file_of([field("a", KINDS.ARRAY, array(KINDS.STRING, HUGE))]),
    "array of arrays": file_of([field("a", KINDS.ARRAY, array(KINDS.ARRAY, HUGE))]),
    "string": file_of([field("a", KINDS.STRING, struct.pack("<Q", HUGE))]),
    "many fields": b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE),
    "many tensors": b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0),
    "unknown kind": file_of([field("a", 99, b"")]),
    "name not utf-8": file_of([field(b"\xff", KINDS.UINT8, b"\0")]),
    "no alignment": file_of([field("general.alignment", KINDS.UINT32, bytes(4))]),
    "odd alignment": file_of([field("general.alignment", KINDS.UINT32, b"\x03\0\0\0")]),
    "alignment as text": file_of([field("general.alignment", KINDS.STRING, text("32"))]),
    "no rank": file_of([], [tensor(shape=())]),
    "rank": file_of([], [tensor(shape=(1,) * 5)]),
    "no elements": file_of([], [tensor(shape=(0, 4))]),
    "part of a block": file_of([], [tensor(shape=(33,), kind=TYPES.Q8_0)], bytes(128)),
    "offset": file_of([], [tensor(offset=HUGE)], bytes(16)),
    "odd offset": file_of([], [tensor(offset=1)], bytes(64)),
    "size": file_of([], [tensor(shape=(HUGE, HUGE, HUGE))], bytes(16)),
    "one byte short": file_of([], [tensor()], bytes(15)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_refused_at_once(tmp_path, content):
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(UserError, match="is truncated or not a GGUF file$"):
        read(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    "content, message",
    [
        (file_of(version=1), "GGUF version 1 is not read, only 2 and 3"),
        (file_of(version=3 << 24), "little-endian"),
        (file_of([field("a", KINDS.UINT8, b"\0")] * 2), "metadata 'a' is there twice"),
        (file_of([], [tensor(kind=999)]), "tensor 'x' has a type"),
    ],
    ids=["version 1", "big-endian", "twice", "type"],
)
def test_refused_with_a_reason(tmp_path, content, message):
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "m.gguf")


def test_whole_file_passes(tmp_path):
    (tmp_path / "m.gguf").write_bytes(file_of([], [tensor()], bytes(16)))
    check_layout(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    "add, value, message",
    [
        ("add_string", "eight", "GGUF field llama.block_count is no integer"),
        ("add_float32", 1.5, "GGUF field llama.block_count is no integer"),
        ("add_uint64", 1 << 40, "metadata llama.block_count is 1099511627776"),
        ("add_uint32", (1 << 31) - 1, "2147483647 layers are not supported, at most 4096"),
        ("add_array", [1, 2], "GGUF field llama.block_count is no integer"),
    ],
)
def test_metadata_of_another_type(tmp_path, capsys, monkeypatch, add, value, message):
    writer = gguf.GGUFWriter
    monkeypatch.setattr(writer, "add_block_count", lambda self, count: getattr(self, add)(
        "llama.block_count", value))
    write_gguf(tmp_path / "m.gguf", CONFIG, quantised(CONFIG, TYPES.F16)[0])
    assert message in refused(capsys, tmp_path / "m.gguf")


def test_metadata_that_is_no_number(tmp_path, capsys):
    write_gguf(tmp_path / "m.gguf", CONFIG | {"rms_norm_eps": float("nan")},
               quantised(CONFIG, TYPES.F16)[0])
    assert "layer_norm_rms_epsilon is nan" in refused(capsys, tmp_path / "m.gguf")


def test_embedding_that_is_no_matrix(tmp_path, capsys):
    tensors, _ = quantised(CONFIG, TYPES.F16)
    tensors["model.embed_tokens.weight"] = (np.zeros(97, np.float16), TYPES.F16)
    write_gguf(tmp_path / "m.gguf", CONFIG, tensors)
    assert "token_embd.weight is no matrix" in refused(capsys, tmp_path / "m.gguf")


def test_names_reach_the_terminal_as_escapes(tmp_path, capsys):
    tensors, _ = quantised(CONFIG, TYPES.F16)
    tensors["model.norm.x\x1b[2J\nerror: none"] = (np.zeros(4, np.float32), TYPES.F32)
    write_gguf(tmp_path / "m.gguf", CONFIG, tensors)
    assert r"x\x1b[2J\nerror: none" in refused(capsys, tmp_path / "m.gguf")


def test_a_token_of_any_length_takes_no_time(tmp_path, capsys):
    """Its merges would take the square of that."""
    path = tmp_path / "m.gguf"
    words = {"add_tokenizer_model": "llama", "add_token_list": ["a" * 2_000_000, "b"],
             "add_token_scores": [0.0, 1.0]}
    write_gguf(path, CONFIG, quantised(CONFIG, TYPES.F16)[0], **words)
    assert export([str(path), "-o", str(tmp_path / "out")]) == 0
    assert "a token of 2000000 characters" in capsys.readouterr().err


def test_infinite_scales_do_not_speak(tmp_path, capsys, recwarn):
    tensors, _ = quantised(CONFIG, TYPES.Q8_0)
    name = "model.layers.0.self_attn.v_proj.weight"
    tensors[name] = (np.zeros_like(tensors[name][0]), TYPES.Q8_0)
    tensors[name][0][:, 1] = 0x7C  # times zeros
    write_gguf(tmp_path / "m.gguf", CONFIG, tensors)
    assert export([str(tmp_path / "m.gguf"), "-o", str(tmp_path / "out")]) == 0
    assert not recwarn.list
