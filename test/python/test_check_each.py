# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every tiny model from import to planned, interpreted around every pass."""
import os
import re
import subprocess
from pathlib import Path

import pytest

import tiny_models
from fdpp.export import main as export

BUILD = Path(os.environ.get("FDPP_BUILD_DIR",
                            Path(__file__).parents[2] / "build/release"))
PHASES = ("recognised", "raised", "rolled", "fused", "planned")


def check(module, *passes):
    return subprocess.run(
        [BUILD / "bin/fdpp-opt", module, "--fdpp-check-each", *passes, "-o",
         os.devnull], capture_output=True, text=True)


@pytest.fixture(scope="module", params=list(tiny_models.MODELS))
def imported(request, tmp_path_factory):
    base = tmp_path_factory.mktemp(request.param)
    tiny_models.write_model(request.param, base / "hf")
    assert export([str(base / "hf"), "-o", str(base / "onnx")]) == 0
    # Weights are read relative to the module.
    module = base / "onnx" / "import.mlir"
    subprocess.run([BUILD / "bin/fdpp-translate", "--import-onnx",
                    base / "onnx" / "model.onnx", "-o", module], check=True)
    return module


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_every_pass_keeps_the_logits(imported, dtype):
    phases = [f"--fdpp-to-{phase}" for phase in PHASES]
    phases[3] += f"=dtype={dtype}"
    done = check(imported, *phases)
    assert done.returncode == 0, done.stderr
    runs = re.search(r"check-each: (\d+) scripts", done.stderr)
    assert int(runs[1]) >= 20, done.stderr


def test_a_fault_is_found(imported):
    done = check(imported, "--pass-pipeline=builtin.module("
                 "func.func(onnx-fold-constants,onnx-lift-shapes,onnx-lift-masks),"
                 "onnx-recognise,fdpp-inject-fault{kind=eps},fdpp-to-step)")
    assert done.returncode == 1
    assert "check-each: 'fdpp-inject-fault' changes the meaning" in done.stderr
