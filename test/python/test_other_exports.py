# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports of torch and optimum (test/forms) mean what onnxruntime computes; what
is not understood is refused with one list, by the nodes' names."""

import sys
from pathlib import Path

import needs
import numpy as np
import onnx
import pytest
from onnx import helper

sys.path.append(str(Path(__file__).resolve().parents[1] / "forms"))
import forms  # noqa: E402

pytestmark = needs.tools("fdpp-opt", "fdpp-translate", "fdpp-compile", "fdpp-run")
needs.module("onnxruntime")

ENGINES = ["torch18/gqa", "torch24/biases", "torch18-cache/mqa-llama3", "torch23-cache/f16",
           "torch23-functions/gqa", "hf4-torch18-cache/eager", "optimum/mha-tied",
           "torch18-static/mqa-128", "torch18-static/f16-128", "torch23-static/cache-128"]


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> dict[str, forms.Form]:
    return {form.name: form for form in forms.unpack(tmp_path_factory.mktemp("forms"))}


@pytest.mark.parametrize("name", [f"{family}/{variant}" for family, variant in forms.listing()])
def test_raised_step_means_the_graph(name, unpacked, tmp_path):
    form = unpacked[name]
    expected, _ = forms.reference(form)
    found = forms.run_raised(form.model, form.tokens, tmp_path)
    assert forms.error_of(found, expected) <= forms.BOUNDS[form.info["dtype"]]


@pytest.mark.parametrize("name", ENGINES)
def test_engine_computes_the_graph(name, unpacked, tmp_path):
    form = unpacked[name]
    expected, _ = forms.reference(form)
    bound = max(forms.BOUNDS[form.info["dtype"]], 1e-4)
    for prefill in (len(form.tokens), 1, 6):
        found = forms.run_engine(form.model, form.tokens, tmp_path, prefill=prefill)
        assert forms.error_of(found, expected) <= bound, f"prefill of {prefill}"


@pytest.mark.parametrize("name", ["torch18-cache/gqa", "hf4-torch23-cache/gqa",
                                  "optimum/mqa-llama3"])
def test_every_pass_keeps_the_meaning(name, unpacked, tmp_path):
    form = unpacked[name]
    imported = form.folder / "import.mlir"
    forms.call(forms.BIN / "fdpp-translate", "--import-onnx", form.model, "-o", imported)
    forms.call(forms.BIN / "fdpp-opt", imported, *forms.RAISE, "--fdpp-check-each", "--fdpp-check-round=f32",
               "-o", tmp_path / "raised.mlir")


def change(form: forms.Form, file: Path, edit) -> Path:
    model = onnx.load(form.model)
    edit(model.graph)
    onnx.save(model, file)
    return file


def refusal(model: Path, work: Path) -> str:
    with pytest.raises(forms.Refused) as reason:
        forms.run_raised(model, [1, 2, 3], work)
    return str(reason.value)


def is_table(tensor, kind: int, columns: int) -> bool:
    return tensor.data_type == kind and list(tensor.dims) == [1, 1, 128, columns]


@pytest.mark.parametrize("kind, columns, reason", [
    (onnx.TensorProto.BOOL, 128, "mask"), (onnx.TensorProto.FLOAT, 64, "onnx.Neg")])
def test_every_element_of_a_table_counts(kind, columns, reason, unpacked, tmp_path):
    def last_element(graph):
        for tensor in graph.initializer:
            if is_table(tensor, kind, columns):
                values = onnx.numpy_helper.to_array(tensor).copy()
                last = values[0, 0, 127]
                last[columns - 1] = not last[columns - 1] if kind == 9 else (
                    last[columns - 1] + 1e-4)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    form = unpacked["torch18-static/mqa-128"]
    text = refusal(change(form, tmp_path / "model.onnx", last_element), tmp_path / "work")
    assert reason in text


def test_position_ids_choose_rows_of_tables(unpacked, tmp_path):
    def gathered(graph):
        angles = np.arange(64)[:, None] * 1000.0 ** -(np.arange(8) % 4 / 4)
        for node in graph.node:
            if node.op_type in ("Cos", "Sin"):
                wave = getattr(np, node.op_type.lower())(angles).astype(np.float32)
                graph.initializer.append(onnx.numpy_helper.from_array(wave, node.op_type))
                node.CopyFrom(helper.make_node(
                    "Gather", [node.op_type, "position_ids"], list(node.output), node.name))

    form = unpacked["torch18-cache/gqa"]
    model = change(form, tmp_path / "model.onnx", gathered)
    expected = forms.run_onnx(model, form.tokens, forms.CHUNKS)
    assert forms.error_of(expected, forms.reference(form)[0]) < 1e-5
    found = forms.run_raised(model, form.tokens, tmp_path / "work")
    assert forms.error_of(found, expected) <= forms.BOUNDS["f32"]


def test_an_epilogue_stores_to_a_buffer_called_value(unpacked, tmp_path):
    """Keys are the queries, so that values alone are a linear's plain results."""
    def keys_are_queries(graph):
        layer = "/model/layers.0/self_attn"
        node = next(node for node in graph.node if node.name == f"{layer}/Transpose_1")
        assert node.input[0] == f"{layer}/Reshape_1_output_0"
        node.input[0] = f"{layer}/Reshape_output_0"

    form = unpacked["optimum/mha-tied"]
    model = change(form, tmp_path / "model.onnx", keys_are_queries)
    found = forms.run_engine(model, form.tokens, tmp_path / "work")
    assert forms.error_of(found, forms.run_onnx(model, form.tokens)) <= 1e-4


def test_leftovers_are_one_list_of_nodes(unpacked, tmp_path):
    def softmax_over_queries(graph):
        node = next(node for node in graph.node if node.op_type == "Softmax")
        node.attribute[0].i = 2

    form = unpacked["torch18/gqa"]
    text = refusal(change(form, tmp_path / "model.onnx", softmax_over_queries), tmp_path / "work")
    assert "are not recognised as parts of a Llama model" in text
    assert "onnx.Softmax at 'node_Softmax_304'" in text
    assert "onnx.MatMul at 'node_MatMul_302', 'node_scaled_dot_product_attention'" in text


def test_other_masks_are_printed(unpacked, tmp_path):
    def earlier_keys(graph):
        node = [node for node in graph.node if node.op_type == "LessOrEqual"][-1]
        node.op_type = "Less"

    form = unpacked["torch18-cache/gqa"]
    text = refusal(change(form, tmp_path / "model.onnx", earlier_keys), tmp_path / "work")
    assert "has a mask that is not causal, window or padding" in text
    assert "key d3 is seen by query d2 of batch d0 where d2 - d3 + s" in text


def test_positions_off_the_cache_are_refused(unpacked, tmp_path):
    """Rotary positions that begin at 1 are no cache slots."""

    def shift(graph):
        cast = next(node for node in graph.node if node.output[0] == "_to_copy")
        one = helper.make_node("Constant", [], ["one"], "one", value_ints=[1])
        later = helper.make_node("Add", [cast.input[0], "one"], ["later"], "later")
        at = list(graph.node).index(cast)
        graph.node.insert(at, later)
        graph.node.insert(at, one)
        cast.input[0] = "later"

    form = unpacked["torch18/gqa"]
    text = refusal(change(form, tmp_path / "model.onnx", shift), tmp_path / "work")
    assert "are not recognised as parts of a Llama model" in text and "onnx.Sin" in text
