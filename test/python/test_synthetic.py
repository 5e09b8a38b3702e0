# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Engines of graphs without weights, against onnxruntime on the same weights.

The weights are made here after docs/engine-format.md, and again by
fdpp-compile."""

import itertools
import math
import subprocess
import sys

import needs
import numpy as np
import pytest
import tiny_models
from compiler import RUN, compile_model
from fdpp.config import config_from_hf
from fdpp.export import main as export
from fdpp.tensors import expected_shapes
from onnx_runner import OnnxModel

pytestmark = needs.tools("fdpp-compile", "fdpp-run")

TOKENS = [5, 90, 17, 17, 42, 3, 96, 0, 61, 8]


def seeded(seed: int, shape: tuple) -> np.ndarray:
    """The tensor of #fdpp.seeded<seed>, in float32."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed + 1) * np.uint64(0xD1342543DE82EF95)
        z = z + np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = ((z >> np.uint64(40)).astype(np.int64) - 2**23).astype(np.float32)
    u *= np.float32(2.0**-23)
    if len(shape) == 1:
        return np.float32(1) + np.float32(1 / 16) * u
    return (np.sqrt(np.float32(3) / np.float32(shape[-1])) * u).reshape(shape)


@pytest.fixture(scope="module")
def hf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "hf"
    config = tiny_models.tiny_config()
    return folder, config, tiny_models.write_hf_folder(folder, config)


def logits_of_engine(model, out, *options) -> np.ndarray:
    result = compile_model(model, "-o", out, "--dtype=f32", *options)
    assert result.returncode == 0, result.stderr
    file = out.parent / "logits.npy"
    subprocess.run(
        [RUN, out, "--tokens", ",".join(map(str, TOKENS)), "-n", "0", "--logits", file],
        check=True, capture_output=True,
    )
    return np.load(file)


def logits_of_seeds(config, weights, first_seed, folder) -> np.ndarray:
    """onnxruntime's, with the seeds of all that is None counted in the order of
    the weights."""
    seeds = itertools.count(first_seed)
    shapes = expected_shapes(config_from_hf(config, "config.json"))
    weights = {
        name: seeded(next(seeds), shape) if weights[name] is None else weights[name]
        for name, shape in shapes.items()
    }
    tiny_models.write_hf_folder(folder / "seeded", config)
    tiny_models.write_safetensors(folder / "seeded" / "model.safetensors", weights)
    assert export([str(folder / "seeded"), "-o", str(folder / "seeded-onnx")]) == 0
    return OnnxModel(folder / "seeded-onnx").logits(TOKENS)


def close(a, b) -> bool:
    return np.abs(a - b).max() < 1e-4 * np.abs(b).max()


def test_an_export_without_weights_runs(hf, tmp_path):
    source, config, weights = hf
    out = tmp_path / "onnx"
    assert export([str(source), "-o", str(out), "--no-weights"]) == 0
    logits = logits_of_engine(out / "model.onnx", tmp_path / "a")
    assert np.isfinite(logits).all() and logits.std() > 0.1
    assert close(logits, logits_of_seeds(config, dict.fromkeys(weights), 1, tmp_path))
    again = logits_of_engine(out / "model.onnx", tmp_path / "b")
    assert np.array_equal(logits, again)


def test_synthetic_weights_replace_those_of_the_model(hf, tmp_path):
    """All but tensors of up to 1 KiB, which import makes constants."""
    source, config, weights = hf
    large = {name: None if w.nbytes > 1024 else w for name, w in weights.items()}
    out = tmp_path / "onnx"
    assert export([str(source), "-o", str(out)]) == 0
    logits = logits_of_engine(out / "model.onnx", tmp_path / "a", "--synthetic-weights=7")
    assert close(logits, logits_of_seeds(config, large, (7 << 32) + 1, tmp_path))
    other = logits_of_engine(out / "model.onnx", tmp_path / "b", "--synthetic-weights=8")
    assert not close(logits, other)


def test_an_engine_travels_without_its_weights(hf, tmp_path):
    assert export([str(hf[0]), "-o", str(tmp_path / "onnx"), "--no-weights"]) == 0
    engine, there = tmp_path / "engine", tmp_path / "there"
    result = compile_model(tmp_path / "onnx" / "model.onnx", "-o", engine, "--dtype=bf16",
                           "--synthetic-weights", "3")
    assert result.returncode == 0, result.stderr
    script = needs.ROOT / "utils" / "without_weights.py"
    subprocess.run([sys.executable, script, "take", engine, there], check=True)
    weights = engine / "weights.safetensors"
    assert sum(f.stat().st_size for f in there.glob("weights.*")) < weights.stat().st_size / 8
    subprocess.run([sys.executable, script, "fill", there], check=True)
    filled = there / "weights.safetensors"
    assert filled.stat().st_size == weights.stat().st_size
    assert filled.read_bytes() != weights.read_bytes()
    file = tmp_path / "logits.npy"
    subprocess.run([RUN, there, "--tokens", "1,2,3", "-n", "0", "--logits", file], check=True,
                   capture_output=True)
    logits = np.load(file)
    assert np.isfinite(logits).all() and logits.std() > 0
