# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ONNX graph as fdpp-compare sees it, and its values in onnxruntime."""

import os
import re
from pathlib import Path
from typing import Iterator

import numpy as np
import onnx

from fdpp.errors import UserError

_LAYER = re.compile(r"(?:layers?|blocks?|h)[._/](\d+)(?:\D|$)")
_GROUP_BYTES = 64 << 20  # of values that onnxruntime holds at a time


class Graph:
    """Nodes by the names that locations in the IR have."""

    def __init__(self, path: Path):
        try:
            self.model = onnx.load(path, load_external_data=False)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except Exception as error:  # protobuf has no exception of its own to name
            raise UserError(f"{path}: is no ONNX model ({error})") from error
        self.path = path
        self.nodes: dict[str, onnx.NodeProto] = {}
        producers: dict[str, str] = {}
        for node in self.model.graph.node:
            name = node.name or next(filter(None, node.output), node.op_type)
            self.nodes[name] = node
            producers.update(dict.fromkeys(node.output, name))
        self._producers = producers

    def has_past(self) -> bool:
        """Whether the graph takes keys and values of tokens before."""
        return any(len(value.type.tensor_type.shape.dim) == 4 for value in self.model.graph.input)

    def output_of(self, node: str) -> str | None:
        """The tensor that a node's value is."""
        proto = self.nodes.get(node)
        return proto.output[0] if proto is not None and proto.output else None

    def op_of(self, node: str) -> str:
        proto = self.nodes.get(node)
        return proto.op_type if proto is not None else "?"

    def inputs_of(self, node: str) -> list[str]:
        """The nodes that a node reads."""
        proto = self.nodes.get(node)
        return [self._producers[name] for name in (proto.input if proto is not None else ())
                if name in self._producers]

    @staticmethod
    def layer_in_name(node: str) -> int | None:
        match = _LAYER.search(node)
        return int(match.group(1)) if match else None

    def behind(self, node: str, known) -> list[str]:
        """`node` and what it is computed from, back to nodes in `known`, in the
        order of the graph."""
        found, pending = {node}, [node]
        while pending:
            for name in self.inputs_of(pending.pop()):
                if name not in known and name not in found:
                    found.add(name)
                    pending.append(name)
        return [name for name in self.nodes if name in found]


def onnxruntime_values(graph: Graph, tokens: list[int],
                       wanted: dict[str, int]) -> Iterator[tuple[dict, np.ndarray]]:
    """The values of these nodes for one step of all tokens, in the order given;
    `wanted` says how many bytes each has. The graph runs once for each group of
    values that fits the memory."""
    group, size = [], 0
    for node, nbytes in wanted.items():
        if group and size + nbytes > _GROUP_BYTES:
            yield from _run(graph, tokens, group)
            group, size = [], 0
        group.append(node)
        size += nbytes
    if group:
        yield from _run(graph, tokens, group)


def _run(graph: Graph, tokens: list[int], nodes: list[str]) -> Iterator[tuple[dict, np.ndarray]]:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("onnxruntime is not installed; install it (pip install onnxruntime) or"
                        " compare without it (--no-onnxruntime)") from error
    onnxruntime.set_default_logger_severity(4)
    outputs = {node: graph.output_of(node) for node in nodes}
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs.values())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # As the graph is written, and without copies of the weights.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path",
                                     os.path.abspath(graph.path.parent))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                               providers=["CPUExecutionProvider"])
        feeds = _feeds(session, tokens)
        values = session.run(list(outputs.values()), feeds)
    except UserError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no common base
        reason = " ".join(str(error).split())
        raise UserError(f"{graph.path}: onnxruntime cannot run it ({reason});"
                        " --no-onnxruntime compares without it") from error
    for node, value in zip(outputs, values):
        yield {"node": node, "op": graph.op_of(node), "step": 0}, np.asarray(value)


def _feeds(session, tokens: list[int]) -> dict[str, np.ndarray]:
    """One sequence without a past."""
    by_name = {"input_ids": tokens, "attention_mask": [1] * len(tokens),
               "position_ids": list(range(len(tokens)))}
    types = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
             "tensor(float)": np.float32, "tensor(float16)": np.float16}
    feeds = {}
    for value in session.get_inputs():
        dtype = types.get(value.type)
        if dtype is None:
            raise UserError(f"input {value.name}: fdpp-compare has no numbers of {value.type};"
                            " --no-onnxruntime compares without them")
        if value.name in by_name:
            feeds[value.name] = np.array([by_name[value.name]], dtype)
        elif len(value.shape) == 4:
            heads, dim = value.shape[1], value.shape[3]
            feeds[value.name] = np.zeros((1, heads, 0, dim), dtype)
        else:
            raise UserError(f"input {value.name}: fdpp-compare does not know what to give it;"
                            " --no-onnxruntime compares without onnxruntime")
    return feeds
