# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Geometries of published models, for exports without weights.

Each entry holds what the model's own config.json says."""


def _llama(hidden, inner, layers, heads, kv_heads, vocab, context, theta, **more) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "rope_theta": theta,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    } | more


_LLAMA_3_2_SCALING = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

TEMPLATES = {
    "llama-2-7b": _llama(
        4096, 11008, 32, 32, 32, 32000, 4096, 10000.0, torch_dtype="float16"
    ),
    "llama-2-13b": _llama(
        5120, 13824, 40, 40, 40, 32000, 4096, 10000.0, torch_dtype="float16"
    ),
    "codellama-34b": _llama(8192, 22016, 48, 64, 8, 32000, 16384, 1000000.0),
    "llama-3-8b": _llama(4096, 14336, 32, 32, 8, 128256, 8192, 500000.0),
    "llama-3.2-1b": _llama(
        2048, 8192, 16, 32, 8, 128256, 131072, 500000.0,
        rope_scaling=_LLAMA_3_2_SCALING, tie_word_embeddings=True,
    ),
    "yi-6b": _llama(4096, 11008, 32, 32, 4, 64000, 4096, 5000000.0),
    "yi-34b": _llama(7168, 20480, 60, 56, 8, 64000, 4096, 5000000.0),
    "smollm2-135m": _llama(
        576, 1536, 30, 9, 3, 49152, 8192, 100000.0, tie_word_embeddings=True
    ),
}
