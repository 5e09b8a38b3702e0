# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Weights as streams: named tensors whose bytes are read chunk by chunk."""

import dataclasses
import math
from collections.abc import Callable, Iterator

import ml_dtypes
import numpy as np

from .config import LlamaConfig
from .errors import UserError

DTYPES = {
    "f32": np.dtype(np.float32),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f16": np.dtype(np.float16),
}

# Bytes of float32 that one chunk holds at most, if a row is not larger.
CHUNK_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A weight under its Hugging Face name, row-major.

    `chunks` yields arrays of `dtype` that concatenate to the tensor's elements
    in row-major order; it is None for a weight that has no bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # a key of DTYPES
    chunks: Callable[[], Iterator[np.ndarray]] | None

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


def row_ranges(rows: int, elements_per_row: int) -> Iterator[tuple[int, int]]:
    """Half-open row ranges whose float32 values fit in CHUNK_BYTES."""
    step = max(1, CHUNK_BYTES // (4 * max(1, elements_per_row)))
    for begin in range(0, rows, step):
        yield begin, min(rows, begin + step)


def converted(tensor: Tensor, dtype: str) -> Tensor:
    """The tensor stored as `dtype`, rounded to nearest even on the way."""
    if dtype == tensor.dtype:
        return tensor
    if tensor.chunks is None:
        return dataclasses.replace(tensor, dtype=dtype)

    def chunks() -> Iterator[np.ndarray]:
        for chunk in tensor.chunks():
            # Through float32, which holds every f16 and bf16 exactly.
            wide = chunk.astype(np.float32)
            with np.errstate(over="ignore"):
                narrow = wide.astype(DTYPES[dtype])
            lost = np.isinf(narrow.astype(np.float32)) & np.isfinite(wide)
            if lost.any():
                raise UserError(
                    f"tensor {tensor.name} holds {wide[lost].flat[0]:g}, which"
                    f" overflows {dtype}, choose --dtype bf16 or f32"
                )
            yield narrow

    return dataclasses.replace(tensor, dtype=dtype, chunks=chunks)


def expected_shapes(config: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """Every weight of the model, in the order of use, with its shape [N, K]."""
    hidden, inner = config.hidden_size, config.intermediate_size
    q_width = config.num_heads * config.head_dim
    kv_width = config.num_kv_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, hidden)
    }

    def linear(name: str, rows: int, columns: int, bias: bool) -> None:
        shapes[f"{name}.weight"] = (rows, columns)
        if bias:
            shapes[f"{name}.bias"] = (rows,)

    for index in range(config.num_layers):
        layer = f"model.layers.{index}"
        shapes[f"{layer}.input_layernorm.weight"] = (hidden,)
        linear(f"{layer}.self_attn.q_proj", q_width, hidden, config.attention_bias)
        linear(f"{layer}.self_attn.k_proj", kv_width, hidden, config.attention_bias)
        linear(f"{layer}.self_attn.v_proj", kv_width, hidden, config.attention_bias)
        linear(f"{layer}.self_attn.o_proj", hidden, q_width, config.attention_bias)
        shapes[f"{layer}.post_attention_layernorm.weight"] = (hidden,)
        linear(f"{layer}.mlp.gate_proj", inner, hidden, config.mlp_bias)
        linear(f"{layer}.mlp.up_proj", inner, hidden, config.mlp_bias)
        linear(f"{layer}.mlp.down_proj", hidden, inner, config.mlp_bias)
    shapes["model.norm.weight"] = (hidden,)
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, hidden)
    return shapes
