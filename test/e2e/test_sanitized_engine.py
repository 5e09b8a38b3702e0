# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A compiled engine under a sanitizer, kernels, loops and threads included.

    FDPP_SANITIZED_BUILD=build/tsan FDPP_SANITIZER=thread pytest test/e2e/test_sanitized_engine.py

fdpp-compile is that of FDPP_BUILD_DIR; fdpp-run and model.so are instrumented.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))
import needs  # noqa: E402
import tiny_models  # noqa: E402
from fdpp.export import main as export  # noqa: E402

BUILD = os.environ["FDPP_SANITIZED_BUILD"]  # conftest.py leaves the file out without

PROMPTS = [[(7 * i) % 97 for i in range(length)] for length in (90, 3, 17)]


@pytest.fixture(scope="module", params=["bf16", "f32"])
def engine(request, tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp(request.param)
    tiny_models.write_model("gqa", base / "hf")
    assert export([str(base / "hf"), "-o", str(base / "onnx")]) == 0
    compiled = subprocess.run(
        [needs.BIN / "fdpp-compile", base / "onnx" / "model.onnx", "-o", base / "engine",
         f"--dtype={request.param}"],
        env=os.environ | {"FDPP_CXX": str(HERE / "instrumented-clang++")},
        capture_output=True, text=True,
    )
    assert compiled.returncode == 0, compiled.stderr
    return base / "engine"


def run(tool: str, engine: Path, *options: object) -> str:
    done = subprocess.run(
        [Path(BUILD) / "bin" / tool, engine, *map(str, options)],
        env=os.environ | {"FDPP_ALL_THREADS": "1"},  # also on fewer processors
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("prefill", [0, 1, 33])
def test_a_ragged_batch(engine, threads, prefill, tmp_path):
    """Prefill, mixed and decode steps; logits of every token."""
    options = ["-t", threads, "-n", 20, "--json", "--logits", tmp_path / "logits.npy"]
    if prefill:
        options += ["--prefill", prefill]
    for prompt in PROMPTS:
        options += ["--tokens", ",".join(map(str, prompt))]
    results = json.loads(run("fdpp-run", engine, *options))["results"]
    assert [len(result["tokens"]) for result in results] == [20] * len(PROMPTS)
