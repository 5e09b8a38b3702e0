# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A plain float64 Llama in numpy, the reference that tests compare with.

It follows the model's definition line by line and shares no code with the
exporter: config is the dict of config.json, weights maps Hugging Face names to
arrays [N, K]. Forms that config.json of a Llama does not have stand under
config["forms"], see `forward`."""

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


def layer_norm(x: np.ndarray, weight: np.ndarray, bias, eps: float) -> np.ndarray:
    centered = x - np.mean(x, axis=-1, keepdims=True)
    return rms_norm(centered, weight, eps) + (0 if bias is None else bias)


def rotate(
    x: np.ndarray, positions: np.ndarray, frequencies: np.ndarray, interleaved: bool = False
) -> np.ndarray:
    """x [T, heads, D], of which the first R = 2 * len(frequencies) elements
    turn; element i pairs with i + R/2, or 2i with 2i + 1."""
    angles = positions[:, None, None] * frequencies
    cos, sin = np.cos(angles), np.sin(angles)
    half = len(frequencies)
    result = x.copy()
    one = slice(0, 2 * half, 2) if interleaved else slice(0, half)
    two = slice(1, 2 * half, 2) if interleaved else slice(half, 2 * half)
    result[..., one] = x[..., one] * cos - x[..., two] * sin
    result[..., two] = x[..., two] * cos + x[..., one] * sin
    return result


def softcap(x: np.ndarray, cap: float | None) -> np.ndarray:
    return x if cap is None else cap * np.tanh(x / cap)


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, window: int | None, cap: float | None = None
) -> np.ndarray:
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
        scores = softcap(scores, cap)
        scores = np.where(visible, scores, -np.inf)
        p = np.exp(scores - scores.max(axis=-1, keepdims=True))
        result[:, head] = p / p.sum(axis=-1, keepdims=True) @ v[:, head // group]
    return result


def forward(config: dict, weights: dict, tokens: list[int]) -> np.ndarray:
    """Logits [T, vocab] of one sequence that begins at position 0. The forms are
    `embedding_scale`, `logits_softcap`, `layer_norm` (its biases are weights),
    `ungated` ("gelu" or "silu": no gate), `interleaved`, and as lists over the layers `eps` (in front of attention),
    `windows`, `softcaps` (of attention) and `frequencies`."""
    w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    heads, dim = config["num_attention_heads"], head_dim(config)
    kv_heads = config.get("num_key_value_heads") or heads
    eps = config["rms_norm_eps"]
    window = None
    if config["architectures"] == ["MistralForCausalLM"]:
        window = config.get("sliding_window")
    positions = np.arange(len(tokens))
    forms = config.get("forms", {})

    def norm(x: np.ndarray, name: str, eps: float) -> np.ndarray:
        if not forms.get("layer_norm"):
            return rms_norm(x, w[f"{name}.weight"], eps)
        return layer_norm(x, w[f"{name}.weight"], w.get(f"{name}.bias"), eps)

    def of_layer(form: str, index: int, otherwise):
        return forms[form][index] if form in forms else otherwise

    frequencies = inverse_frequencies(config)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        y = x @ w[f"{name}.weight"].T
        return y + w[f"{name}.bias"] if f"{name}.bias" in w else y

    x = w["model.embed_tokens.weight"][np.asarray(tokens)]
    x = x * forms.get("embedding_scale", 1)
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        y = norm(x, f"{layer}.input_layernorm", of_layer("eps", index, eps))
        q = linear(y, f"{layer}.self_attn.q_proj").reshape(-1, heads, dim)
        k = linear(y, f"{layer}.self_attn.k_proj").reshape(-1, kv_heads, dim)
        v = linear(y, f"{layer}.self_attn.v_proj").reshape(-1, kv_heads, dim)
        turn = of_layer("frequencies", index, frequencies)
        q, k = (rotate(y, positions, turn, forms.get("interleaved", False)) for y in (q, k))
        y = attention(q, k, v, of_layer("windows", index, window),
                      of_layer("softcaps", index, None)).reshape(len(tokens), heads * dim)
        x = x + linear(y, f"{layer}.self_attn.o_proj")
        y = norm(x, f"{layer}.post_attention_layernorm", eps)
        gate, up = linear(y, f"{layer}.mlp.gate_proj"), linear(y, f"{layer}.mlp.up_proj")
        match forms.get("ungated"):
            case "gelu":
                inner = 0.5 * gate * (1 + np.vectorize(math.erf)(gate / math.sqrt(2)))
            case "silu":
                inner = gate / (1 + np.exp(-gate))
            case _:
                inner = gate / (1 + np.exp(-gate)) * up
        x = x + linear(inner, f"{layer}.mlp.down_proj")
    x = norm(x, "model.norm", eps)
    tied = config.get("tie_word_embeddings", False)
    logits = linear(x, "model.embed_tokens" if tied else "lm_head")
    return softcap(logits, forms.get("logits_softcap"))
