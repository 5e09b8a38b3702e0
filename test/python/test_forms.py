# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Engines of models in forms that Llama does not have but its relatives do: the
graph of a tiny Llama is changed, compiled, run, and compared with numpy."""

import os
import subprocess
import sys
from pathlib import Path

import llama_reference
import needs
import numpy as np
import onnx
import pytest
import tiny_models
from onnx import helper, numpy_helper

TOKENS = [(7 * i * i + 3 * i + 5) % 97 for i in range(19)]
THETAS = {"local": 100.0, "global": 10000.0}

pytestmark = needs.tools("fdpp-compile", "fdpp-run")


def frequencies(theta: float, rotary: int) -> np.ndarray:
    return np.array([theta ** (-2 * i / rotary) for i in range(rotary // 2)], np.float32)


class Surgery:
    """Edits a graph in place; nodes are called as their results are."""

    def __init__(self, model: onnx.ModelProto):
        self.graph = model.graph

    def node(self, name: str) -> onnx.NodeProto:
        return next(node for node in self.graph.node if node.name == name)

    def constant(self, name: str, value) -> str:
        array = numpy_helper.from_array(np.asarray(value), name)
        self.graph.initializer.append(array)
        return name

    def before(self, place: str, *nodes: onnx.NodeProto) -> None:
        at = list(self.graph.node).index(self.node(place))
        for offset, node in enumerate(nodes):
            self.graph.node.insert(at + offset, node)

    def behind(self, name: str, *rest: tuple) -> None:
        """Puts a chain of (operator, second operand) behind a node; what read
        it reads the chain's end, which takes its name."""
        node = self.node(name)
        at = list(self.graph.node).index(node)
        node.output[0] = inner = f"{name}/0"
        for step, (operator, operand) in enumerate(rest, 1):
            result = name if step == len(rest) else f"{name}/{step}"
            operands = [inner] if operand is None else [inner, operand]
            self.graph.node.insert(
                at + step, helper.make_node(operator, operands, [result], result)
            )
            inner = result

    def scale_embedding(self, factor: float) -> None:
        self.behind("model/embed_tokens", ("Mul", self.constant("factor", np.float32(factor))))

    def cap_logits(self, cap: float) -> None:
        cap = self.constant("cap", np.float32(cap))
        self.behind("logits", ("Div", cap), ("Tanh", None), ("Mul", cap))

    def make_layer_norms(self, biases: dict[str, np.ndarray]) -> None:
        for node in self.graph.node:
            if node.op_type == "RMSNormalization":
                node.op_type = "LayerNormalization"
                bias = node.input[1].replace(".weight", ".bias")
                if bias in biases:
                    node.input.append(self.constant(bias, biases[bias].astype(np.float32)))

    def rotate(self, rotary: int, interleaved: bool) -> None:
        tables = [i for i in self.graph.initializer if i.name == "model.rope.inv_freq"]
        tables[0].CopyFrom(numpy_helper.from_array(frequencies(10000.0, rotary), tables[0].name))
        for node in self.graph.node:
            if node.op_type == "RotaryEmbedding":
                node.attribute.extend([
                    helper.make_attribute("rotary_embedding_dim", rotary),
                    helper.make_attribute("interleaved", int(interleaved)),
                ])

    def other_angles(self, kind: str, rotary: int, layers: list[int]) -> None:
        """Gives these layers a rotary table of their own."""
        inverse = self.constant(f"inv_freq.{kind}", frequencies(THETAS[kind], rotary))
        angles = f"model/rope/angles.{kind}"
        self.before(
            "model/layers.0/input_layernorm",
            helper.make_node("Mul", ["model/rope/positions", inverse], [angles], angles),
            *(helper.make_node(wave, [angles], [f"{angles}/{wave}"], f"{angles}/{wave}")
              for wave in ("Cos", "Sin")),
        )
        for layer in layers:
            for part in "qk":
                node = self.node(f"model/layers.{layer}/attn/{part}_rope")
                node.input[1:] = [f"{angles}/Cos", f"{angles}/Sin"]

    def attend(self, layer: int, window: int | None, cap: float) -> None:
        node = self.node(f"model/layers.{layer}/attn/attention")
        if cap is not None:
            node.attribute.append(helper.make_attribute("softcap", cap))
        if window is None:
            return
        name = f"{node.name}/mask"
        width = self.constant(f"{name}/width", np.int64(window))
        steps = [("Sub", ["model/mask/query_index", width], "last"),
                 ("Greater", ["model/mask/key_index", f"{name}/last"], "inside"),
                 ("And", ["model/mask/mask", f"{name}/inside"], "visible")]
        self.before(node.name, *(helper.make_node(op, inputs, [f"{name}/{result}"])
                                 for op, inputs, result in steps))
        node.input[3] = f"{name}/visible"

    def remove_gates(self, layers: int, operator: str | None = None) -> None:
        """The first linear alone goes on, through its own activation or another."""
        for layer in range(layers):
            name = f"model/layers.{layer}/mlp"
            if operator:
                silu = self.node(f"{name}/silu")
                silu.op_type = operator
                del silu.input[1:]
            for node in self.graph.node:
                for i, value in enumerate(node.input):
                    if value == f"{name}/product":
                        node.input[i] = f"{name}/silu"

    def set_eps(self, layer: int, eps: float) -> None:
        for attribute in self.node(f"model/layers.{layer}/input_layernorm").attribute:
            if attribute.name == "epsilon":
                attribute.f = eps


def gemma(surgery: Surgery, config: dict, weights: dict) -> None:
    """Layers that differ in every scalar there is, and in their angles."""
    layers = config["num_hidden_layers"]
    kinds = ["local", "local", "global", "local", "local"]
    forms = config["forms"] = {
        "embedding_scale": 6.5,
        "logits_softcap": 2.5,
        "eps": [1e-2, 3e-1, 1e-2, 2e-2, 1e-2],
        "windows": [4, 7, None, 3, 4],
        "softcaps": [1.5, 1.5, 0.7, None, 3.0],
        "frequencies": [frequencies(THETAS[kind], 8) for kind in kinds],
    }
    surgery.scale_embedding(forms["embedding_scale"])
    surgery.cap_logits(forms["logits_softcap"])
    for kind in THETAS:
        surgery.other_angles(kind, 8, [i for i in range(layers) if kinds[i] == kind])
    for layer in range(layers):
        surgery.set_eps(layer, forms["eps"][layer])
        surgery.attend(layer, forms["windows"][layer], forms["softcaps"][layer])


def make_layer_norms(surgery: Surgery, config: dict, weights: dict, biased: bool) -> None:
    rng = np.random.default_rng(3)
    norms = [name for name in weights if "norm" in name]
    biases = {name.replace(".weight", ".bias"): rng.standard_normal(weights[name].shape)
              for name in norms if biased}
    weights |= biases
    config["forms"]["layer_norm"] = True
    surgery.make_layer_norms(biases)


def falcon(surgery: Surgery, config: dict, weights: dict) -> None:
    """Layer norms, no gates, and half of each head turns."""
    layers = config["num_hidden_layers"]
    config["forms"] = {"ungated": "gelu", "frequencies": [frequencies(10000.0, 4)] * layers}
    make_layer_norms(surgery, config, weights, biased=True)
    surgery.remove_gates(layers, "Gelu")
    surgery.rotate(4, interleaved=False)


def gptj(surgery: Surgery, config: dict, weights: dict) -> None:
    """Layer norms without bias; neighbours turn, of some elements of a head."""
    config["forms"] = {"interleaved": True,
                       "frequencies": [frequencies(10000.0, 6)] * config["num_hidden_layers"]}
    make_layer_norms(surgery, config, weights, biased=False)
    surgery.rotate(6, interleaved=True)


def meta(surgery: Surgery, config: dict, weights: dict) -> None:
    """Neighbours turn, of whole heads, as in Llama's first code; no gates."""
    config["forms"] = {"interleaved": True, "ungated": "silu"}
    surgery.remove_gates(config["num_hidden_layers"])
    surgery.rotate(8, interleaved=True)


FORMS = {form.__name__: form for form in (gemma, falcon, gptj, meta)}


def run(*arguments) -> str:
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", FORMS)
def test_engine_computes_the_form(form, tmp_path):
    config = tiny_models.tiny_config(num_hidden_layers=5 if form == "gemma" else 2)
    source = tmp_path / "hf"
    weights = dict(tiny_models.write_hf_folder(source, config, "f32", seed=11))
    run(sys.executable, "-m", "fdpp.export", source, "-o", tmp_path / "onnx")
    file = tmp_path / "onnx" / "model.onnx"
    model = onnx.load(file, load_external_data=False)
    FORMS[form](Surgery(model), config, weights)
    onnx.save(model, file)
    expected = llama_reference.forward(config, weights, TOKENS)
    plain = llama_reference.forward(config | {"forms": {}}, weights, TOKENS)
    assert np.abs(plain - expected).max() > 0.1, "the form does not show"

    engine = tmp_path / "engine"
    run(needs.BIN / "fdpp-compile", file, "-o", engine, "--dtype=f32")
    report = (engine / "report.md").read_text()
    assert "attention mask means causal" in report
    assert "onnx.Attention became fdpp.masked_attention" in report
    if form == "gemma":
        assert "rolled 5 repetitions into one loop" in report
    for prefill in (len(TOKENS), 1, 6):
        run(needs.BIN / "fdpp-run", engine, "--tokens", ",".join(map(str, TOKENS)), "-n", 0,
            "--prefill", prefill, "--logits", tmp_path / "logits.npy")
        logits = np.load(tmp_path / "logits.npy")
        assert np.abs(logits - expected).max() < 2e-4, f"prefill of {prefill}"
