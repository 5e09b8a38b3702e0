# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Bad input: one clear line, exit code 1, nothing left behind."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import gguf
import numpy as np
import pytest

import tiny_models
from fdpp.export import main as export
from test_gguf import CONFIG, TYPES, quantised, write_gguf

SOURCE = Path(__file__).resolve().parents[2] / "python" / "src"


@pytest.fixture
def model(tmp_path):
    """A tiny Hugging Face folder to damage."""
    tiny_models.write_model("gqa", tmp_path / "hf")
    return tmp_path / "hf"


def refused(capsys, source, *arguments, output=None) -> str:
    """The one line that an export prints; it must leave nothing."""
    base = source.parent if isinstance(source, Path) else Path(output).parent
    before = sorted(base.iterdir())
    out = output or base / "out"
    assert export([str(source), "-o", str(out), *arguments]) == 1
    assert sorted(base.iterdir()) == before
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("fdpp-export: error: ")
    assert not captured.err.rstrip("\n").endswith(".")
    return captured.err


def edit_config(folder, **changes) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v != "REMOVE"}))


def test_missing_source(tmp_path, capsys):
    assert "is no Hugging Face folder" in refused(capsys, tmp_path / "nothing")


def test_missing_config(model, capsys):
    (model / "config.json").unlink()
    assert "config.json does not exist" in refused(capsys, model)


def test_config_that_is_no_json(model, capsys):
    (model / "config.json").write_text("{")
    assert "is not valid JSON" in refused(capsys, model)


def test_missing_weights(model, capsys):
    (model / "model.safetensors").unlink()
    assert "has neither model.safetensors" in refused(capsys, model)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"architectures": ["MixtralForCausalLM"]}, "architecture 'MixtralForCausalLM'"),
        ({"architectures": "REMOVE"}, "architecture None is not supported"),
        ({"architectures": {"0": 1}}, "architecture None is not supported"),
        ({"rope_theta": float("inf")}, "'rope_theta' must be a positive float"),
        ({"vocab_size": 10**12}, "'vocab_size' must be a positive int"),
        ({"torch_dtype": ["x"]}, "torch_dtype ['x'] is not supported"),
        ({"torch_dtype": "int8"}, "torch_dtype 'int8' is not supported"),
        ({"hidden_size": "REMOVE"}, "'hidden_size' is missing"),
        ({"hidden_size": "48"}, "'hidden_size' must be a positive int"),
        ({"num_hidden_layers": -2}, "'num_hidden_layers' must be a positive int"),
        ({"num_key_value_heads": 4}, "6 heads cannot share 4 key/value heads"),
        ({"hidden_size": 50}, "is no multiple of num_attention_heads"),
        ({"head_dim": 7}, "head_dim 7 is odd"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
         "rope scaling 'yarn' is not supported"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 4.0}},
         "rope_scaling: 'low_freq_factor' is missing"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4}},
         "rope scaling 'dynamic' is not supported"),
        ({"quantization_config": {"quant_method": "gptq"}},
         "quantised checkpoints are not supported"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"tie_word_embeddings": "yes"}, "'tie_word_embeddings' must be true or false"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_unsupported_configuration(model, capsys, changes, message):
    edit_config(model, **changes)
    assert message in refused(capsys, model)


def test_wrong_shape(model, capsys):
    edit_config(model, intermediate_size=81)
    assert "gate_proj.weight has shape [80, 48], the configuration asks for [81, 48]" in (
        refused(capsys, model)
    )


def test_missing_tensor(model, capsys):
    edit_config(model, num_hidden_layers=3)
    assert "tensor model.layers.2.input_layernorm.weight is missing" in refused(capsys, model)


def test_tensor_that_the_graph_does_not_know(model, capsys):
    config, dtype, _ = tiny_models.MODELS["gqa"]
    weights = tiny_models.random_weights(config, dtype, 0)
    weights["model.layers.0.self_attn.q_norm.weight"] = np.ones(8, np.float32)
    tiny_models.write_safetensors(model / "model.safetensors", weights)
    assert "q_norm.weight is no part of a Llama model" in refused(capsys, model)


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_truncated_safetensors(model, capsys, size):
    data = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(data[:size])
    assert "is truncated" in refused(capsys, model)


def test_random_safetensors(model, capsys):
    rng = np.random.default_rng(0)
    noise = (64).to_bytes(8, "little") + rng.bytes(200)
    (model / "model.safetensors").write_bytes(noise)
    assert "has a damaged safetensors header" in refused(capsys, model)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dtype": ["F32"]}, "only F32, F16 and BF16 are read"),
        ({"dtype": "F8_E4M3"}, "only F32, F16 and BF16 are read"),
        ({"shape": [48, 49]}, "has a damaged header entry"),
        ({"shape": [-48, -48]}, "has a damaged header entry"),
        ({"data_offsets": [10]}, "has a damaged header entry"),
        ({"data_offsets": [-9216, 0]}, "has a damaged header entry"),
        ({"data_offsets": [1 << 40, (1 << 40) + 9216]}, "is truncated"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_damaged_safetensors_entry(model, capsys, change, message):
    path = model / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["model.layers.0.self_attn.q_proj.weight"].update(change)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert message in refused(capsys, model)


def test_missing_and_escaping_shards(tmp_path, capsys):
    tiny_models.write_model("sharded", tmp_path / "hf")
    index = tmp_path / "hf" / "model.safetensors.index.json"
    whole = json.loads(index.read_text())
    last = tmp_path / "hf" / "model-00003-of-00003.safetensors"
    last.rename(tmp_path / "last")
    assert "cannot read" in refused(capsys, tmp_path / "hf")
    (tmp_path / "last").rename(last)
    whole["weight_map"]["model.norm.weight"] = "../last"
    index.write_text(json.dumps(whole))
    assert "is not a plain file name" in refused(capsys, tmp_path / "hf")
    whole["weight_map"]["model.norm.weight"] = last.name
    whole["weight_map"]["lost"] = last.name
    index.write_text(json.dumps(whole))
    assert "names tensor lost, which no shard holds" in refused(capsys, tmp_path / "hf")


def test_f16_overflow(model, capsys):
    config, dtype, _ = tiny_models.MODELS["gqa"]
    weights = tiny_models.random_weights(config, dtype, 0)
    weights["model.norm.weight"][3] = 70000.0
    tiny_models.write_safetensors(model / "model.safetensors", weights)
    message = refused(capsys, model, "--dtype", "f16")
    assert "tensor model.norm.weight holds 70000, which overflows f16" in message


@pytest.mark.parametrize("layers", ["0", "3", "-1"])
def test_layers_out_of_range(model, capsys, layers):
    assert "is outside 1..2" in refused(capsys, model, "--layers", layers)


def test_template_and_config_need_no_weights(tmp_path, model, capsys):
    message = refused(capsys, "llama-2-7b", output=tmp_path / "out")
    assert "give --no-weights" in message
    assert "give --no-weights" in refused(capsys, model / "config.json")


def test_unknown_flag_and_missing_output(capsys):
    assert export(["x", "-o", "y", "--no-such-flag"]) == 1
    assert export(["x"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all("see --help" in line for line in lines)


def test_foreign_output_folder_is_left_alone(model, capsys):
    out = model.parent / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert "is no former export" in refused(capsys, model, output=out)
    (out / "model.onnx").write_bytes(b"\x08\x0b\x12\x07pytorch")
    assert "is no former export" in refused(capsys, model, output=out)
    assert (out / "thesis.txt").read_text() == "years of work"
    link = model.parent / "link"
    link.symlink_to(out)
    assert "is no folder" in refused(capsys, model, output=link)
    assert "is no folder" in refused(capsys, model, output=out / "thesis.txt")
    missing = model.parent / "a" / "b"
    assert "does not exist, create it first" in refused(capsys, model, output=missing)


def test_former_export_is_replaced_and_the_rest_stays(model, capsys):
    out = model.parent / "out"
    assert export([str(model), "-o", str(out)]) == 0
    (out / "model.fdpp").mkdir()
    (out / "model.fdpp" / "engine.json").write_text("{}")
    (out / "notes.txt").write_text("keep")
    (out / "tokenizer.json").write_text("of another model")
    before = (out / "model.onnx").read_bytes()
    assert export([str(model), "-o", str(out), "--dtype", "bf16"]) == 0
    assert (out / "model.onnx").read_bytes() != before
    assert (out / "model.fdpp" / "engine.json").read_text() == "{}"
    assert (out / "notes.txt").read_text() == "keep"
    assert not (out / "tokenizer.json").exists()
    assert sorted(path.name for path in model.parent.iterdir()) == ["hf", "out"]
    assert "next: fdpp-compile " in capsys.readouterr().out.splitlines()[-1]


def test_failure_keeps_the_former_export(model, capsys):
    out = model.parent / "out"
    assert export([str(model), "-o", str(out)]) == 0
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (model / "model.safetensors").write_bytes(b"")
    refused(capsys, model)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_another_export_to_the_same_place(model, capsys):
    import fcntl

    stage = model.parent / ".out.partial"
    stage.mkdir()
    handle = os.open(stage, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert "another export is writing" in refused(capsys, model)
    os.close(handle)
    (stage / "model.onnx.data").write_bytes(b"left by a killed export")
    assert export([str(model), "-o", str(model.parent / "out")]) == 0
    assert not stage.exists()


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "fdpp.export", *map(str, arguments)]


def environment() -> dict:
    return os.environ | {"PYTHONPATH": str(SOURCE)}


def test_full_disk(model):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        command(model, "-o", model.parent / "out"), env=environment(),
        preexec_fn=limit, capture_output=True, text=True,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "cannot write" in done.stderr
    assert list(model.parent.iterdir()) == [model]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_export_leaves_nothing(tmp_path, number):
    config = tiny_models.tiny_config(hidden_size=1536, vocab_size=20000)
    tiny_models.write_hf_folder(tmp_path / "hf", config)
    process = subprocess.Popen(
        command(tmp_path / "hf", "-o", tmp_path / "out", "--dtype", "f16"),
        env=environment(), stderr=subprocess.PIPE, text=True,
        # A shell's background job, as the tests may be, has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    data = tmp_path / ".out.partial" / "model.onnx.data"
    while process.poll() is None and not data.exists():
        time.sleep(0.001)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines()[-1].endswith("interrupted, nothing was written")
    assert list(tmp_path.iterdir()) == [tmp_path / "hf"]


@pytest.mark.parametrize("size", [0, 3, 40, 5000, -4096])
def test_truncated_gguf(tmp_path, capsys, size):
    path = tmp_path / "m.gguf"
    write_gguf(path, CONFIG, quantised(CONFIG, TYPES.Q4_0)[0])
    path.write_bytes(path.read_bytes()[:size])
    assert "is truncated or not a GGUF file" in refused(capsys, path)


def test_gguf_of_another_architecture(tmp_path, capsys):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "gpt2")
    writer.add_tensor("x", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "architecture 'gpt2' is not supported" in refused(capsys, tmp_path / "m.gguf")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"add_rope_scaling_type": gguf.RopeScalingType.YARN}, "rope scaling 'yarn'"),
        ({"add_expert_count": 8}, "mixtures of experts are not supported"),
        ({"add_rope_dimension_count": 16}, "rope.dimension_count other than 32"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_unsupported_gguf(tmp_path, capsys, changes, message):
    write_gguf(tmp_path / "m.gguf", CONFIG, quantised(CONFIG, TYPES.Q4_0)[0], **changes)
    assert message in refused(capsys, tmp_path / "m.gguf")


def test_gguf_without_a_tensor(tmp_path, capsys):
    tensors, _ = quantised(CONFIG, TYPES.Q4_0)
    del tensors["model.layers.0.mlp.up_proj.weight"]
    write_gguf(tmp_path / "m.gguf", CONFIG, tensors)
    message = refused(capsys, tmp_path / "m.gguf")
    assert "tensor model.layers.0.mlp.up_proj.weight is missing" in message
