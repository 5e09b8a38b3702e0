# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A plain float64 Llama in numpy, the reference that tests compare with.

It follows the model's definition line by line and shares no code with the
exporter: config is the dict of config.json, weights maps Hugging Face names to
arrays [N, K]."""

import math

import numpy as np


def inverse_frequencies(config: dict) -> np.ndarray:
    """Rotary frequencies [head_dim / 2] in float64."""
    dim = head_dim(config)
    theta = config.get("rope_theta", 10000.0)
    result = np.array([theta ** (-2 * i / dim) for i in range(dim // 2)])
    scaling = config.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "linear":
        result = result / scaling["factor"]
    elif kind == "llama3":
        result = np.array([_llama3(f, scaling) for f in result])
    elif kind != "default":
        raise ValueError(kind)
    return result


def _llama3(frequency: float, scaling: dict) -> float:
    context = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    wavelength = 2 * math.pi / frequency
    if wavelength < context / high:
        return frequency
    if wavelength > context / low:
        return frequency / scaling["factor"]
    smooth = (context / wavelength - low) / (high - low)
    return (1 - smooth) * frequency / scaling["factor"] + smooth * frequency


def head_dim(config: dict) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def rotate(x: np.ndarray, positions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """x [T, heads, D]; element i pairs with i + D/2."""
    angles = positions[:, None, None] * frequencies
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, window: int | None) -> np.ndarray:
    """Causal attention of one sequence: q [T, H, D], k and v [T, G, D]."""
    tokens, heads, dim = q.shape
    group = heads // k.shape[1]
    distance = np.arange(tokens)[:, None] - np.arange(tokens)
    visible = distance >= 0
    if window is not None:
        visible &= distance < window
    result = np.empty_like(q)
    for head in range(heads):
        scores = q[:, head] @ k[:, head // group].T / math.sqrt(dim)
        scores = np.where(visible, scores, -np.inf)
        p = np.exp(scores - scores.max(axis=-1, keepdims=True))
        result[:, head] = p / p.sum(axis=-1, keepdims=True) @ v[:, head // group]
    return result


def forward(config: dict, weights: dict, tokens: list[int]) -> np.ndarray:
    """Logits [T, vocab] of one sequence that begins at position 0."""
    w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    heads, dim = config["num_attention_heads"], head_dim(config)
    kv_heads = config.get("num_key_value_heads") or heads
    eps = config["rms_norm_eps"]
    window = None
    if config["architectures"] == ["MistralForCausalLM"]:
        window = config.get("sliding_window")
    positions = np.arange(len(tokens))
    frequencies = inverse_frequencies(config)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        y = x @ w[f"{name}.weight"].T
        return y + w[f"{name}.bias"] if f"{name}.bias" in w else y

    x = w["model.embed_tokens.weight"][np.asarray(tokens)]
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        y = rms_norm(x, w[f"{layer}.input_layernorm.weight"], eps)
        q = linear(y, f"{layer}.self_attn.q_proj").reshape(-1, heads, dim)
        k = linear(y, f"{layer}.self_attn.k_proj").reshape(-1, kv_heads, dim)
        v = linear(y, f"{layer}.self_attn.v_proj").reshape(-1, kv_heads, dim)
        q, k = rotate(q, positions, frequencies), rotate(k, positions, frequencies)
        y = attention(q, k, v, window).reshape(len(tokens), heads * dim)
        x = x + linear(y, f"{layer}.self_attn.o_proj")
        y = rms_norm(x, w[f"{layer}.post_attention_layernorm.weight"], eps)
        gate, up = linear(y, f"{layer}.mlp.gate_proj"), linear(y, f"{layer}.mlp.up_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * up, f"{layer}.mlp.down_proj")
    x = rms_norm(x, w["model.norm.weight"], eps)
    tied = config.get("tie_word_embeddings", False)
    return linear(x, "model.embed_tokens" if tied else "lm_head")
