# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""GGUF files of every tensor type through the exporter."""

import gguf
import ml_dtypes
import numpy as np
import onnx
import pytest

import llama_reference
import tiny_models
from fdpp.export import main as export
from onnx_runner import OnnxModel

TYPES = gguf.GGMLQuantizationType
TOKENS = [int(t) for t in np.random.default_rng(5).integers(0, 97, 12)]

# Rows of 256 elements hold a whole block of every type.
CONFIG = tiny_models.tiny_config(
    hidden_size=256, intermediate_size=256, num_attention_heads=8,
    num_key_value_heads=2, num_hidden_layers=1,
)

GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "embed_tokens": "token_embd",
    "norm": "output_norm",
}


def gguf_name(name: str) -> str:
    stem, kind = name.rsplit(".", 1)
    if stem == "lm_head":
        return f"output.{kind}"
    parts = stem.split(".")
    if parts[1] == "layers":
        return f"blk.{parts[2]}.{GGUF_NAMES['.'.join(parts[3:])]}.{kind}"
    return f"{GGUF_NAMES[parts[1]]}.{kind}"


def neighbours(array: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head in the order 0, D/2, 1, D/2 + 1, ..., as GGUF has them."""
    dim = array.shape[0] // heads
    order = [h * dim + i + half for h in range(heads) for i in range(dim // 2)
             for half in (0, dim // 2)]
    return array[order]


def rotary_heads(config: dict, name: str) -> int | None:
    if "q_proj" in name:
        return config["num_attention_heads"]
    return config["num_key_value_heads"] if "k_proj" in name else None


def write_gguf(path, config, tensors, factors=None, **metadata) -> None:
    """`tensors` maps Hugging Face names to (data, type), rows reordered."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
        writer.add_rope_dimension_count(config["head_dim"])
    for key, value in metadata.items():
        getattr(writer, key)(value)
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", np.asarray(factors, np.float32))
    for name, (data, kind) in tensors.items():
        if data.dtype == ml_dtypes.bfloat16:
            data = data.view(np.uint8).reshape(*data.shape[:-1], -1)
        writer.add_tensor(gguf_name(name), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantised(config: dict, kind: TYPES, seed: int = 1) -> tuple[dict, dict]:
    """Random weights as (tensors for write_gguf, their float32 values)."""
    tensors, values = {}, {}
    for name, array in tiny_models.random_weights(config, "f32", seed).items():
        stored = TYPES.F32 if array.ndim == 1 else kind
        data = gguf.quantize(array, stored)
        values[name] = gguf.dequantize(data, stored).reshape(array.shape)
        heads = rotary_heads(config, name)
        tensors[name] = (data if heads is None else neighbours(data, heads), stored)
    return tensors, values


def dequantisable() -> list[TYPES]:
    result = []
    for kind in TYPES:
        _, size = gguf.GGML_QUANT_SIZES[kind]
        try:
            gguf.dequantize(np.zeros((1, size), np.uint8), kind)
            result.append(kind)
        except NotImplementedError:
            pass
    return result


def exported(path, *arguments):
    out = path.with_suffix(".out")
    assert export([str(path), "-o", str(out), *arguments]) == 0
    return out


def stored_values(folder, name: str) -> np.ndarray:
    model = onnx.load(folder / "model.onnx")
    tensor = next(t for t in model.graph.initializer if t.name == name)
    return onnx.numpy_helper.to_array(tensor)


@pytest.mark.parametrize(
    "kind",
    [TYPES.F32, TYPES.F16, TYPES.BF16, TYPES.Q4_0, TYPES.Q4_1, TYPES.Q5_0,
     TYPES.Q5_1, TYPES.Q8_0, TYPES.TQ2_0],
    ids=lambda kind: kind.name,
)
def test_logits_match_reference(tmp_path, kind):
    tensors, values = quantised(CONFIG, kind)
    write_gguf(tmp_path / "m.gguf", CONFIG, tensors)
    expected = llama_reference.forward(CONFIG, values, TOKENS)
    logits = OnnxModel(exported(tmp_path / "m.gguf")).logits(TOKENS)
    # Logits of this wider model are of order 30.
    assert np.abs(logits - expected).max() < 1e-3


@pytest.mark.parametrize("kind", dequantisable(), ids=lambda kind: kind.name)
def test_every_type_is_dequantised_exactly(tmp_path, kind):
    rng = np.random.default_rng(2)
    tensors, _ = quantised(CONFIG, TYPES.F32)
    q, v = (f"model.layers.0.self_attn.{part}_proj.weight" for part in "qv")
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = {}
    for name in (q, v):
        rows = tensors[name][0].shape[0]
        # Bytes below 0x40 are finite wherever a type keeps its scales.
        data[name] = rng.integers(0, 0x40, (rows, 256 // block * size), np.uint8)
        native = {TYPES.F32: np.float32, TYPES.F16: np.float16}.get(kind, np.uint8)
        tensors[name] = (data[name].view(native), kind)
    write_gguf(tmp_path / "m.gguf", CONFIG, tensors)
    out = exported(tmp_path / "m.gguf")
    for name in (q, v):
        expected = gguf.dequantize(tensors[name][0], kind)
        found = stored_values(out, name)
        if name == q:
            found = neighbours(found, 8)
        kept = kind in (TYPES.F16, TYPES.BF16)
        assert (found.dtype == np.float32) != kept
        np.testing.assert_array_equal(found.astype(np.float32), expected)


def test_dtype_rounds_dequantised_values(tmp_path):
    tensors, values = quantised(CONFIG, TYPES.Q4_1)
    write_gguf(tmp_path / "m.gguf", CONFIG, tensors)
    out = exported(tmp_path / "m.gguf", "--dtype", "bf16")
    name = "model.layers.0.self_attn.k_proj.weight"
    np.testing.assert_array_equal(
        stored_values(out, name).view(np.uint16),
        values[name].astype(ml_dtypes.bfloat16).view(np.uint16),
    )


def test_biases_head_dim_and_tied_embedding(tmp_path):
    config = CONFIG | {"attention_bias": True, "mlp_bias": True, "head_dim": 20,
                       "tie_word_embeddings": True}
    tensors, values = quantised(config, TYPES.F16)
    write_gguf(tmp_path / "m.gguf", config, tensors)
    expected = llama_reference.forward(config, values, TOKENS)
    logits = OnnxModel(exported(tmp_path / "m.gguf")).logits(TOKENS)
    assert np.abs(logits - expected).max() < 1e-3


def test_rope_factors_divide_frequencies(tmp_path):
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    scaled = CONFIG | {"rope_scaling": scaling}
    factors = (llama_reference.inverse_frequencies(CONFIG)
               / llama_reference.inverse_frequencies(scaled))
    assert factors.min() == 1 and factors.max() > 7.9
    tensors, values = quantised(CONFIG, TYPES.F32)
    write_gguf(tmp_path / "m.gguf", CONFIG, tensors, factors)
    expected = llama_reference.forward(scaled, values, TOKENS)
    logits = OnnxModel(exported(tmp_path / "m.gguf")).logits(TOKENS)
    assert np.abs(logits - expected).max() < 1e-3


def test_linear_rope_scaling(tmp_path):
    scaled = CONFIG | {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}
    tensors, values = quantised(CONFIG, TYPES.F32)
    write_gguf(
        tmp_path / "m.gguf", CONFIG, tensors,
        add_rope_scaling_type=gguf.RopeScalingType.LINEAR, add_rope_scaling_factor=4.0,
    )
    expected = llama_reference.forward(scaled, values, TOKENS)
    logits = OnnxModel(exported(tmp_path / "m.gguf")).logits(TOKENS)
    assert np.abs(logits - expected).max() < 1e-3
