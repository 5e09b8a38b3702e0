# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exported models in onnxruntime against the float64 reference."""

import numpy as np
import onnx
import pytest

import llama_reference
import tiny_models
from fdpp.export import main as export
from onnx_runner import OnnxModel

# Logits of the tiny models are of order 10; float32 keeps them this close to
# float64, and the smallest fault of the graph is a thousand times larger.
TOLERANCE = 2e-4

TOKENS = [int(t) for t in np.random.default_rng(7).integers(0, 97, 23)]


@pytest.fixture(scope="module", params=sorted(tiny_models.MODELS))
def exported(request, tmp_path_factory):
    """(config, weights, folder of the export) of each tiny model."""
    base = tmp_path_factory.mktemp(request.param)
    config, weights = tiny_models.write_model(request.param, base / "hf", seed=3)
    assert export([str(base / "hf"), "-o", str(base / "out")]) == 0
    return config, weights, base / "out"


def test_logits_match_reference(exported):
    config, weights, folder = exported
    expected = llama_reference.forward(config, weights, TOKENS)
    assert np.ptp(expected) > 5
    error = np.abs(OnnxModel(folder).logits(TOKENS) - expected).max()
    assert error < TOLERANCE


@pytest.mark.parametrize("chunks", [[1] * 23, [5, 1, 10, 7], [22, 1]], ids=str)
def test_any_split_gives_the_same_logits(exported, chunks):
    config, weights, folder = exported
    expected = llama_reference.forward(config, weights, TOKENS)
    error = np.abs(OnnxModel(folder).logits(TOKENS, chunks) - expected).max()
    assert error < TOLERANCE


def test_left_padded_batch_equals_single_sequences(exported):
    config, weights, folder = exported
    sequences = [TOKENS, TOKENS[4:13]]
    width = len(TOKENS)
    ids, mask, positions = (np.zeros((2, width), np.int64) for _ in range(3))
    for row, sequence in enumerate(sequences):
        begin = width - len(sequence)
        ids[row, begin:] = sequence
        mask[row, begin:] = 1
        positions[row, begin:] = np.arange(len(sequence))
    model = OnnxModel(folder)
    logits, _ = model.step(ids, mask, positions, model.empty_cache(2))
    for row, sequence in enumerate(sequences):
        expected = llama_reference.forward(config, weights, sequence)
        assert np.abs(logits[row, width - len(sequence) :] - expected).max() < TOLERANCE


def test_initializers_keep_source_type_layout_and_alignment(exported):
    config, weights, folder = exported
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    data = (folder / "model.onnx.data").read_bytes()
    external = {}
    for tensor in model.graph.initializer:
        if tensor.external_data:
            external[tensor.name] = tensor
    assert external.keys() == weights.keys()
    for name, tensor in external.items():
        place = {entry.key: entry.value for entry in tensor.external_data}
        begin = int(place["offset"])
        assert place["location"] == "model.onnx.data" and begin % 4096 == 0
        assert tuple(tensor.dims) == weights[name].shape
        assert tensor.data_type == onnx.helper.np_dtype_to_tensor_dtype(weights[name].dtype)
        assert data[begin : begin + int(place["length"])] == weights[name].tobytes()
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": 23}


@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
def test_dtype_converts_to_nearest(tmp_path, dtype):
    config, weights = tiny_models.write_model("gqa", tmp_path / "hf")
    assert export([str(tmp_path / "hf"), "-o", str(tmp_path / "out"), "--dtype", dtype]) == 0
    kind = tiny_models.DTYPES[dtype][1]
    rounded = {name: array.astype(kind) for name, array in weights.items()}
    size = sum(-(-array.nbytes // 4096) * 4096 for array in rounded.values())
    assert 0 <= size - (tmp_path / "out" / "model.onnx.data").stat().st_size < 4096
    expected = llama_reference.forward(config, rounded, TOKENS)
    error = np.abs(OnnxModel(tmp_path / "out").logits(TOKENS) - expected).max()
    assert error < TOLERANCE


def test_layers_cuts_the_model_down(tmp_path):
    config, weights = tiny_models.write_model("f16", tmp_path / "hf")
    assert export([str(tmp_path / "hf"), "-o", str(tmp_path / "out"), "--layers", "1"]) == 0
    expected = llama_reference.forward(config | {"num_hidden_layers": 1}, weights, TOKENS)
    error = np.abs(OnnxModel(tmp_path / "out").logits(TOKENS) - expected).max()
    assert error < TOLERANCE


def test_two_exports_are_byte_identical(tmp_path):
    tiny_models.write_model("tied-bf16", tmp_path / "hf")
    for out in ("a", "b"):
        assert export([str(tmp_path / "hf"), "-o", str(tmp_path / out)]) == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["config.json", "model.onnx", "model.onnx.data"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
