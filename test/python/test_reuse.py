# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--reuse: other weights in the kernels of an engine that is there."""

import json
import shutil
import subprocess
from pathlib import Path

import needs
import pytest
import tiny_models
from compiler import RUN, check_engine, compile_model, fails
from fdpp.export import main as export

pytestmark = needs.tools("fdpp-compile", "fdpp-run")


def exported_model(folder: Path, seed: int, **changes) -> Path:
    config = tiny_models.tiny_config(**changes)
    tiny_models.write_hf_folder(folder / "hf", config, seed=seed)
    assert export([str(folder / "hf"), "-o", str(folder / "onnx")]) == 0
    return folder / "onnx" / "model.onnx"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """An engine of the weights of seed 1."""
    folder = tmp_path_factory.mktemp("base")
    result = compile_model(exported_model(folder, 1), "-o", folder / "engine", "--arch=x86-64")
    assert result.returncode == 0, result.stderr
    return folder / "engine"


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """The same graph with other weights."""
    return exported_model(tmp_path_factory.mktemp("other"), 2)


NO_COMPILER = {"FDPP_CXX": "/bin/false", "PATH": "/nowhere"}


def reuse(model, engine, output, *options, arch="x86-64"):
    return compile_model(model, f"--reuse={engine}", "-o", output, f"--arch={arch}", *options,
                         environment=NO_COMPILER)


def generated(engine: Path) -> list:
    done = subprocess.run([RUN, engine, "--tokens", "5,6,7", "-n", "20", "--json"],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["results"]


def test_other_weights_without_a_compiler(base, other, tmp_path):
    result = reuse(other, base, tmp_path / "reused")
    assert result.returncode == 0, result.stderr
    fresh = compile_model(other, "-o", tmp_path / "fresh", "--arch=x86-64", "--no-cache")
    assert fresh.returncode == 0, fresh.stderr
    manifest, same = check_engine(tmp_path / "reused"), check_engine(tmp_path / "fresh")
    assert manifest["files"] == same["files"]  # every byte, by SHA-256
    for key in ("inputs",):  # how it was made, for 'up to date'
        assert manifest.pop(key) != same.pop(key)
    assert manifest == same
    assert generated(tmp_path / "reused") == generated(tmp_path / "fresh")
    assert generated(tmp_path / "reused") != generated(base)
    again = reuse(other, base, tmp_path / "reused")
    assert "up to date" in again.stdout


def test_in_its_own_place(base, other, tmp_path):
    engine = tmp_path / "engine"
    shutil.copytree(base, engine)
    result = reuse(other, engine, engine)
    assert result.returncode == 0, result.stderr
    assert generated(engine) != generated(base)


@pytest.mark.parametrize("options, text", [
    (["--dtype=f32"], "was compiled with --dtype=bf16, and this is --dtype=f32"),
    (["--page-tokens=32"], "with --page-tokens=64, and this is --page-tokens=32"),
    (["--max-context=99"], "was compiled without --max-context, and this is --max-context=99"),
    (["--taps"], "was compiled without --taps, and this is --taps"),
], ids=["dtype", "page", "context", "taps"])
def test_other_options(base, other, tmp_path, options, text):
    fails(reuse(other, base, tmp_path / "out", *options), text)
    assert not (tmp_path / "out").exists()


def test_another_arch(base, other, tmp_path):
    fails(reuse(other, base, tmp_path / "out", arch="x86-64-v2"),
          "was compiled with --arch=x86-64, and this is --arch=x86-64-v2")


@pytest.mark.parametrize("changes, text", [
    ({"num_hidden_layers": 3}, "has layers 2, and this model 3"),
    ({"hidden_size": 96}, "has hidden_size 48, and this model 96"),
    ({"num_key_value_heads": 3}, "has kv_heads 2, and this model 3"),
    ({"vocab_size": 101}, "has vocab_size 97, and this model 101"),
    ({"max_position_embeddings": 128}, "has max_context 256, and this model 128"),
    ({"intermediate_size": 96}, "is of another graph: line "),
    ({"rms_norm_eps": 1e-3}, "is of another graph: line "),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else None)
def test_other_graphs(base, tmp_path, changes, text):
    model = exported_model(tmp_path, 1, **changes)
    result = reuse(model, base, tmp_path / "out")
    fails(result, text)
    assert result.stderr.startswith(f"fdpp-compile: --reuse={base}: ")
    assert result.stderr.endswith("; compile without --reuse\n")
    assert not (tmp_path / "out").exists()


def test_engines_that_cannot_be_reused(base, other, tmp_path):
    engine = tmp_path / "engine"
    run = lambda: reuse(other, engine, tmp_path / "out")
    fails(run(), "is no engine")
    shutil.copytree(base, engine)
    manifest = (base / "engine.json").read_text()

    def put(key, value):
        changed = json.loads(manifest)
        changed[key[0]][key[1]] = value
        (engine / "engine.json").write_text(json.dumps(changed))

    put(("format", "minor"), 99)
    fails(run(), "has engine format 1.99, and this compiler writes 1.")
    put(("versions", "product"), "0.0.1")
    fails(run(), "is of fdpp 0.0.1, and this is ")
    put(("versions", "kernels"), "0" * 64)
    fails(run(), "was compiled with other kernel headers")
    (engine / "engine.json").write_text(manifest[:-9])
    fails(run(), "its engine.json is damaged")
    (engine / "engine.json").write_text(manifest)
    with open(engine / "model.so", "ab") as file:
        file.write(b"\0")
    fails(run(), "its model.so is not the one it was written with")
    assert not (tmp_path / "out").exists()
