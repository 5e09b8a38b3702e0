# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A graph about to be changed, with what is known of its values."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

import judge
from families import Feeder, tokens_of

# Tokens of one run, by whose shapes values count as alike: behind a cache, and
# unlike the model's own extents where they are free.
PAST, NEW = 3, 5


def record(model: onnx.ModelProto, batch: int) -> dict[str, tuple]:
    """Element type and shape of every value of one run."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    given = {value.name for value in watched.graph.output}
    names = [name for node in watched.graph.node for name in node.output
             if name and name not in given]
    watched.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names)
    session = judge.open_session(watched)
    tokens = tokens_of(session, PAST + NEW, batch)
    feeder = Feeder(session, tokens)
    past, begin = feeder.empty_past(), 0
    if past:
        past = session.run(feeder.outputs[1 : 1 + len(past)], feeder.feeds(0, PAST, past))
        begin = PAST
    feeds = feeder.feeds(begin, tokens.shape[1], past)
    # numpy has no bfloat16, so onnxruntime does not hand those out.
    wanted = [v.name for v in session.get_outputs() if v.type != "tensor(bfloat16)"]
    values = feeds | dict(zip(wanted, session.run(wanted, feeds)))
    kinds = {name: (str(np.asarray(v).dtype), np.shape(v)) for name, v in values.items()}
    for tensor in model.graph.initializer:
        kinds[tensor.name] = (f"constant {tensor.data_type}", tuple(tensor.dims))
    return kinds


class Subject:
    """A copy of a model that mutators edit in place."""

    def __init__(self, model: onnx.ModelProto, kinds: dict[str, tuple]):
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.kinds = kinds
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.fresh = 0

    def nodes(self) -> list[onnx.NodeProto]:
        return self.graph.node

    def place(self, node: onnx.NodeProto) -> int:
        return next(i for i, other in enumerate(self.graph.node) if other is node)

    def before(self, index: int) -> list[str]:
        """Values that exist before the node at `index`."""
        names = [value.name for value in self.graph.input]
        for node in self.graph.node[:index]:
            names += [name for name in node.output if name]
        return names

    def name(self, what: str) -> str:
        self.fresh += 1
        return f"mutant/{what}{self.fresh}"

    def constant(self, array: np.ndarray) -> str:
        name = self.name("constant")
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def insert(self, index: int, op: str, inputs: list[str], **attributes) -> str:
        name = self.name(op)
        node = helper.make_node(op, inputs, [name], name, **attributes)
        self.graph.node.insert(index, node)
        return name

    def constant_nodes(self) -> dict[str, onnx.TensorProto]:
        """Tensors of Constant nodes, by the name of the value."""
        return {node.output[0]: attribute.t for node in self.graph.node
                if node.op_type == "Constant" for attribute in node.attribute
                if attribute.name == "value"}

    def known(self) -> dict[str, onnx.TensorProto]:
        """Every constant of the graph."""
        return self.constants | self.constant_nodes()

    def uses(self, name: str) -> list[tuple]:
        """(node, position) of everything that reads a value."""
        return [(node, i) for node in self.graph.node
                for i, value in enumerate(node.input) if value == name]
