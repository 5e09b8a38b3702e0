# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tokenizer and licence files beside an exported model."""

import json

import pytest

import tiny_models
from fdpp.export import main as export
from test_gguf import CONFIG, TYPES, quantised, write_gguf


@pytest.fixture
def model(tmp_path):
    tiny_models.write_model("one-layer", tmp_path / "hf")
    return tmp_path / "hf"


def exported(source) -> dict[str, bytes]:
    out = source.parent / "out"
    assert export([str(source), "-o", str(out)]) == 0
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    return {name: data for name, data in files.items() if "model.onnx" not in name}


def test_files_keep_names_and_bytes(model):
    names = ["tokenizer.json", "special_tokens_map.json", "generation_config.json",
             "LICENSE", "LICENSE.txt", "NOTICE", "tokenizer.model"]
    for name in names:
        (model / name).write_bytes(b"{} " + name.encode())
    (model / "pytorch_model.bin").write_bytes(b"not wanted")
    files = exported(model)
    assert files.keys() == {*names, "config.json"}
    assert all(files[name] == b"{} " + name.encode() for name in names)
    assert files["config.json"] == (model / "config.json").read_bytes()


def gguf_with(tmp_path, **fields):
    metadata = {
        "add_tokenizer_model": "gpt2",
        "add_tokenizer_pre": "smollm",
        "add_token_list": ["a", "b", "ab", "<|im_start|>", "<|im_end|>"],
        "add_token_types": [1, 1, 1, 3, 3],
        "add_token_merges": ["a b"],
        "add_bos_token_id": 3,
        "add_eos_token_id": 4,
    } | fields
    path = tmp_path / "m.gguf"
    write_gguf(path, CONFIG, quantised(CONFIG, TYPES.Q4_0)[0], **metadata)
    return path


def test_gguf_brings_tokenizer_and_special_ids(tmp_path, capsys):
    files = exported(gguf_with(tmp_path))
    assert capsys.readouterr().err == ""
    assert {"tokenizer.json", "tokenizer_config.json"} < files.keys()
    assert json.loads(files["tokenizer.json"])["model"]["vocab"]["ab"] == 2
    ids = json.loads(files["generation_config.json"])
    assert ids == {"bos_token_id": 3, "eos_token_id": 4}


def test_gguf_with_unknown_tokenizer_exports_for_token_ids(tmp_path, capsys):
    files = exported(gguf_with(tmp_path, add_tokenizer_pre="martian"))
    assert "tokenizer.json" not in files
    error = capsys.readouterr().err
    assert "warning: no tokenizer files: GGUF pre-tokenizer 'martian'" in error
    assert "engines will need --tokens" in error
