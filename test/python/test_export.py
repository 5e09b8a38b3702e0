# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exported models in onnxruntime against the float64 reference."""

import io
import json
import re

import numpy as np
import onnx
import pytest

import llama_reference
import needs
import tiny_models
from fdpp.export import main as export
from fdpp.progress import Progress
from onnx_runner import OnnxModel

# Logits of the tiny models span about 10; onnxruntime's float32 stays within
# 2e-5 of float64, and an epsilon or a rotary base wrong by a tenth or a
# hundredth shows as 4e-3 or more.
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
    needs.onnxruntime_after("1.23", "rows that see no key are NaN, and so is what follows them")
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


def test_rope_parameters_say_the_same_as_rope_scaling(tmp_path):
    config, _ = tiny_models.write_model("llama3-rope", tmp_path / "hf")
    assert export([str(tmp_path / "hf"), "-o", str(tmp_path / "a")]) == 0
    nested = config["rope_scaling"] | {"rope_theta": config["rope_theta"]}
    newer = {k: v for k, v in config.items() if k not in ("rope_theta", "rope_scaling")}
    newer |= {"rope_parameters": nested, "dtype": "float32"}
    (tmp_path / "hf" / "config.json").write_text(json.dumps(newer))
    assert export([str(tmp_path / "hf"), "-o", str(tmp_path / "b")]) == 0
    graphs = [(tmp_path / out / "model.onnx").read_bytes() for out in ("a", "b")]
    assert graphs[0] == graphs[1]


def test_two_exports_are_byte_identical(tmp_path):
    tiny_models.write_model("tied-bf16", tmp_path / "hf")
    for out in ("a", "b"):
        assert export([str(tmp_path / "hf"), "-o", str(tmp_path / out)]) == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["config.json", "model.onnx", "model.onnx.data"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_has_elapsed_time():
    stream = Terminal()
    with Progress(200, stream) as progress:
        progress.advance(50, "model.norm.weight")
    assert re.search(r"\[ +\d+\.\d s\]  25 % model\.norm\.weight", stream.getvalue())
    assert stream.getvalue().endswith("\r\x1b[K")


def test_nothing_but_the_result_in_a_pipe(tmp_path, capsys):
    tiny_models.write_model("gqa", tmp_path / "hf")
    assert export([str(tmp_path / "hf"), "-o", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines() == [
        f"wrote {tmp_path}/out: 2 layers, 0.2 MB of weights",
        f"next: fdpp-compile {tmp_path}/out/model.onnx",
    ]
