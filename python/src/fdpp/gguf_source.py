# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reads models of architecture 'llama' from GGUF files.

Two things differ from Hugging Face's layout. Rows of the query and key
projections are stored so that rotary embedding acts on neighbours; they are
put back to halves here. Quantised tensors are dequantised by gguf-py to
float32, which holds their values exactly; --dtype may round them after."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np

from .config import LIMIT, LlamaConfig, checked
from .errors import UserError
from .gguf_fields import Fields
from .gguf_layout import check_layout
from .gguf_tokenizer import build_tokenizer
from .tensors import Tensor, row_ranges

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

_TOP_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}

# Divisors of the rotary frequencies (Llama 3.1 and later), no weight.
_ROPE_FACTORS = "rope_freqs.weight"


@dataclasses.dataclass(frozen=True)
class GgufModel:
    """What a file holds, in Hugging Face's terms."""

    config: LlamaConfig
    tensors: dict[str, Tensor]
    files: dict[str, bytes]  # companions: name -> contents
    warnings: list[str]


def read(path: Path) -> GgufModel:
    """Everything but the bytes of the tensors."""
    reader = _open(path)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    metadata = _Metadata(reader, path)
    config = _config(metadata, stored)
    tensors = {}
    for tensor in reader.tensors:
        if tensor.name != _ROPE_FACTORS:
            name = _hf_name(tensor.name, path)
            tensors[name] = _tensor(tensor, name, config, path)
    files, warnings = _companions(metadata)
    return GgufModel(config, tensors, files, warnings)


def _open(path: Path) -> gguf.GGUFReader:
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    check_layout(path)
    try:
        return gguf.GGUFReader(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    # The reader checks little: a damaged file ends in whatever numpy raises.
    except Exception:
        raise UserError(f"{path} is truncated or not a GGUF file") from None


class _Metadata(Fields):
    """The key/value pairs of architecture 'llama'."""

    def __init__(self, reader: gguf.GGUFReader, path: Path):
        super().__init__(reader, f"{path}: ")
        self.reader = reader
        self.path = path
        architecture = self.text("general.architecture")
        if architecture != "llama":
            raise UserError(
                f"{path}: architecture {architecture!r} is not supported, only 'llama'"
            )

    def positive(self, key: str, default: float | None = None) -> int | float:
        """A number of the model: positive, and no larger than models are."""
        value = self.number(f"llama.{key}", default)
        if value is None or not 0 < value < LIMIT:
            what = "is missing" if value is None else f"is {value!r}"
            raise UserError(f"{self.path}: metadata llama.{key} {what}")
        return value

    def count(self, key: str, default: int | None = None) -> int:
        self.integer(f"llama.{key}")  # refuses fractions
        return int(self.positive(key, default))


def _config(metadata: _Metadata, stored: dict) -> LlamaConfig:
    path = metadata.path
    if metadata.integer("split.count", 0) > 1:
        raise UserError(f"{path} is one part of a split model, merge the parts first")
    if metadata.integer("llama.expert_count", 0):
        raise UserError(f"{path}: mixtures of experts are not supported")
    if "token_embd.weight" not in stored:
        raise UserError(f"{path}: tensor token_embd.weight is missing")
    embedding = stored["token_embd.weight"].shape
    if len(embedding) != 2:
        raise UserError(f"{path}: tensor token_embd.weight is no matrix")
    hidden = metadata.count("embedding_length")
    heads = metadata.count("attention.head_count")
    head_dim = metadata.count("attention.key_length", hidden // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if metadata.count(key, head_dim) != head_dim:
            raise UserError(f"{path}: llama.{key} other than {head_dim} is not supported")
    # Stored as float32: the shortest decimal is what config.json had.
    eps = float(str(np.float32(metadata.positive("attention.layer_norm_rms_epsilon"))))
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=metadata.count("feed_forward_length"),
        num_layers=metadata.count("block_count"),
        num_heads=heads,
        num_kv_heads=metadata.count("attention.head_count_kv", heads),
        head_dim=head_dim,
        vocab_size=int(embedding[1]),
        rms_norm_eps=eps,
        rope_theta=float(metadata.positive("rope.freq_base", 10000.0)),
        rope_scaling=_rope_scaling(metadata, stored, head_dim),
        max_position_embeddings=metadata.count("context_length"),
        tie_word_embeddings="output.weight" not in stored,
        attention_bias=_biased(stored, path, ("attn_q", "attn_k", "attn_v", "attn_output")),
        mlp_bias=_biased(stored, path, ("ffn_gate", "ffn_up", "ffn_down")),
    )
    return checked(config, str(path))


def _biased(stored: dict, path: Path, names: tuple[str, ...]) -> bool:
    present = {f"blk.0.{name}.bias" in stored for name in names}
    if len(present) > 1:
        raise UserError(
            f"{path}: biases on some of {', '.join(names)} but not all are not supported"
        )
    return present.pop()


def _rope_scaling(metadata: _Metadata, stored: dict, head_dim: int) -> dict | None:
    kind = metadata.text("llama.rope.scaling.type", "none")
    if kind not in ("none", "linear"):
        raise UserError(
            f"{metadata.path}: rope scaling {kind!r} is not supported, only 'linear'"
        )
    factors = stored.get(_ROPE_FACTORS)
    if kind == "linear":
        if factors is not None:
            raise UserError(f"{metadata.path}: linear rope scaling with {_ROPE_FACTORS}"
                            " is not supported")
        return {"rope_type": "linear", "factor": float(metadata.positive("rope.scaling.factor"))}
    if factors is None:
        return None
    values = np.asarray(factors.data, np.float32).ravel()
    if values.size != head_dim // 2 or not (values > 0).all():
        raise UserError(
            f"{metadata.path}: tensor {_ROPE_FACTORS} must hold {head_dim // 2}"
            " positive values"
        )
    return {"rope_type": "factors", "factors": [float(value) for value in values]}


def _hf_name(name: str, path: Path) -> str:
    stem, _, kind = name.rpartition(".")
    if stem in _TOP_NAMES:
        return f"{_TOP_NAMES[stem]}.{kind}"
    parts = stem.split(".")
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in _LAYER_NAMES:
        return f"model.layers.{parts[1]}.{_LAYER_NAMES[parts[2]]}.{kind}"
    raise UserError(f"{path}: tensor {name} is no part of a Llama model")


def _storage(tensor: gguf.ReaderTensor, path: Path) -> str:
    """The initializer's type: the file's own, or f32 for quantised tensors."""
    types = gguf.GGMLQuantizationType
    plain = {types.F32: "f32", types.F16: "f16", types.BF16: "bf16"}
    if tensor.tensor_type in plain:
        return plain[tensor.tensor_type]
    try:
        _dequantised(_rows(tensor)[:1], tensor.tensor_type)
    except NotImplementedError:
        raise UserError(
            f"{path}: tensor {tensor.name} has type {tensor.tensor_type.name},"
            " which gguf-py does not dequantise"
        ) from None
    return "f32"


def _rows(tensor: gguf.ReaderTensor) -> np.ndarray:
    """The stored data as a matrix; a vector is one row."""
    return tensor.data.reshape(-1, tensor.data.shape[-1])


def _half_rotation_rows(heads: int, rows: int) -> np.ndarray:
    """For each row in Hugging Face's order, the row of the file: the file
    has pair (i, i + D/2) of a head as neighbours 2i and 2i + 1."""
    file_rows = np.arange(rows).reshape(heads, rows // heads // 2, 2)
    return file_rows.swapaxes(1, 2).ravel()


def _tensor(tensor: gguf.ReaderTensor, name: str, config: LlamaConfig, path: Path) -> Tensor:
    shape = tuple(int(extent) for extent in reversed(tensor.shape))
    dtype = _storage(tensor, path)
    order = None
    for part, heads in (("q_proj", config.num_heads), ("k_proj", config.num_kv_heads)):
        if f".{part}." in name:
            if shape[0] % (2 * heads):
                raise UserError(f"{path}: tensor {tensor.name} has {shape[0]} rows, no"
                                f" multiple of {2 * heads}")
            order = _half_rotation_rows(heads, shape[0])

    def chunks() -> Iterator[np.ndarray]:
        if len(shape) == 1:
            vector = _decoded(tensor, slice(0, 1)).reshape(shape)
            yield vector if order is None else vector[order]
            return
        for begin, end in row_ranges(shape[0], math.prod(shape[1:])):
            yield _decoded(tensor, slice(begin, end) if order is None else order[begin:end])

    return Tensor(name, shape, dtype, chunks)


def _decoded(tensor: gguf.ReaderTensor, rows) -> np.ndarray:
    """Some rows as float32, float16 or bfloat16."""
    types = gguf.GGMLQuantizationType
    data = _rows(tensor)[rows]
    if tensor.tensor_type == types.BF16:
        # gguf-py hands bf16 out as bytes.
        return np.ascontiguousarray(data).view(ml_dtypes.bfloat16)
    if tensor.tensor_type in (types.F32, types.F16):
        return data
    return _dequantised(data, tensor.tensor_type)


def _dequantised(data: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    with np.errstate(all="ignore"):  # infinities and NaN are the file's own
        return gguf.dequantize(data, kind)


def _companions(metadata: _Metadata) -> tuple[dict[str, bytes], list[str]]:
    """Files beside the model, and a warning if the tokenizer is of a kind that
    cannot be rebuilt: the model then runs on token ids only."""
    ids = {
        "bos_token_id": metadata.integer("tokenizer.ggml.bos_token_id"),
        "eos_token_id": metadata.integer("tokenizer.ggml.eos_token_id"),
        "pad_token_id": metadata.integer("tokenizer.ggml.padding_token_id"),
    }
    known = {key: value for key, value in ids.items() if value is not None}
    files = {}
    if known:
        text = json.dumps(known, indent=2, sort_keys=True) + "\n"
        files["generation_config.json"] = text.encode()
    try:
        return files | build_tokenizer(metadata.reader), []
    except UserError as error:
        return files, [f"no tokenizer files: {error}; engines will need --tokens"]
