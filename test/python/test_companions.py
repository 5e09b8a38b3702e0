# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tokenizer, chat template and licence files beside an exported model."""

import json

import pytest

import tiny_models
from fdpp.export import main as export
from test_gguf import CONFIG, TYPES, quantised, write_gguf

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Sorting messages is beyond the runtime's form.
ODD = "{% for message in messages | sort(attribute='content') %}{{ message['content'] }}{% endfor %}"


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


@pytest.mark.parametrize("place", ["jinja file", "config text", "config list"])
def test_chat_form_from_each_place(model, place):
    config = {"eos_token": "<|im_end|>"}
    if place == "jinja file":
        (model / "chat_template.jinja").write_text(CHATML)
    elif place == "config text":
        config["chat_template"] = CHATML
    else:
        other = {"name": "tool_use", "template": ODD}
        config["chat_template"] = [other, {"name": "default", "template": CHATML}]
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    form = json.loads(exported(model)["chat.json"])
    assert form["format"] == 1
    assert form["user"]["prefix"] == "<|im_start|>user\n"
    assert form["generation_prompt"] == "<|im_start|>assistant\n"


def test_template_without_a_form_is_said(model, capsys):
    (model / "chat_template.jinja").write_text(ODD)
    assert "chat.json" not in exported(model)
    error = capsys.readouterr().err
    assert error.startswith("fdpp-export: warning: no chat.json: ")
    assert error.count("\n") == 1


def test_damaged_tokenizer_config(model, capsys):
    (model / "tokenizer_config.json").write_text("{")
    assert export([str(model), "-o", str(model.parent / "out")]) == 1
    assert "tokenizer_config.json is not valid JSON" in capsys.readouterr().err
    assert not (model.parent / "out").exists()


def gguf_with(tmp_path, **fields):
    metadata = {
        "add_tokenizer_model": "gpt2",
        "add_tokenizer_pre": "smollm",
        "add_token_list": ["a", "b", "ab", "<|im_start|>", "<|im_end|>"],
        "add_token_types": [1, 1, 1, 3, 3],
        "add_token_merges": ["a b"],
        "add_bos_token_id": 3,
        "add_eos_token_id": 4,
        "add_chat_template": CHATML,
    } | fields
    path = tmp_path / "m.gguf"
    write_gguf(path, CONFIG, quantised(CONFIG, TYPES.Q4_0)[0], **metadata)
    return path


def test_gguf_brings_tokenizer_chat_and_special_ids(tmp_path, capsys):
    files = exported(gguf_with(tmp_path))
    assert capsys.readouterr().err == ""
    assert {"tokenizer.json", "tokenizer_config.json", "chat.json"} < files.keys()
    assert json.loads(files["tokenizer.json"])["model"]["vocab"]["ab"] == 2
    ids = json.loads(files["generation_config.json"])
    assert ids == {"bos_token_id": 3, "eos_token_id": 4}
    assert json.loads(files["chat.json"])["user"]["suffix"] == "<|im_end|>\n"


def test_gguf_with_unknown_tokenizer_exports_for_token_ids(tmp_path, capsys):
    files = exported(gguf_with(tmp_path, add_tokenizer_pre="martian", add_chat_template=ODD))
    assert "tokenizer.json" not in files
    error = capsys.readouterr().err
    assert "warning: no tokenizer files: GGUF pre-tokenizer 'martian'" in error
    assert "engines will need --tokens" in error
