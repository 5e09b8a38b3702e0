# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tiny Llama models with random weights, as Hugging Face folders.

    python test/python/tiny_models.py --list
    python test/python/tiny_models.py gqa OUT            # a Hugging Face folder
    python test/python/tiny_models.py gqa OUT --export   # model.onnx of it

Weights depend on the name, the configuration and the seed only."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np

DTYPES = {
    "f32": ("F32", np.dtype(np.float32), "float32"),
    "bf16": ("BF16", np.dtype(ml_dtypes.bfloat16), "bfloat16"),
    "f16": ("F16", np.dtype(np.float16), "float16"),
}


def tiny_config(**changes) -> dict:
    """A grouped-query Llama of two layers; `changes` replace its fields."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "vocab_size": 97,
        "max_position_embeddings": 256,
        # Large enough for a wrong epsilon to show.
        "rms_norm_eps": 1e-2,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
    } | changes


_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

# Name -> (config, storage dtype, number of shards).
MODELS = {
    "gqa": (tiny_config(), "f32", 1),
    "mha": (tiny_config(num_key_value_heads=6), "f32", 1),
    "mqa": (tiny_config(num_key_value_heads=1, num_hidden_layers=1), "bf16", 1),
    "tied-bf16": (tiny_config(tie_word_embeddings=True), "bf16", 1),
    "f16": (tiny_config(num_hidden_layers=3), "f16", 1),
    "biases": (tiny_config(attention_bias=True, mlp_bias=True), "bf16", 1),
    "llama3-rope": (tiny_config(rope_scaling=_LLAMA3, head_dim=16), "f32", 1),
    "linear-rope": (
        tiny_config(rope_scaling={"type": "linear", "factor": 2.0}), "f32", 1,
    ),
    "odd-sizes": (
        tiny_config(
            hidden_size=37, intermediate_size=53, num_attention_heads=3,
            num_key_value_heads=3, head_dim=10, vocab_size=101,
        ),
        "bf16", 1,
    ),
    "sharded": (tiny_config(num_hidden_layers=3), "bf16", 3),
    "window": (
        tiny_config(architectures=["MistralForCausalLM"], model_type="mistral",
                    sliding_window=5),
        "f32", 1,
    ),
    "one-layer": (tiny_config(num_hidden_layers=1), "bf16", 1),
}


def tensor_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Names and shapes, written out independently of the exporter."""
    hidden, inner, vocab = (
        config[key] for key in ("hidden_size", "intermediate_size", "vocab_size")
    )
    heads = config["num_attention_heads"]
    dim = config.get("head_dim") or hidden // heads
    q, kv = heads * dim, config["num_key_value_heads"] * dim
    shapes = {"model.embed_tokens.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, hidden)
    attention = {"q_proj": (q, hidden), "k_proj": (kv, hidden),
                 "v_proj": (kv, hidden), "o_proj": (hidden, q)}
    mlp = {"gate_proj": (inner, hidden), "up_proj": (inner, hidden),
           "down_proj": (hidden, inner)}
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        shapes[f"{layer}.input_layernorm.weight"] = (hidden,)
        shapes[f"{layer}.post_attention_layernorm.weight"] = (hidden,)
        for part, linears in (("self_attn", attention), ("mlp", mlp)):
            key = "attention_bias" if part == "self_attn" else "mlp_bias"
            for name, shape in linears.items():
                shapes[f"{layer}.{part}.{name}.weight"] = shape
                if config.get(key):
                    shapes[f"{layer}.{part}.{name}.bias"] = shape[:1]
    return shapes


def random_weights(config: dict, dtype: str, seed: int) -> dict[str, np.ndarray]:
    """Weights rounded to `dtype`, of a size that keeps every part visible in
    the logits: scores and gates are neither flat nor saturated."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in tensor_shapes(config).items():
        values = rng.standard_normal(shape)
        if "norm" in name:
            values = 1.0 + 0.3 * values
        elif name.endswith(".bias"):
            values = 0.5 * values
        elif "embed" not in name:
            values = 1.5 * values / np.sqrt(shape[1])
        weights[name] = values.astype(DTYPES[dtype][1])
    return weights


def write_safetensors(path: Path, weights: dict[str, np.ndarray]) -> None:
    names = {array: kind for kind, array, _ in DTYPES.values()}
    header, end = {}, 0
    for name, array in weights.items():
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in weights.values():
            file.write(array.tobytes())


def write_hf_folder(
    folder: Path, config: dict, dtype: str = "f32", seed: int = 0, shards: int = 1
) -> dict[str, np.ndarray]:
    """Write config.json and safetensors; returns the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config | {"torch_dtype": DTYPES[dtype][2]}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    weights = random_weights(config, dtype, seed)
    if shards == 1:
        write_safetensors(folder / "model.safetensors", weights)
        return weights
    weight_map = {}
    for index in range(shards):
        file = f"model-{index + 1:05}-of-{shards:05}.safetensors"
        names = list(weights)[index::shards]
        write_safetensors(folder / file, {name: weights[name] for name in names})
        weight_map.update(dict.fromkeys(names, file))
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return weights


def write_model(name: str, folder: Path, seed: int = 0) -> tuple[dict, dict]:
    """Write one of MODELS; returns its config and weights."""
    config, dtype, shards = MODELS[name]
    return config, write_hf_folder(folder, config, dtype, seed, shards)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", choices=MODELS)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        print("\n".join(MODELS))
        return 0
    if args.name is None or args.folder is None:
        parser.error("give a name and a folder")
    if not args.export:
        write_model(args.name, args.folder, args.seed)
        return 0
    from fdpp.export import main as export

    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / args.name
        write_model(args.name, source, args.seed)
        return export([str(source), "-o", str(args.folder)])


if __name__ == "__main__":
    sys.exit(main())
