# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A graph of narrow floats, computed in single precision."""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

NARROW = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


# rope_theta of test/forms/make_forms.py.
THETA = 1000.0


def _unrounded(values: np.ndarray) -> np.ndarray:
    """Cosines and sines of a rotary embedding without their rounding."""
    if values.ndim < 2 or values.shape[-1] % 2 or values.size != np.prod(values.shape[-2:]):
        return values
    rows, width = values.shape[-2:]
    angles = np.arange(rows)[:, None] * THETA ** (-2 * (np.arange(width) % (width // 2)) / width)
    for wave in (np.cos(angles), np.sin(angles)):
        if np.abs(values.reshape(rows, width) - wave).max() < 2**-8:
            return wave.astype(np.float32).reshape(values.shape)
    return values


def _tensor(tensor: TensorProto) -> None:
    if tensor.data_type in NARROW:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        values = _unrounded(values)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _nodes(nodes) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _tensor(attribute.t)
            if attribute.name == "to" and attribute.i in NARROW:
                attribute.i = TensorProto.FLOAT


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same numbers, which nothing rounds to f16 or bf16."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        _tensor(tensor)
    for value in (*wide.graph.input, *wide.graph.output):
        if value.type.tensor_type.elem_type in NARROW:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del wide.graph.value_info[:]
    for nodes in (wide.graph.node, *(function.node for function in wide.functions)):
        _nodes(nodes)
    return wide
