# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports without weights: templates, config.json and folders."""

import json
import math

import onnx
import pytest

import tiny_models
from fdpp.config import config_from_hf
from fdpp.export import main as export
from fdpp.geometry import TEMPLATES
from fdpp.graph import SEEDED_LOCATION
from fdpp.tensors import expected_shapes

# Published sizes in units of 10^9 parameters; a tied embedding counts once.
PARAMETERS = {
    "llama-2-7b": 6.738,
    "llama-2-13b": 13.016,
    "codellama-34b": 33.744,
    "llama-3-8b": 8.030,
    "llama-3.2-1b": 1.236,
    "yi-6b": 6.061,
    "yi-34b": 34.389,
    "smollm2-135m": 0.1345,
}


def external(folder) -> dict[str, tuple]:
    """Name -> (shape, type, external entries) of weights without bytes."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    return {
        tensor.name: (
            tuple(tensor.dims),
            tensor.data_type,
            {entry.key: entry.value for entry in tensor.external_data},
        )
        for tensor in model.graph.initializer
        if tensor.external_data
    }


def test_every_template_is_listed():
    assert PARAMETERS.keys() == TEMPLATES.keys()


@pytest.mark.parametrize("name", PARAMETERS)
def test_template_has_the_published_size(name):
    shapes = expected_shapes(config_from_hf(TEMPLATES[name], name))
    count = sum(math.prod(shape) for shape in shapes.values())
    assert abs(count / 1e9 / PARAMETERS[name] - 1) < 1e-3


def test_seven_billion_without_weights(tmp_path):
    assert export(["llama-2-7b", "-o", str(tmp_path / "out"), "--no-weights"]) == 0
    files = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert files.keys() == {"config.json", "model.onnx"}
    assert files["model.onnx"] < 300_000
    weights = external(tmp_path / "out")
    assert len(weights) == 32 * 9 + 3
    seeds = [entries["offset"] for _, _, entries in weights.values()]
    assert seeds == [str(seed) for seed in range(1, len(weights) + 1)]
    for shape, kind, entries in weights.values():
        assert entries["location"] == SEEDED_LOCATION
        assert kind == onnx.TensorProto.FLOAT16
        assert int(entries["length"]) == 2 * math.prod(shape)


def test_size_does_not_depend_on_widths(tmp_path):
    sizes = []
    for factor in (1, 64):
        config = tiny_models.tiny_config(hidden_size=48 * factor, head_dim=8 * factor)
        path = tmp_path / f"{factor}.json"
        path.write_text(json.dumps(config))
        out = tmp_path / str(factor)
        assert export([str(path), "-o", str(out), "--no-weights"]) == 0
        sizes.append((out / "model.onnx").stat().st_size)
    # Extents and inv_freq [head_dim / 2] are longer, nothing else.
    assert sizes[1] - sizes[0] < 4 * 4 * 63 + 500


def test_same_graph_as_with_weights(tmp_path):
    config, weights = tiny_models.write_model("biases", tmp_path / "hf")
    source = str(tmp_path / "hf")
    assert export([source, "-o", str(tmp_path / "with")]) == 0
    assert export([source, "-o", str(tmp_path / "without"), "--no-weights"]) == 0
    graphs = [
        onnx.load(tmp_path / name / "model.onnx", load_external_data=False).graph
        for name in ("with", "without")
    ]
    assert graphs[0].node == graphs[1].node
    assert external(tmp_path / "without").keys() == weights.keys()


def test_dtype_and_layers_apply(tmp_path):
    out = tmp_path / "out"
    arguments = ["--no-weights", "--layers", "2", "--dtype", "f32"]
    assert export(["llama-3.2-1b", "-o", str(out), *arguments]) == 0
    weights = external(out)
    assert len(weights) == 2 * 9 + 2
    assert {kind for _, kind, _ in weights.values()} == {onnx.TensorProto.FLOAT}
    assert json.loads((out / "config.json").read_text())["num_hidden_layers"] == 2
