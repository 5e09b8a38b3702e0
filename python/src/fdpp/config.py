# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The geometry of a Llama-family model and how it is read from config.json."""

import dataclasses
import json
import math

import numpy as np

from .errors import UserError

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM")

# The storage types that initializers may have, by their names in --dtype.
DTYPE_NAMES = ("f32", "bf16", "f16")

# No number of a configuration comes near; an extent beyond has no tensor.
LIMIT = 2**31

# Every layer's tensors are named before the first is looked for.
_MAX_LAYERS = 4096

_TORCH_DTYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


@dataclasses.dataclass(frozen=True)
class LlamaConfig:
    """What the graph depends on; units are elements, tokens and radians."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    # None, or {"rope_type": "linear" | "llama3" | "factors", ...}.
    rope_scaling: dict | None
    max_position_embeddings: int
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    # A query sees this many newest keys, itself included; None sees all.
    sliding_window: int | None = None
    architecture: str = "LlamaForCausalLM"
    # Storage type of weights that have no bytes yet (--no-weights).
    dtype: str = "f32"

    def inv_freq(self) -> np.ndarray:
        """Rotary frequencies, float32 [head_dim / 2], computed in float64."""
        exponents = np.arange(0, self.head_dim, 2, dtype=np.float64) / self.head_dim
        inv_freq = self.rope_theta**-exponents
        scaling = self.rope_scaling
        if scaling is None:
            pass
        elif scaling["rope_type"] == "linear":
            inv_freq /= scaling["factor"]
        elif scaling["rope_type"] == "llama3":
            inv_freq = _llama3_frequencies(inv_freq, scaling)
        elif scaling["rope_type"] == "factors":
            inv_freq /= np.asarray(scaling["factors"], np.float64)
        else:
            raise AssertionError(f"unchecked rope_type {scaling['rope_type']}")
        return inv_freq.astype(np.float32)

    def with_layers(self, layers: int) -> "LlamaConfig":
        """The same model cut down to its first `layers` layers."""
        if not 1 <= layers <= self.num_layers:
            raise UserError(
                f"--layers {layers} is outside 1..{self.num_layers}, the layers"
                " that the model has"
            )
        return dataclasses.replace(self, num_layers=layers)

    def to_hf(self) -> dict:
        """A config.json of the same model."""
        torch_dtype = {v: k for k, v in _TORCH_DTYPES.items()}[self.dtype]
        hf = {
            "architectures": [self.architecture],
            "model_type": self.architecture.removesuffix("ForCausalLM").lower(),
            "attention_bias": self.attention_bias,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "mlp_bias": self.mlp_bias,
            "num_attention_heads": self.num_heads,
            "num_hidden_layers": self.num_layers,
            "num_key_value_heads": self.num_kv_heads,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_scaling": self.rope_scaling,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": torch_dtype,
            "vocab_size": self.vocab_size,
        }
        if self.sliding_window is not None:
            hf["sliding_window"] = self.sliding_window
        return hf


def _llama3_frequencies(inv_freq: np.ndarray, scaling: dict) -> np.ndarray:
    """Llama 3.1's scaling: long wavelengths are divided by factor, short ones
    kept, those between interpolated linearly in original_context / wavelength
    (The Llama 3 Herd of Models, arXiv 2407.21783, and its published code)."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_max_position_embeddings"] * inv_freq / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return inv_freq * (kept + (1.0 - kept) / scaling["factor"])


class _Fields:
    """Typed access to config.json whose errors name file and key."""

    def __init__(self, values: dict, where: str):
        self.values = values
        self.where = where

    def error(self, text: str) -> UserError:
        return UserError(f"{self.where}: {text}")

    def number(self, key: str, kind: type, default=None):
        value = self.values.get(key)
        if value is None:
            value = default
        if value is None:
            raise self.error(f"'{key}' is missing")
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not numeric or not 0 < value < LIMIT or kind(value) != value:
            raise self.error(f"'{key}' must be a positive {kind.__name__}, not {value!r}")
        return kind(value)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(f"'{key}' must be true or false, not {value!r}")
        return value


def config_from_hf(values: dict, where: str) -> LlamaConfig:
    """Read config.json's values; `where` names the file in errors.

    Everything that would change the arithmetic and is not supported is
    refused: nothing is ignored in silence."""
    fields = _Fields(values, where)
    listed = values.get("architectures")
    architecture = listed[0] if isinstance(listed, list) and listed else None
    if architecture not in ARCHITECTURES:
        raise fields.error(
            f"architecture {architecture!r} is not supported, only "
            + " and ".join(ARCHITECTURES)
        )
    _refuse_unsupported(fields)
    hidden = fields.number("hidden_size", int)
    heads = fields.number("num_attention_heads", int)
    if values.get("head_dim") is None and hidden % heads:
        raise fields.error(
            f"hidden_size {hidden} is no multiple of num_attention_heads {heads}"
            " and head_dim is not given"
        )
    theta, scaling = _rope(fields)
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=fields.number("intermediate_size", int),
        num_layers=fields.number("num_hidden_layers", int),
        num_heads=heads,
        num_kv_heads=fields.number("num_key_value_heads", int, heads),
        head_dim=fields.number("head_dim", int, hidden // heads),
        vocab_size=fields.number("vocab_size", int),
        rms_norm_eps=fields.number("rms_norm_eps", float, 1e-6),
        rope_theta=theta,
        rope_scaling=scaling,
        max_position_embeddings=fields.number("max_position_embeddings", int, 2048),
        tie_word_embeddings=fields.flag("tie_word_embeddings"),
        attention_bias=fields.flag("attention_bias"),
        mlp_bias=fields.flag("mlp_bias"),
        sliding_window=_sliding_window(fields, architecture),
        architecture=architecture,
        dtype=_storage_dtype(fields),
    )
    return checked(config, where)


def checked(config: LlamaConfig, where: str) -> LlamaConfig:
    """The config, or an error if its numbers do not fit each other."""
    if config.num_heads % config.num_kv_heads:
        raise UserError(
            f"{where}: {config.num_heads} heads cannot share"
            f" {config.num_kv_heads} key/value heads"
        )
    if config.num_layers > _MAX_LAYERS:
        raise UserError(
            f"{where}: {config.num_layers} layers are not supported, at most {_MAX_LAYERS}"
        )
    if config.head_dim % 2:
        raise UserError(
            f"{where}: head_dim {config.head_dim} is odd, rotary embedding needs pairs"
        )
    return config


def _refuse_unsupported(fields: _Fields) -> None:
    values = fields.values
    if values.get("hidden_act", "silu") not in ("silu", "swish"):
        raise fields.error(
            f"hidden_act {values['hidden_act']!r} is not supported, only 'silu'"
        )
    if values.get("quantization_config"):
        raise fields.error(
            "quantised checkpoints are not supported, export the unquantised"
            " model or a GGUF file"
        )
    if values.get("partial_rotary_factor", 1.0) not in (None, 1.0):
        raise fields.error("partial_rotary_factor other than 1 is not supported")


def _sliding_window(fields: _Fields, architecture: str) -> int | None:
    # Llama configurations may carry the key without a meaning.
    if architecture != "MistralForCausalLM":
        return None
    if fields.values.get("sliding_window") is None:
        return None
    return fields.number("sliding_window", int)


def _storage_dtype(fields: _Fields) -> str:
    name = fields.values.get("torch_dtype") or fields.values.get("dtype") or "float32"
    if not isinstance(name, str) or name not in _TORCH_DTYPES:
        raise fields.error(f"torch_dtype {name!r} is not supported")
    return _TORCH_DTYPES[name]


def _rope(fields: _Fields) -> tuple[float, dict | None]:
    """Base and scaling from 'rope_theta' and 'rope_scaling', or from
    'rope_parameters', which newer configurations have instead of both."""
    values = fields.values
    key = "rope_parameters" if values.get("rope_parameters") else "rope_scaling"
    scaling = values.get(key)
    if scaling is not None and not isinstance(scaling, dict):
        raise fields.error(f"'{key}' must be an object or null")
    scaling = dict(scaling or {})
    nested_theta = scaling.pop("rope_theta", None)
    default = 10000.0 if nested_theta is None else nested_theta
    theta = fields.number("rope_theta", float, default)
    kind = scaling.pop("rope_type", None) or scaling.pop("type", None) or "default"
    inner = _Fields(scaling, f"{fields.where}: {key}")
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, {"rope_type": kind, "factor": inner.number("factor", float)}
    if kind == "llama3":
        result = {"rope_type": kind}
        for name in ("factor", "low_freq_factor", "high_freq_factor"):
            result[name] = inner.number(name, float)
        name = "original_max_position_embeddings"
        result[name] = inner.number(name, int)
        if result["high_freq_factor"] <= result["low_freq_factor"]:
            raise inner.error("high_freq_factor must be above low_freq_factor")
        return theta, result
    raise fields.error(
        f"rope scaling {kind!r} is not supported, only 'default', 'linear'"
        " and 'llama3'"
    )


def read_json(path) -> dict:
    """An object from a JSON file, with one-line errors."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold a JSON object")
    return value
