# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Engines of tiny models of every form against the interpreter, which rounds
where an engine does: nearly every bit of a position's logits is the same. The
bounds are those of docs/numerics.md. No two models have the same shapes.
"""
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test" / "python"), str(ROOT / "python" / "src")]
import tiny_models  # noqa: E402
from fdpp.export import main as export  # noqa: E402

BIN = Path(os.environ.get("FDPP_BUILD_DIR", ROOT / "build" / "release")) / "bin"
TOKENS = 37  # crosses two pages
ROUNDOFF = {"bf16": 2.0**-9, "f16": 2.0**-12, "f32": 2.0**-25}
PHASES = ("recognised", "raised", "rolled", "fused", "planned")
CASES = [(name, dtype, "native") for name, dtype in
         zip(tiny_models.MODELS, ("bf16", "f32", "f16") * 4)]
CASES += [("gqa", "f16", "native"), ("biases", "bf16", "native"),
          ("mqa", "f32", "native"), ("odd-sizes", "f16", "x86-64"),
          ("gqa", "bf16", "x86-64")]


def run(*arguments):
    done = subprocess.run([str(a) for a in arguments], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr


def interpreted(model, dtype, ids, folder, lengths=""):
    """Logits of the planned model, of one sequence or of a batch of several."""
    run(BIN / "fdpp-translate", "--import-onnx", model, "-o", folder / "import.mlir")
    passes = [f"--fdpp-to-{phase}" for phase in PHASES]
    passes[3] += f"=dtype={dtype}"
    run(BIN / "fdpp-opt", folder / "import.mlir", *passes, "-o", os.devnull,
        f"--fdpp-interpret=tokens={ids} round={dtype} weights={model.parent} "
        f"{lengths and 'lengths=' + lengths} "
        f"logits={folder / 'interpreted.npy'}")
    return np.load(folder / "interpreted.npy")


@pytest.mark.parametrize("name,dtype,arch", CASES,
                         ids=["-".join(case) for case in CASES])
def test_equals_the_interpreter(name, dtype, arch, tmp_path):
    config = tiny_models.write_model(name, tmp_path / "hf")[0]
    assert export([str(tmp_path / "hf"), "-o", str(tmp_path / "onnx")]) == 0
    model = tmp_path / "onnx" / "model.onnx"
    draw = random.Random(f"{name} {dtype}")
    ids = ",".join(str(draw.randrange(config["vocab_size"])) for _ in range(TOKENS))
    expected = interpreted(model, dtype, ids, tmp_path)
    assert expected.shape == (TOKENS, config["vocab_size"])
    engine = tmp_path / "engine"
    run(BIN / "fdpp-compile", model, "-o", engine, f"--dtype={dtype}",
        f"--arch={arch}", "--page-tokens=16")
    for prefill in (TOKENS, 1, draw.randrange(2, TOKENS)):
        run(BIN / "fdpp-run", engine, "--tokens", ids, "-n", 0, "--prefill",
            prefill, "--logits", tmp_path / "logits.npy")
        close(np.load(tmp_path / "logits.npy"), expected, dtype, prefill)


def close(logits, expected, dtype, what):
    assert logits.shape == expected.shape
    error = np.abs(logits - expected).max(axis=1)
    error = np.sort(error) / np.abs(expected).max()
    if dtype == "f32":
        assert error[-1] <= 2.0**-16, what
    else:
        # A quarter of the positions see no number on an edge.
        assert error[len(error) // 4] <= 2.0**-18, (what, error)
        assert error[-1] <= 8 * ROUNDOFF[dtype], (what, error)


@pytest.mark.parametrize("name,dtype", [("gqa", "f32"), ("mha", "bf16"), ("window", "f16"),
                                        ("odd-sizes", "f32"), ("tied-bf16", "bf16")])
def test_a_ragged_batch_equals_the_interpreters(name, dtype, tmp_path):
    """Sequences of 1 to 37 tokens in one batch: prefilled together, decoded
    together, and some decoding beside others that prefill."""
    config = tiny_models.write_model(name, tmp_path / "hf")[0]
    assert export([str(tmp_path / "hf"), "-o", str(tmp_path / "onnx")]) == 0
    model = tmp_path / "onnx" / "model.onnx"
    draw = random.Random(f"batch {name} {dtype}")
    lengths = [37, 1, 16, 17, 5]
    batch = [[draw.randrange(config["vocab_size"]) for _ in range(n)] for n in lengths]
    expected = interpreted(model, dtype, ",".join(str(id) for ids in batch for id in ids),
                           tmp_path, ",".join(map(str, lengths)))
    assert expected.shape == (sum(lengths), config["vocab_size"])
    run(BIN / "fdpp-compile", model, "-o", tmp_path / "engine", f"--dtype={dtype}",
        "--page-tokens=16")
    prompts = [x for ids in batch for x in ("--tokens", ",".join(map(str, ids)))]
    for prefill in (TOKENS, 1, 9):
        run(BIN / "fdpp-run", tmp_path / "engine", *prompts, "-n", 0, "--prefill", prefill,
            "--logits", tmp_path / "logits.npy")
        close(np.load(tmp_path / "logits.npy"), expected, dtype, prefill)
