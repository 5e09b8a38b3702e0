# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exported models from import to planned, interpreted around every pass."""
import os
import random
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

import tiny_models
from fdpp.export import main as export
from onnx_runner import OnnxModel

BUILD = Path(os.environ.get("FDPP_BUILD_DIR",
                            Path(__file__).parents[2] / "build/release"))
PHASES = ("recognised", "raised", "rolled", "fused", "planned")


def run(tool, *arguments):
    subprocess.run([BUILD / "bin" / tool, *arguments], check=True)


def check(module, *passes):
    return subprocess.run(
        [BUILD / "bin/fdpp-opt", module, "--fdpp-check-each", *passes, "-o",
         os.devnull], capture_output=True, text=True)


def imported_model(base, config, dtype, shards=1, seed=0):
    tiny_models.write_hf_folder(base / "hf", config, dtype, seed, shards)
    assert export([str(base / "hf"), "-o", str(base / "onnx")]) == 0
    # Weights are read relative to the module.
    module = base / "onnx" / "import.mlir"
    run("fdpp-translate", "--import-onnx", base / "onnx" / "model.onnx", "-o",
        module)
    return module


@pytest.fixture(scope="module", params=list(tiny_models.MODELS))
def imported(request, tmp_path_factory):
    return imported_model(tmp_path_factory.mktemp(request.param),
                          *tiny_models.MODELS[request.param])


def expect_every_pass_to_keep_the_logits(module, dtype, *options):
    phases = [f"--fdpp-to-{phase}" for phase in PHASES]
    phases[3] += f"=dtype={dtype}"
    done = check(module, *options, *phases)
    assert done.returncode == 0, done.stderr
    runs = re.search(r"check-each: (\d+) scripts", done.stderr)
    assert int(runs[1]) >= 20, done.stderr


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_every_pass_keeps_the_logits(imported, dtype):
    expect_every_pass_to_keep_the_logits(imported, dtype)


def random_config(seed):
    draw = random.Random(seed)
    kv_heads = draw.randint(1, 3)
    changes = {
        "num_hidden_layers": draw.randint(1, 3),
        "num_key_value_heads": kv_heads,
        "num_attention_heads": kv_heads * draw.randint(1, 3),
        "head_dim": 2 * draw.randint(1, 6),
        "hidden_size": draw.randint(3, 40),
        "intermediate_size": draw.randint(3, 50),
        "vocab_size": draw.randint(5, 60),
        "rope_theta": draw.choice([100.0, 10000.0, 500000.0]),
        "rms_norm_eps": draw.choice([1e-2, 1e-5]),
        "tie_word_embeddings": draw.random() < 0.3,
        "attention_bias": draw.random() < 0.3,
        "mlp_bias": draw.random() < 0.3,
    }
    if draw.random() < 0.3:
        changes |= {"architectures": ["MistralForCausalLM"],
                    "model_type": "mistral", "attention_bias": False,
                    "mlp_bias": False, "sliding_window": draw.randint(1, 8)}
    return tiny_models.tiny_config(**changes)


@pytest.mark.parametrize("seed", range(20))
def test_random_models(seed, tmp_path):
    stored = ("f32", "bf16", "f16")[seed % 3]
    module = imported_model(tmp_path, random_config(seed), stored, seed=seed)
    expect_every_pass_to_keep_the_logits(
        module, ("f32", "bf16")[seed % 2], f"--fdpp-check-seed={seed}",
        "--fdpp-check-sequences=4")


def test_the_graph_gives_what_onnxruntime_gives(imported, tmp_path):
    tokens = random.Random(3).sample(range(97), 11)
    run("fdpp-opt", imported, "-o", os.devnull,
        f"--fdpp-interpret=tokens={','.join(map(str, tokens))} "
        f"weights={imported.parent} logits={tmp_path / 'logits.npy'}")
    actual = np.load(tmp_path / "logits.npy")
    expected = OnnxModel(imported.parent).logits(tokens)
    assert np.abs(actual - expected).max() <= 2e-5 * np.abs(expected).max()


def test_functions(tmp_path):
    """Norms as a function of the model, which import keeps as calls."""
    module = imported_model(tmp_path, tiny_models.tiny_config(), "bf16")
    model = onnx.load(tmp_path / "onnx" / "model.onnx", load_external_data=False)
    norm = onnx.helper.make_node("RMSNormalization", ["x", "w"], ["y"], axis=-1,
                                 epsilon=1e-2)
    model.functions.append(onnx.helper.make_function(
        "local", "Norm", ["x", "w"], ["y"], [norm], model.opset_import))
    model.opset_import.append(onnx.helper.make_opsetid("local", 1))
    for node in model.graph.node:
        if node.op_type == "RMSNormalization":
            node.op_type, node.domain = "Norm", "local"
            del node.attribute[:]
    onnx.save(model, tmp_path / "onnx" / "calls.onnx")
    run("fdpp-translate", "--import-onnx", tmp_path / "onnx" / "calls.onnx", "-o",
        module)
    assert module.read_text().count("call @") == 5
    expect_every_pass_to_keep_the_logits(module, "f32")


def test_a_fault_is_found(imported):
    done = check(imported, "--pass-pipeline=builtin.module("
                 "func.func(onnx-fold-constants,onnx-lift-shapes,onnx-lift-masks),"
                 "onnx-recognise,fdpp-inject-fault{kind=eps},fdpp-to-step)")
    assert done.returncode == 1
    assert "check-each: 'fdpp-inject-fault' changes the meaning" in done.stderr
