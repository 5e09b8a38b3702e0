# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ONNX graph of a Llama-family model (opset 23, default domain only).

Interface (names and layouts as Hugging Face optimum exports them; B sequences,
S new tokens, P cached tokens, T = P + S, H query heads, G key/value heads,
D elements a head, V vocabulary entries):

    input_ids                    int64   [B, S]
    attention_mask               int64   [B, T]     1 = token, 0 = padding
    position_ids                 int64   [B, S]
    past_key_values.N.key/value  float32 [B, G, P, D]
 -> logits                       float32 [B, S, V]
    present.N.key/value          float32 [B, G, T, D]

Arithmetic is float32. A linear's initializer keeps the layout [N, K] and the
storage type of its source. `stored(w)` below is the initializer itself when it
is float32 and Cast(w, to=FLOAT) when it is bfloat16 or float16: onnxruntime's
CPU has few kernels for those, and a compiler folds the Cast away. Every Cast
and Transpose of a weight belongs to one use and stands right before it.

    linear(x, w, b) = MatMul(x, Transpose(stored(w), perm=[1, 0]))
                      [then Add(that, stored(b))]

Once, shared by all layers:

    model/sequence_length  = Squeeze(Shape(input_ids, start=1, end=2))
    model/past_length      = Squeeze(Shape(past_key_values.0.key, start=2, end=3))
    model/total_length     = Add(past_length, sequence_length)

    model/mask/query_index = Unsqueeze(Range(past_length, total_length, 1), [1])
    model/mask/key_index   = Unsqueeze(Range(0, total_length, 1), [0])
    model/mask/causal      = LessOrEqual(key_index, query_index)        [S, T]
    model/mask/visible     = causal, or with a sliding window of W tokens
                             And(causal, Greater(key_index, Sub(query_index, W)))
    model/mask/padding     = Unsqueeze(Cast(attention_mask, to=BOOL), [1, 2])
                                                                   [B, 1, 1, T]
    model/mask/mask        = And(visible, padding)        bool     [B, 1, S, T]

    model/rope/positions   = Unsqueeze(Cast(position_ids, to=FLOAT), [2])
    model/rope/angles      = Mul(positions, model.rope.inv_freq) [B, S, D/2]
    model/rope/cos, sin    = Cos(angles), Sin(angles)

    model/embed_tokens     = Gather(embedding, input_ids)     [then Cast to FLOAT]

Per layer, every value named model/layers.N/...:

    input_layernorm          = RMSNormalization(x, stored(w), axis=-1, epsilon)
    attn/{q,k,v}_proj        = linear(input_layernorm)
    attn/{q,k}_rope          = RotaryEmbedding({q,k}_proj, cos, sin,
                                               num_heads=H or G)
    attn/attention, present.N.key, present.N.value
                             = Attention(q_rope, k_rope, v_proj, mask,
                                         past_key_values.N.key, .value,
                                         q_num_heads=H, kv_num_heads=G)
    attn/o_proj              = linear(attn/attention)
    attn/residual            = Add(x, attn/o_proj)
    post_attention_layernorm = RMSNormalization(attn/residual, ...)
    mlp/{gate,up}_proj       = linear(post_attention_layernorm)
    mlp/sigmoid              = Sigmoid(mlp/gate_proj)
    mlp/silu                 = Mul(mlp/gate_proj, mlp/sigmoid)
    mlp/product              = Mul(mlp/silu, mlp/up_proj)
    mlp/down_proj            = linear(mlp/product)
    mlp/residual             = Add(attn/residual, mlp/down_proj)

Then model/norm = RMSNormalization and logits = linear(model/norm, lm_head),
where lm_head is the embedding's initializer if the two are tied.

RotaryEmbedding rotates halves (interleaved=0), takes q and k as [B, S, H * D]
and the caches as [B, S, D/2], without position_ids. Attention's scale is its
default, 1/sqrt(D). Its is_causal is not used: in opset 23 that mask is aligned
with the upper left corner and is wrong behind a cache. A row of the mask that
is false everywhere (padding on the left) gives a finite row without meaning.

Rotary scaling (linear, llama3, GGUF's factors) is folded into the float32
initializer model.rope.inv_freq [D/2]; the parameters it came from stand in the
model's metadata_props for reports, together with the other `fdpp.*` entries.

Initializers carry Hugging Face names and lie in one external file at offsets
that are multiples of 4096, except inv_freq and integer constants, which are
inline. A model without weights (fdpp-export --no-weights) declares the same
initializers with external location SEEDED_LOCATION, `offset` = the seed of that
tensor (1, 2, 3, ... in the order of declaration) and `length` = its size in
bytes. No such file exists: an importer makes a synthetic weight of each.
"""

import dataclasses
import json

import numpy as np
import onnx
from onnx import TensorProto, helper

from .config import LlamaConfig
from .tensors import Tensor

OPSET = 23
IR_VERSION = 11
PRODUCER = "fdpp-export"
DATA_FILE = "model.onnx.data"
SEEDED_LOCATION = "fdpp:seeded"
ALIGNMENT = 4096

_ONNX_TYPES = {
    "f32": TensorProto.FLOAT,
    "bf16": TensorProto.BFLOAT16,
    "f16": TensorProto.FLOAT16,
}


@dataclasses.dataclass(frozen=True)
class Placed:
    """A weight and where its bytes lie in the external file."""

    tensor: Tensor
    offset: int


def place(tensors: list[Tensor]) -> list[Placed]:
    """Offsets for all weights, in their order."""
    placed = []
    end = 0
    for tensor in tensors:
        offset = -(-end // ALIGNMENT) * ALIGNMENT
        placed.append(Placed(tensor, offset))
        end = offset + tensor.nbytes
    return placed


class GraphBuilder:
    """Builds one graph; methods return the name of the value they add."""

    def __init__(self, config: LlamaConfig, placed: list[Placed]):
        self.config = config
        self.placed = {item.tensor.name: item for item in placed}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.declared: set[str] = set()

    def node(self, op: str, inputs: list[str], name: str, **attributes) -> str:
        """A node with one result, called as the node is."""
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def integers(self, name: str, values) -> str:
        """An inline int64 constant, a scalar if `values` is a number."""
        if name not in self.declared:
            self.declared.add(name)
            array = np.asarray(values, np.int64)
            self.initializers.append(onnx.numpy_helper.from_array(array, name))
        return name

    def stored(self, weight: str, name: str) -> str:
        """The weight as float32; `name` is the Cast's, if one is needed."""
        self.declare(weight)
        if self.placed[weight].tensor.dtype == "f32":
            return weight
        return self.node("Cast", [weight], name, to=TensorProto.FLOAT)

    def declare(self, weight: str) -> None:
        """Declare the weight's initializer once."""
        if weight in self.declared:
            return
        self.declared.add(weight)
        tensor, offset = self.placed[weight].tensor, self.placed[weight].offset
        location = DATA_FILE
        if tensor.chunks is None:
            location = SEEDED_LOCATION
            offset = list(self.placed).index(weight) + 1
        proto = TensorProto(
            name=weight,
            data_type=_ONNX_TYPES[tensor.dtype],
            dims=tensor.shape,
            data_location=TensorProto.EXTERNAL,
        )
        entries = {"location": location, "offset": offset, "length": tensor.nbytes}
        for key, value in entries.items():
            proto.external_data.add(key=key, value=str(value))
        self.initializers.append(proto)

    def linear(self, x: str, weight: str, name: str, bias: bool = False) -> str:
        """x . weight^T, and + bias; `weight` without its '.weight'."""
        matrix = self.stored(f"{weight}.weight", f"{name}/weight")
        columns = self.node("Transpose", [matrix], f"{name}/transpose", perm=[1, 0])
        if not bias:
            return self.node("MatMul", [x, columns], name)
        product = self.node("MatMul", [x, columns], f"{name}/matmul")
        addend = self.stored(f"{weight}.bias", f"{name}/bias")
        return self.node("Add", [product, addend], name)

    def rms_norm(self, x: str, weight: str, name: str) -> str:
        scale = self.stored(f"{weight}.weight", f"{name}/weight")
        eps = self.config.rms_norm_eps
        return self.node("RMSNormalization", [x, scale], name, axis=-1, epsilon=eps)

    def lengths(self) -> None:
        """The scalars sequence, past and total length."""
        s, p = "model/sequence_length", "model/past_length"
        shape = self.node("Shape", ["input_ids"], f"{s}/shape", start=1, end=2)
        self.node("Squeeze", [shape], s)
        cached = "past_key_values.0.key"
        shape = self.node("Shape", [cached], f"{p}/shape", start=2, end=3)
        self.node("Squeeze", [shape], p)
        self.node("Add", [p, s], "model/total_length")

    def mask(self) -> str:
        zero, one = self.integers("model.zero", 0), self.integers("model.one", 1)
        axis0, axis1 = self.integers("model.axis0", [0]), self.integers("model.axis1", [1])
        past, total = "model/past_length", "model/total_length"
        m = "model/mask"
        queries = self.node("Range", [past, total, one], f"{m}/queries")
        query = self.node("Unsqueeze", [queries, axis1], f"{m}/query_index")
        keys = self.node("Range", [zero, total, one], f"{m}/keys")
        key = self.node("Unsqueeze", [keys, axis0], f"{m}/key_index")
        visible = self.node("LessOrEqual", [key, query], f"{m}/causal")
        if self.config.sliding_window is not None:
            width = self.integers("model.sliding_window", self.config.sliding_window)
            last = self.node("Sub", [query, width], f"{m}/last_hidden")
            inside = self.node("Greater", [key, last], f"{m}/inside_window")
            visible = self.node("And", [visible, inside], f"{m}/visible")
        tokens = self.node("Cast", ["attention_mask"], f"{m}/tokens", to=TensorProto.BOOL)
        axes = self.integers("model.axes12", [1, 2])
        padding = self.node("Unsqueeze", [tokens, axes], f"{m}/padding")
        return self.node("And", [visible, padding], f"{m}/mask")

    def rope_caches(self) -> tuple[str, str]:
        name = "model.rope.inv_freq"
        inv_freq = self.config.inv_freq()
        self.initializers.append(onnx.numpy_helper.from_array(inv_freq, name))
        r = "model/rope"
        real = self.node("Cast", ["position_ids"], f"{r}/float", to=TensorProto.FLOAT)
        axis2 = self.integers("model.axis2", [2])
        positions = self.node("Unsqueeze", [real, axis2], f"{r}/positions")
        angles = self.node("Mul", [positions, name], f"{r}/angles")
        cos = self.node("Cos", [angles], f"{r}/cos")
        return cos, self.node("Sin", [angles], f"{r}/sin")

    def embedding(self) -> str:
        weight, name = "model.embed_tokens.weight", "model/embed_tokens"
        self.declare(weight)
        if self.placed[weight].tensor.dtype == "f32":
            return self.node("Gather", [weight, "input_ids"], name, axis=0)
        rows = self.node("Gather", [weight, "input_ids"], f"{name}/rows", axis=0)
        return self.node("Cast", [rows], name, to=TensorProto.FLOAT)

    def attention(self, x: str, index: int, mask: str, rope: tuple[str, str]) -> str:
        c = self.config
        name, weights = f"model/layers.{index}/attn", f"model.layers.{index}.self_attn"
        bias = c.attention_bias
        q = self.linear(x, f"{weights}.q_proj", f"{name}/q_proj", bias)
        k = self.linear(x, f"{weights}.k_proj", f"{name}/k_proj", bias)
        v = self.linear(x, f"{weights}.v_proj", f"{name}/v_proj", bias)
        q = self.node("RotaryEmbedding", [q, *rope], f"{name}/q_rope", num_heads=c.num_heads)
        k = self.node("RotaryEmbedding", [k, *rope], f"{name}/k_rope", num_heads=c.num_kv_heads)
        past = [f"past_key_values.{index}.{part}" for part in ("key", "value")]
        present = [f"present.{index}.{part}" for part in ("key", "value")]
        y = f"{name}/attention"
        self.nodes.append(
            helper.make_node(
                "Attention",
                [q, k, v, mask, *past],
                [y, *present],
                y,
                q_num_heads=c.num_heads,
                kv_num_heads=c.num_kv_heads,
            )
        )
        return self.linear(y, f"{weights}.o_proj", f"{name}/o_proj", bias)

    def mlp(self, x: str, index: int) -> str:
        name, weights = f"model/layers.{index}/mlp", f"model.layers.{index}.mlp"
        bias = self.config.mlp_bias
        gate = self.linear(x, f"{weights}.gate_proj", f"{name}/gate_proj", bias)
        up = self.linear(x, f"{weights}.up_proj", f"{name}/up_proj", bias)
        sigmoid = self.node("Sigmoid", [gate], f"{name}/sigmoid")
        silu = self.node("Mul", [gate, sigmoid], f"{name}/silu")
        product = self.node("Mul", [silu, up], f"{name}/product")
        return self.linear(product, f"{weights}.down_proj", f"{name}/down_proj", bias)

    def layer(self, x: str, index: int, mask: str, rope: tuple[str, str]) -> str:
        name, weights = f"model/layers.{index}", f"model.layers.{index}"
        norm = "input_layernorm"
        y = self.rms_norm(x, f"{weights}.{norm}", f"{name}/{norm}")
        y = self.attention(y, index, mask, rope)
        x = self.node("Add", [x, y], f"{name}/attn/residual")
        norm = "post_attention_layernorm"
        y = self.rms_norm(x, f"{weights}.{norm}", f"{name}/{norm}")
        return self.node("Add", [x, self.mlp(y, index)], f"{name}/mlp/residual")

    def graph(self) -> onnx.GraphProto:
        self.lengths()
        mask = self.mask()
        rope = self.rope_caches()
        x = self.embedding()
        for index in range(self.config.num_layers):
            x = self.layer(x, index, mask, rope)
        x = self.rms_norm(x, "model.norm", "model/norm")
        tied = self.config.tie_word_embeddings
        head = "model.embed_tokens" if tied else "lm_head"
        # The graph's output must be called logits; its node follows suit.
        self.linear(x, head, "logits")
        return helper.make_graph(
            self.nodes, "llama", self.inputs(), self.outputs(), self.initializers
        )

    def inputs(self) -> list[onnx.ValueInfoProto]:
        c = self.config
        info = helper.make_tensor_value_info
        ids = ["batch", "sequence"]
        values = [
            info("input_ids", TensorProto.INT64, ids),
            info("attention_mask", TensorProto.INT64, ["batch", "total_sequence"]),
            info("position_ids", TensorProto.INT64, ids),
        ]
        cache = ["batch", c.num_kv_heads, "past_sequence", c.head_dim]
        for index in range(c.num_layers):
            for part in ("key", "value"):
                name = f"past_key_values.{index}.{part}"
                values.append(info(name, TensorProto.FLOAT, cache))
        return values

    def outputs(self) -> list[onnx.ValueInfoProto]:
        c = self.config
        info = helper.make_tensor_value_info
        logits = ["batch", "sequence", c.vocab_size]
        values = [info("logits", TensorProto.FLOAT, logits)]
        cache = ["batch", c.num_kv_heads, "total_sequence", c.head_dim]
        for index in range(c.num_layers):
            for part in ("key", "value"):
                values.append(info(f"present.{index}.{part}", TensorProto.FLOAT, cache))
        return values


def build_model(
    config: LlamaConfig, placed: list[Placed], version: str, facts: dict[str, str]
) -> onnx.ModelProto:
    """The whole model; `facts` join the metadata under 'fdpp.' names."""
    model = helper.make_model(
        GraphBuilder(config, placed).graph(),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
        producer_version=version,
    )
    metadata = dict(facts)
    metadata["architecture"] = config.architecture
    metadata["max_position_embeddings"] = str(config.max_position_embeddings)
    metadata["rope_theta"] = repr(config.rope_theta)
    if config.rope_scaling is not None:
        metadata["rope_scaling"] = json.dumps(config.rope_scaling)
    helper.set_model_props(model, {f"fdpp.{key}": metadata[key] for key in sorted(metadata)})
    return model
