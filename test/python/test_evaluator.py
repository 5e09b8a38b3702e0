# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The evaluator of the onnx dialect against ONNX's reference implementation.

One model holds every case as constants; importing and folding it leaves the
results, which must equal the reference's.
"""
import os
import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

BUILD = Path(os.environ.get("FDPP_BUILD_DIR",
                            Path(__file__).parents[2] / "build/release"))
RNG = np.random.default_rng(7)


def f(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def i(values):
    return np.asarray(values, np.int64)


POSITIVE = np.abs(f(2, 3)) + 0.1
MASK = RNG.random((2, 3, 5)) > 0.3
MASK[..., 0] = True  # every row sees a key

# (operator, inputs, attributes, number of results)
CASES = [(op, [f(2, 3)], {}, 1) for op in
         "Abs Neg Exp Sigmoid Tanh Erf Floor Ceil Sign Relu Softplus Cos Sin "
         "Reciprocal Swish Gelu Softmax Identity".split()]
CASES += [(op, [POSITIVE], {}, 1) for op in ("Sqrt", "Log")]
CASES += [(op, [f(2, 1, 3), f(4, 1)], {}, 1)
          for op in "Add Sub Mul Div Max Min Less Greater LessOrEqual "
          "GreaterOrEqual Equal".split()]
CASES += [(op, [i([7, -7, 5]), i([3, 3, -2])], {}, 1)
          for op in "Add Sub Mul Mod Max Less Equal".split()]
CASES += [
    ("Div", [i([7, 8, 9]), i([2, 4, 2])], {}, 1),
    ("Mod", [f(4), f(4)], {"fmod": 1}, 1),
    ("Pow", [POSITIVE, f(3)], {}, 1),
    ("Gelu", [f(5)], {"approximate": "tanh"}, 1),
    ("Round", [np.float32([0.5, 1.5, -2.5, 2.3])], {}, 1),
    ("Softmax", [f(2, 3, 4)], {"axis": 1}, 1),
    ("Cast", [np.float32([1.7, -1.7, 0])], {"to": TensorProto.INT64}, 1),
    ("Cast", [np.float32([1.7, -1.7, 0])], {"to": TensorProto.BOOL}, 1),
    ("Cast", [i([300, -2])], {"to": TensorProto.FLOAT}, 1),
    ("And", [np.array([[True], [False]]), np.array([True, False])], {}, 1),
    ("Or", [np.array([True, False]), np.array([False, False])], {}, 1),
    ("Not", [np.array([True, False])], {}, 1),
    ("Where", [np.array([[True], [False]]), f(2, 3), f(3)], {}, 1),
    ("Clip", [f(5), np.float32(-0.5), np.float32(0.5)], {}, 1),
    ("IsNaN", [np.float32([np.nan, 1])], {}, 1),
    ("IsInf", [np.float32([np.inf, -np.inf, 1])], {"detect_negative": 0}, 1),
    ("Mean", [f(2), f(2), f(2)], {}, 1),
    ("MatMul", [f(2, 1, 3, 4), f(5, 4, 2)], {}, 1),
    ("MatMul", [f(4), f(4, 2)], {}, 1),
    ("MatMul", [f(3, 4), f(4)], {}, 1),
    ("Gemm", [f(4, 3), f(5, 4), f(5)],
     {"alpha": 0.5, "beta": 2.0, "transA": 1, "transB": 1}, 1),
    ("Concat", [f(2, 1), f(2, 3)], {"axis": -1}, 1),
    ("Split", [f(2, 7), i([2, 5])], {"axis": 1}, 2),
    ("Split", [f(7)], {"num_outputs": 3}, 3),
    ("Slice", [f(5, 6), i([1, -1]), i([4, -100]), i([0, 1]), i([2, -2])], {}, 1),
    ("Slice", [f(5, 6), i([-3]), i([2**62])], {}, 1),
    ("Gather", [f(3, 4), i([[0, -1], [2, 1]])], {"axis": 1}, 1),
    ("GatherElements", [f(3, 3), i([[0, 1, -1], [1, 0, 2]])], {"axis": 0}, 1),
    ("GatherND", [f(2, 3, 4), i([[[1], [2]], [[0], [1]]])], {"batch_dims": 1}, 1),
    ("ScatterElements", [f(3, 3), i([[1, 0, 2]]), f(1, 3)], {"axis": 0}, 1),
    ("ScatterND", [f(4, 2), i([[1], [3]]), f(2, 2)], {}, 1),
    ("ScatterND", [f(4, 2), i([[1], [3]]), f(2, 2)], {"reduction": "add"}, 1),
    ("Reshape", [f(2, 3, 4), i([0, -1])], {}, 1),
    ("Transpose", [f(2, 3, 4)], {"perm": [2, 0, 1]}, 1),
    ("Unsqueeze", [f(2, 3), i([-1, 0])], {}, 1),
    ("Squeeze", [f(1, 2, 1), i([-1])], {}, 1),
    ("Flatten", [f(2, 3, 4)], {"axis": 2}, 1),
    ("Shape", [f(2, 3, 4)], {"start": 1}, 1),
    ("Size", [f(2, 3, 4)], {}, 1),
    ("Range", [i(3), i(-4), i(-2)], {}, 1),
    ("Range", [np.float32(0), np.float32(1), np.float32(0.3)], {}, 1),
    ("Expand", [f(3, 1), i([2, 1, 4])], {}, 1),
    ("Tile", [f(2, 3), i([2, 2])], {}, 1),
    ("Trilu", [f(2, 4, 5), i(1)], {}, 1),
    ("Trilu", [f(4, 4), i(-1)], {"upper": 0}, 1),
    ("CumSum", [f(2, 5), i(1)], {}, 1),
    ("CumSum", [f(2, 5), i(0)], {"exclusive": 1, "reverse": 1}, 1),
    ("ReduceMean", [f(2, 3, 4), i([-1])], {"keepdims": 0}, 1),
    ("ReduceSum", [f(2, 3, 4), i([0, 2])], {}, 1),
    ("ReduceMax", [f(2, 3)], {}, 1),
    ("ReduceProd", [f(2, 3), i([1])], {}, 1),
    ("LayerNormalization", [f(2, 3, 4), f(4), f(4)], {}, 1),
    ("RMSNormalization", [f(2, 3, 4), f(4)], {"epsilon": 1e-3}, 1),
    ("RotaryEmbedding", [f(2, 3, 16), f(2, 3, 4), f(2, 3, 4)],
     {"num_heads": 2}, 1),
    ("RotaryEmbedding", [f(2, 2, 3, 8), f(9, 3), f(9, 3), i([[0, 1, 2], [5, 6, 7]])],
     {"rotary_embedding_dim": 6, "interleaved": 1}, 1),
    ("Attention", [f(2, 3, 12), f(2, 3, 6), f(2, 3, 6),
                   MASK.reshape(2, 1, 3, 5), f(2, 2, 2, 3), f(2, 2, 2, 3)],
     {"q_num_heads": 4, "kv_num_heads": 2}, 3),
    ("Attention", [f(1, 2, 3, 4), f(1, 2, 3, 4), f(1, 2, 3, 4)],
     {"is_causal": 1, "softcap": 2.0, "scale": 0.3}, 1),
]


def build_model():
    nodes, initializers, outputs = [], [], []
    for n, (op, inputs, attributes, results) in enumerate(CASES):
        names = [f"i{n}_{k}" for k in range(len(inputs))]
        for name, value in zip(names, inputs):
            value = np.asarray(value)
            assert value.nbytes <= 1024, op
            initializers.append(numpy_helper.from_array(value, name))
        outs = [f"o{n}_{k}" for k in range(results)]
        nodes.append(helper.make_node(op, names, outs, f"node{n}", **attributes))
        outputs += outs
    graph = helper.make_graph(
        nodes, "cases", [],
        [helper.make_empty_tensor_value_info(o) for o in outputs], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)],
                             ir_version=11), outputs


def parse_element(word):
    if word in ("true", "false"):
        return word == "true"
    if word.startswith("0x"):
        return struct.unpack(">f", bytes.fromhex(word[2:]))[0]
    return float(word) if re.search(r"[.eE]", word) else int(word)


def parse_dense(text, shape, element):
    """The elements of `dense<...>` as numpy has them."""
    if text.startswith('"0x'):  # MLIR prints long tensors as bytes
        kinds = {"f32": "<f4", "i64": "<i8"}
        data = bytes.fromhex(text[3:-1])
        return np.frombuffer(data, kinds[element]).reshape(shape)
    words = re.findall(r"true|false|0x[0-9A-F]+|[-+.\deE]+", text)
    values = np.array([parse_element(word) for word in words])
    if values.size == 1:
        return np.broadcast_to(values.reshape(()), shape)
    return values.reshape(shape)


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    model, outputs = build_model()
    path = tmp_path_factory.mktemp("fold") / "cases.onnx"
    onnx.save(model, path)
    imported = subprocess.run([BUILD / "bin/fdpp-translate", "--import-onnx", path],
                              capture_output=True, check=True)
    text = subprocess.run(
        [BUILD / "bin/fdpp-opt", "--onnx-fold-constants=max-bytes=65536"],
        input=imported.stdout, capture_output=True, check=True).stdout.decode()
    constants = {}
    pattern = r"(%\w+) = onnx\.Constant dense<(.*)> : tensor<((?:\d+x)*)(\w+)>"
    for name, elements, dims, element in re.findall(pattern, text):
        shape = [int(d) for d in dims.split("x") if d]
        constants[name] = parse_dense(elements, shape, element)
    returned = re.search(r"return (.*?) :", text).group(1).split(", ")
    assert len(returned) == len(outputs), text
    missing = [o for o, r in zip(outputs, returned) if r not in constants]
    assert not missing, f"not folded: {missing}"
    wanted = ReferenceEvaluator(model).run(None, {})
    return {o: (constants[r], w) for o, r, w in zip(outputs, returned, wanted)}


@pytest.mark.parametrize("n", range(len(CASES)),
                         ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_equals_reference(folded, n):
    for k in range(CASES[n][3]):
        got, wanted = folded[f"o{n}_{k}"]
        assert got.shape == np.shape(wanted)
        np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=2e-6)
