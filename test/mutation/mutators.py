# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Changes of one constant or edge of a graph, drawn at random.

A mutator edits its Subject and says what it did; None means that the draw did
not fit and another one is wanted. None of them knows what a Llama is."""

import random

import numpy as np
import onnx
from onnx import helper, numpy_helper

from subject import Subject

SMALL = 64  # a constant of more elements is a weight


def pick_node(rng: random.Random, nodes: list):
    """An operator first, so that the one mask counts as much as many linears."""
    by_op: dict[str, list] = {}
    for node in nodes:
        by_op.setdefault(node.op_type, []).append(node)
    if not by_op:
        return None
    ops = sorted(by_op)
    op = rng.choices(ops, [len(by_op[op]) ** 0.5 for op in ops])[0]
    return rng.choice(by_op[op])


def is_alike(subject: Subject, one: str, two: str) -> bool:
    return (one != two and one in subject.kinds
            and subject.kinds[one] == subject.kinds.get(two))


#===----------------------------------------------------------------------===#
# Constants
#===----------------------------------------------------------------------===#


def other_number(rng: random.Random, array: np.ndarray) -> np.ndarray | None:
    """The array with one element, or all, changed."""
    result = array.copy()
    if result.size == 0:
        return None
    where = rng.randrange(result.size) if rng.random() < 0.6 else slice(None)
    old = result.reshape(-1)[where]
    with np.errstate(all="ignore"):
        result.reshape(-1)[where] = _other(rng, old)
    return None if np.array_equal(result, array) else result


def _other(rng: random.Random, old: np.ndarray):
    if old.dtype == np.bool_:
        return ~old
    if np.issubdtype(old.dtype, np.integer):
        return rng.choice([lambda x: x + 1, lambda x: x - 1, lambda x: -x,
                           lambda x: x * 0, lambda x: x * 2])(old)
    return rng.choice([lambda x: x * 1.25, lambda x: x * 0.5, lambda x: -x, lambda x: x * 0,
                       lambda x: x + 0.3, lambda x: x * x, lambda x: x * 30])(
                           np.asarray(old, np.float64))


def change_constant(rng: random.Random, subject: Subject) -> str | None:
    """A small constant, for one of its readers or for all."""
    known = subject.known()
    node = pick_node(rng, [n for n in subject.nodes() if any(
        i in known and 0 < np.prod(known[i].dims, dtype=int) <= SMALL for i in n.input)])
    if node is None:
        return None
    at = rng.choice([i for i, name in enumerate(node.input) if name in known and
                     0 < np.prod(known[name].dims, dtype=int) <= SMALL])
    tensor = known[node.input[at]]
    array = numpy_helper.to_array(tensor)
    new = other_number(rng, array)
    if new is None:
        return None
    what = f"{node.input[at]} = {new.reshape(-1)[:6].tolist()}"
    if rng.random() < 0.5:
        tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))
        return f"constant {what}"
    node.input[at] = subject.constant(new)
    return f"constant {what} for {node.name}"


def change_weight(rng: random.Random, subject: Subject) -> str | None:
    """A weight turned, its halves or rows swapped, or one element changed."""
    names = [n for n, t in subject.constants.items() if np.prod(t.dims, dtype=int) > SMALL]
    if not names:
        return None
    tensor = subject.constants[rng.choice(names)]
    array = numpy_helper.to_array(tensor)
    how = rng.choice(["turned", "halves swapped", "rows rolled", "scaled", "one element"])
    if how == "turned":
        new = array.T if array.ndim == 2 and array.shape[0] == array.shape[1] else (
            np.ascontiguousarray(array.T).reshape(array.shape))
    elif how == "halves swapped":
        new = np.roll(array, array.shape[0] // 2, axis=0)
    elif how == "rows rolled":
        new = np.roll(array, 1, axis=0)
    elif how == "scaled":
        new = (array.astype(np.float64) * 1.5).astype(array.dtype)
    else:
        new = array.copy()
        row = new.reshape(new.shape[0], -1)[rng.randrange(new.shape[0])]
        row[rng.randrange(len(row))] = 3
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new), tensor.name))
    return f"weight {tensor.name}: {how}"


def swap_constant(rng: random.Random, subject: Subject) -> str | None:
    """One reader reads another constant of the same type and shape."""
    known = subject.known()
    node = pick_node(rng, [n for n in subject.nodes() if any(i in known for i in n.input)])
    if node is None:
        return None
    at = rng.choice([i for i, name in enumerate(node.input) if name in known])
    old = known[node.input[at]]
    others = [name for name, t in known.items() if name != node.input[at]
              and t.data_type == old.data_type and list(t.dims) == list(old.dims)]
    if not others:
        return None
    before, node.input[at] = node.input[at], rng.choice(others)
    return f"{node.name} reads {node.input[at]} instead of {before}"


#===----------------------------------------------------------------------===#
# Edges
#===----------------------------------------------------------------------===#


def edges_of(subject: Subject) -> list:
    known = subject.known()
    return [n for n in subject.nodes() if any(i and i not in known for i in n.input)]


def pick_edge(rng: random.Random, subject: Subject):
    known = subject.known()
    node = pick_node(rng, edges_of(subject))
    at = rng.choice([i for i, name in enumerate(node.input) if name and name not in known])
    return node, at


def rewire(rng: random.Random, subject: Subject) -> str | None:
    """One reader reads another value of the same type and shape."""
    node, at = pick_edge(rng, subject)
    values = [v for v in subject.before(subject.place(node))
              if is_alike(subject, v, node.input[at])]
    if not values:
        return None
    before, node.input[at] = node.input[at], rng.choice(values)
    return f"{node.name}[{at}] reads {node.input[at]} instead of {before}"


def rewire_output(rng: random.Random, subject: Subject) -> str | None:
    """The graph gives another value under the name of one of its results."""
    output = rng.choice(subject.graph.output).name
    values = [v for v in subject.before(len(subject.nodes())) if is_alike(subject, v, output)]
    if not values:
        return None
    value = rng.choice(values)
    for node in subject.nodes():
        for i, name in enumerate(node.output):
            if name == output:
                node.output[i] = f"{output}/before"
    for node in subject.nodes():
        for i, name in enumerate(node.input):
            if name == output:
                node.input[i] = f"{output}/before"
    value = f"{output}/before" if value == output else value
    subject.graph.node.append(helper.make_node("Identity", [value], [output], "mutant/output"))
    return f"result {output} is {value}"


def exchange(rng: random.Random, subject: Subject) -> str | None:
    """Two nodes of one operator exchange what they read."""
    node, at = pick_edge(rng, subject)
    place = subject.place(node)
    others = [n for n in subject.nodes()[:place] if n.op_type == node.op_type
              and len(n.input) > at and is_alike(subject, n.input[at], node.input[at])]
    ready = set(subject.before(place))
    if not others:
        return None
    other = rng.choice(others)
    early = set(subject.before(subject.place(other)))
    if node.input[at] not in early or other.input[at] not in ready:
        return None
    node.input[at], other.input[at] = other.input[at], node.input[at]
    return f"{node.name} and {other.name} exchange input {at}"


def swap_operands(rng: random.Random, subject: Subject) -> str | None:
    node = pick_node(rng, [n for n in subject.nodes() if len(n.input) >= 2])
    one, two = sorted(rng.sample(range(len(node.input)), 2))
    if node.input[one] == node.input[two]:
        return None
    node.input[one], node.input[two] = node.input[two], node.input[one]
    return f"{node.name} swaps inputs {one} and {two}"


def bypass(rng: random.Random, subject: Subject) -> str | None:
    """A node hands on one of its inputs."""
    node = pick_node(rng, edges_of(subject))
    output = node.output[0]
    inputs = [v for v in node.input if is_alike(subject, v, output)]
    readers = subject.uses(output)
    if not inputs or not readers:
        return None
    value = rng.choice(inputs)
    for reader, at in readers:
        reader.input[at] = value
    return f"{node.name} left out, its readers read {value}"


def drop_input(rng: random.Random, subject: Subject) -> str | None:
    node = pick_node(rng, [n for n in subject.nodes() if len(n.input) >= 2])
    at = rng.randrange(1, len(node.input))
    if not node.input[at]:
        return None
    before, node.input[at] = node.input[at], ""
    while node.input and not node.input[-1]:
        node.input.pop()
    return f"{node.name} loses input {at}, {before}"


#===----------------------------------------------------------------------===#
# Nodes
#===----------------------------------------------------------------------===#


def _other_int(rng: random.Random, value: int) -> int:
    return rng.choice([value + 1, value - 1, -value, 1 - value, value * 2, 0, 1])


# Attributes with defaults that a node may leave out.
_DEFAULTS = {
    "Attention": {"is_causal": 0, "scale": 0.7, "softcap": 1.5, "qk_matmul_output_mode": 0},
    "RotaryEmbedding": {"interleaved": 0, "rotary_embedding_dim": 2, "num_heads": 1},
    "RMSNormalization": {"epsilon": 1e-5, "axis": -1},
    "LayerNormalization": {"epsilon": 1e-5, "axis": -1},
    "SimplifiedLayerNormalization": {"epsilon": 1e-5, "axis": -1},
    "Gather": {"axis": 0}, "Softmax": {"axis": -1}, "Swish": {"alpha": 1.0},
    "Gemm": {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0},
    "ReduceMean": {"keepdims": 1}, "ReduceSum": {"keepdims": 1},
    "Concat": {"axis": 0}, "Trilu": {"upper": 1}, "CumSum": {"exclusive": 0, "reverse": 0},
    "Shape": {"start": 0, "end": 1}, "Gelu": {"approximate": "none"},
}


def change_attribute(rng: random.Random, subject: Subject) -> str | None:
    nodes = [n for n in subject.nodes()
             if n.op_type != "Constant" and (n.attribute or n.op_type in _DEFAULTS)]
    node = pick_node(rng, nodes)
    if node is None:
        return None
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute
             if a.type not in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.TENSOR)}
    choices = _DEFAULTS.get(node.op_type, {}) | given
    if not choices:
        return None
    name = rng.choice(sorted(choices))
    new = _other_attribute(rng, name, choices[name])
    if new is None or (name in given and new == given[name]):
        return None
    for attribute in list(node.attribute):
        if attribute.name == name:
            node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute(name, new))
    return f"{node.name} {name} = {new}"


def _other_attribute(rng: random.Random, name: str, value):
    if isinstance(value, bytes):
        value = value.decode()
    if name == "to":
        return rng.choice([1, 6, 7, 9, 10, 11])
    if isinstance(value, str):
        return {"none": "tanh", "tanh": "none"}.get(value)
    if isinstance(value, float):
        return value * rng.choice([0.0, 0.3, 2.0, -1.0, 30.0])
    if isinstance(value, int):
        return _other_int(rng, value)
    if not isinstance(value, (list, tuple)) or not value or not isinstance(value[0], int):
        return None
    result = list(value)
    if name == "perm":
        one, two = rng.sample(range(len(result)), 2) if len(result) > 1 else (0, 0)
        result[one], result[two] = result[two], result[one]
    else:
        at = rng.randrange(len(result))
        result[at] = _other_int(rng, result[at])
    return result


_REPLACEMENTS = [
    ["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Mod"],
    ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"],
    ["And", "Or", "Xor"],
    ["Sigmoid", "Tanh", "Relu", "Erf", "Gelu", "Softplus", "Swish", "HardSigmoid", "Abs",
     "Neg", "Exp", "Cos", "Sin", "Sqrt", "Reciprocal", "Identity"],
    ["Floor", "Ceil", "Round", "Identity", "Neg", "Abs"],
    ["Cos", "Sin", "Identity", "Neg", "Tanh"],
    ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare"],
    ["RMSNormalization", "LayerNormalization", "SimplifiedLayerNormalization"],
    ["Softmax", "LogSoftmax", "Identity"],
    ["Not", "Identity"], ["IsNaN", "IsInf"], ["CumSum", "Identity"],
    ["Sqrt", "Reciprocal", "Exp", "Identity"],
]


def replace_operator(rng: random.Random, subject: Subject) -> str | None:
    nodes = [n for n in subject.nodes() if any(n.op_type in group for group in _REPLACEMENTS)]
    node = pick_node(rng, nodes)
    if node is None:
        return None
    group = rng.choice([g for g in _REPLACEMENTS if node.op_type in g])
    before = node.op_type
    node.op_type = rng.choice([op for op in group if op != before])
    if before in ("CumSum",) or node.op_type == "Identity":
        del node.input[1:]
        del node.attribute[:]
    return f"{node.name}: {before} becomes {node.op_type}"


def _unary(rng: random.Random, subject: Subject, at: int, value: str) -> str:
    op = rng.choice(["Neg", "Abs", "Relu", "Tanh", "Sigmoid", "Exp", "Softmax", "Sqrt",
                     "Round", "Gelu"])
    return subject.insert(at, op, [value])


def _binary(rng: random.Random, subject: Subject, at: int, value: str) -> str:
    kind, shape = subject.kinds[value]
    op = rng.choice(["Add", "Sub", "Mul", "Div", "Max", "Min"])
    dtype = np.dtype(kind)
    if np.issubdtype(dtype, np.integer):
        operand = np.asarray(rng.choice([1, 2, -1]), dtype)
    else:
        operand = np.asarray(rng.choice([0.5, 1.5, -1, 0.1, 3]), dtype)
        if shape and rng.random() < 0.4:  # one number a column
            operand = np.linspace(0.5, 1.5, shape[-1]).astype(dtype)
    operands = [value, subject.constant(operand)]
    if rng.random() < 0.3:
        operands.reverse()
    return subject.insert(at, op, operands)


def _moved(rng: random.Random, subject: Subject, at: int, value: str) -> str | None:
    """Equal extents exchanged, or elements in another order."""
    _, shape = subject.kinds[value]
    rank = len(shape)
    if rank < 2:
        return None
    perm = list(range(rank))
    one, two = rng.sample(range(rank), 2)
    perm[one], perm[two] = perm[two], perm[one]
    turned = subject.insert(at, "Transpose", [value], perm=perm)
    if shape[one] == shape[two]:
        return turned
    extents = subject.insert(at + 1, "Shape", [value])
    return subject.insert(at + 2, "Reshape", [turned, extents])


def _rounded(rng: random.Random, subject: Subject, at: int, value: str) -> str:
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(subject.kinds[value][0]))
    narrow = subject.insert(at, "Cast", [value], to=rng.choice([6, 7, 9, 10, 16]))
    return subject.insert(at + 1, "Cast", [narrow], to=dtype)


def _split(rng: random.Random, subject: Subject, at: int, value: str) -> str | None:
    """The last dimension's halves exchanged."""
    _, shape = subject.kinds[value]
    if not shape or shape[-1] % 2:
        return None
    half, end = shape[-1] // 2, shape[-1]
    slices = [subject.insert(at, "Slice", [value, *(
        subject.constant(np.asarray([n], np.int64)) for n in (begin, stop, -1, 1))])
        for begin, stop in ((0, half), (half, end))]
    return subject.insert(at + 2, "Concat", slices[::-1], axis=-1)


def insert_node(rng: random.Random, subject: Subject) -> str | None:
    """Something on the way to one reader, or to all."""
    node, at = pick_edge(rng, subject)
    value = node.input[at]
    if value not in subject.kinds:
        return None
    is_float = "float" in subject.kinds[value][0]
    makers = [_binary, _binary, _moved, _split, _rounded] + [_unary] * (2 if is_float else 1)
    if subject.kinds[value][0] == "bool":
        makers = [lambda r, s, a, v: s.insert(a, "Not", [v]), _moved]
    readers = subject.uses(value) if rng.random() < 0.4 else [(node, at)]
    first = min(subject.place(reader) for reader, _ in readers)
    count = len(subject.nodes())
    new = rng.choice(makers)(rng, subject, first, value)
    if new is None:
        return None
    for reader, position in readers:
        reader.input[position] = new
    ops = [n.op_type for n in subject.nodes()[first : first + len(subject.nodes()) - count]]
    return f"{' '.join(ops)} between {value} and {' '.join(r.name for r, _ in readers[:3])}"


# With how often each is drawn.
MUTATORS = {
    change_constant: 4, change_weight: 1, swap_constant: 2, rewire: 6,
    rewire_output: 1, exchange: 2, swap_operands: 2, bypass: 2, drop_input: 1,
    change_attribute: 4, replace_operator: 4, insert_node: 4,
}


def mutate(rng: random.Random, make_subject) -> tuple[onnx.ModelProto, str]:
    """One change of a fresh subject."""
    while True:
        mutator = rng.choices(list(MUTATORS), list(MUTATORS.values()))[0]
        subject = make_subject()
        what = mutator(rng, subject)
        if what:
            return subject.model, f"{mutator.__name__}: {what}"
