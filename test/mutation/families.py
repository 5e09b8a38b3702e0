# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The graphs that metamorphic and mutation tests start from, by family.

A Form is one graph in a file of its own; a family is a set of forms that write
a Llama in the same way: what fdpp-export writes, the same changed into models of
Llama's relatives, and the exports of torch and optimum in test/forms. Families
are made on demand in a folder."""

import contextlib
import dataclasses
import io
import json
import sys
from pathlib import Path

import numpy as np
import onnx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXPORTS = ROOT / "test" / "forms"
sys.path[:0] = [str(ROOT / "test" / "python"), str(ROOT / "python" / "src"), str(EXPORTS)]

import tiny_models  # noqa: E402
import test_forms  # noqa: E402
from fdpp.export import main as export  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Form:
    family: str
    name: str
    path: Path
    # Of logits, relative to the largest: what float32 leaves of a tiny model.
    bound: float = 1e-4

    def load(self) -> onnx.ModelProto:
        """The graph with its weights inside."""
        return onnx.load(self.path)


def _small(**changes) -> dict:
    """Every extent differs from the others, so that a wrong one shows, but for
    square weights and equal shapes: mistakes that still fit are the subject."""
    return tiny_models.tiny_config(**({
        "hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 6,
        "num_key_value_heads": 2, "head_dim": 4, "vocab_size": 53,
        "rms_norm_eps": 1e-2, "rope_theta": 100.0} | changes))


_OWN = {
    "gqa": _small(),
    "window": _small(architectures=["MistralForCausalLM"], model_type="mistral",
                    sliding_window=3),
    "biases": _small(attention_bias=True, mlp_bias=True, num_key_value_heads=6),
    "tied": _small(tie_word_embeddings=True, num_key_value_heads=1),
    "three": _small(num_hidden_layers=3, rope_scaling={"type": "linear", "factor": 2.0}),
}


def _exported(config: dict, folder: Path, dtype: str = "f32", seed: int = 1):
    weights = tiny_models.write_hf_folder(folder / "hf", config, dtype, seed)
    with contextlib.redirect_stdout(io.StringIO()):
        assert export([str(folder / "hf"), "-o", str(folder / "onnx")]) == 0
    return folder / "onnx" / "model.onnx", dict(weights)


def own_forms(folder: Path) -> list[Form]:
    """What fdpp-export writes."""
    forms = []
    for name, config in _OWN.items():
        dtype = "bf16" if name == "tied" else "f32"
        path, _ = _exported(config, folder / name, dtype)
        forms.append(Form("fdpp", name, path))
    return forms


def relative_forms(folder: Path) -> list[Form]:
    """Models of Llama's relatives, by surgery on the export."""
    forms = []
    for name, change in test_forms.FORMS.items():
        config = tiny_models.tiny_config(
            num_hidden_layers=5 if name == "gemma" else 2, vocab_size=53)
        path, weights = _exported(config, folder / name)
        model = onnx.load(path)
        change(test_forms.Surgery(model), config, weights)
        for node in model.graph.node:
            node.name = node.output[0]  # no two alike, says onnxruntime
        onnx.save(model, path)
        forms.append(Form("relatives", name, path))
    return forms


# Of logits, as test/forms/forms.py allows, which says why; five times as much of
# float32, since a mutant may be worse conditioned than what was trained.
_BOUNDS = {"f32": 1e-4, "f16": 1e-2, "bf16": 8e-2}


def _exports() -> dict[str, list[str]]:
    """The sets of test/forms by opset: other versions of transformers, caches,
    masks and functions are forms of one family."""
    listing = EXPORTS / "models" / "forms.json"
    families: dict[str, list[str]] = {}
    for name in json.loads(listing.read_text()) if listing.exists() else ():
        family = next(part for part in name.split("-") if part.startswith(("torch", "opt")))
        families.setdefault(family, []).append(name)
    return families


def exported_forms(family: str, folder: Path) -> list[Form]:
    """What torch or optimum wrote. A cache of one size cannot be filled."""
    import forms

    return [Form(family, form.name, form.model, _BOUNDS[form.info["dtype"]])
            for form in forms.unpack(folder, _exports()[family])
            if not (form.info["static"] and form.has_cache)]


FAMILIES = ["fdpp", "relatives", *_exports()]


def make_family(family: str, folder: Path) -> list[Form]:
    folder = folder / family
    if family == "fdpp":
        return own_forms(folder)
    if family == "relatives":
        return relative_forms(folder)
    return exported_forms(family, folder)


#===----------------------------------------------------------------------===#
# Feeding a graph
#===----------------------------------------------------------------------===#

_NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16,
          "tensor(int64)": np.int64, "tensor(int32)": np.int32,
          "tensor(bool)": np.bool_}


# Two sequences of nine tokens, unless the graph has fixed extents.
BATCH, LENGTH = 2, 9


def tokens_of(session, length: int = LENGTH, batch: int = BATCH) -> np.ndarray:
    """Token ids [sequence, token] that the session takes."""
    ids = next(value for value in session.get_inputs() if value.name == "input_ids")
    logits = next(value for value in session.get_outputs() if value.name == "logits")
    shape = [size if isinstance(size, int) else free
             for size, free in zip(ids.shape, (batch, length))]
    return np.random.default_rng(5).integers(0, logits.shape[2], shape)


class Feeder:
    """Runs a session on sequences of equal length, split into steps: what the
    graph means for tokens without padding. Every input is found by its name,
    the caches by their rank."""

    def __init__(self, session, tokens: np.ndarray):
        self.session = session
        self.tokens = tokens
        self.inputs = {value.name: value for value in session.get_inputs()}
        self.outputs = [value.name for value in session.get_outputs()]
        self.past_names = [n for n, v in self.inputs.items() if len(v.shape) == 4]

    def empty_past(self) -> list[np.ndarray]:
        batch = len(self.tokens)
        return [np.zeros((batch, self.inputs[name].shape[1], 0, self.inputs[name].shape[3]),
                         _NUMPY[self.inputs[name].type]) for name in self.past_names]

    def feeds(self, begin: int, end: int, past: list) -> dict:
        batch = len(self.tokens)
        feeds = dict(zip(self.past_names, past))
        values = {
            "input_ids": self.tokens[:, begin:end],
            "attention_mask": np.ones((batch, end)),
            "position_ids": np.tile(np.arange(begin, end), (batch, 1)),
        }
        for name, value in values.items():
            if name in self.inputs:
                feeds[name] = value.astype(_NUMPY[self.inputs[name].type])
        return feeds

    def logits(self, split: list[int]) -> np.ndarray:
        """[sequence, token, vocabulary]; a graph without a cache sees all."""
        if not self.past_names:
            split = [sum(split)]
        past, parts, begin = self.empty_past(), [], 0
        for size in split:
            logits, *past = self.session.run(None, self.feeds(begin, begin + size, past))
            begin += size
            parts.append(logits.astype(np.float64))
            past = past[: len(self.past_names)]
        return np.concatenate(parts, axis=1)
