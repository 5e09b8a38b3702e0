# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""CUDA engines' emitted code on a processor (test/runtime/cuda/emulation) beside the interpreter:
what chains of kernels do. Steps that are one kernel need a GPU (test_cuda_engines.py)."""
import json
import sys
from pathlib import Path

import cuda_cases
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import needs  # noqa: E402

pytestmark = needs.tools("fdpp-compile", "fdpp-run", "fdpp-bench", "fdpp-soak")
EMULATION = needs.ROOT / "test" / "runtime" / "cuda" / "emulation"
CASES = [case for case in cuda_cases.CASES
         if case[0] in ("gqa", "mqa", "tied-bf16", "biases", "window") or case[0] in cuda_cases.WIDE]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulated")
    cuda_cases.make(folder, {"FDPP_NVCC": str(EMULATION / "nvcc"),
                             "FDPP_EMULATOR": "/usr/bin/clang++-22"}, cases=[request.param])
    place = folder / "-".join(request.param)
    # The runtime is told that its processor runs it.
    manifest = place / "engine" / "engine.json"
    engine = json.loads(manifest.read_text())
    engine["target"]["name"] = "cpu"
    manifest.write_text(json.dumps(engine))
    return place


def test_emitted_kernels_equal_the_interpreter(case):
    told = json.loads((case / "case.json").read_text())
    expected = np.load(case / "expected.npy")
    bound = 8 * cuda_cases.ROUNDOFF[told["dtype"]]
    # At once, and the last six tokens one by one.
    for prefill in (len(expected), len(expected) - 6):
        done = cuda_cases.call(needs.BIN / "fdpp-run", case / "engine", "--tokens", told["ids"],
                               "-n", 0, "--prefill", prefill, "--logits", case / "logits.npy")
        assert done.returncode == 0
        logits = np.load(case / "logits.npy")
        assert np.abs(logits - expected).max() <= bound * np.abs(expected).max()


def test_sequences_of_a_batch_have_their_own_tokens(case):
    tokens = json.loads((case / "case.json").read_text())["ids"].split(",")
    prompts = [tokens[:9], tokens[3:4], tokens[5:30]]
    run = needs.BIN / "fdpp-run"
    together = cuda_cases.generated(run, case, prompts, {}, count=2)
    assert together == [cuda_cases.generated(run, case, [prompt], {}, count=2)[0]
                        for prompt in prompts]
    assert together == cuda_cases.generated(run, case, prompts, {}, "--batch-invariant", count=2)


def test_kernels_are_named_and_timed(case):
    done = cuda_cases.call(needs.BIN / "fdpp-bench", case / "engine", "-p", 0, "-n", 2, "-r", 1,
                           "--no-ceiling", "--profile", "-o", "jsonl")
    assert done.returncode == 0
    kernels = {k["name"]: k for k in json.loads(done.stdout)["kernels"]}
    layers = json.loads((case / "engine" / "engine.json").read_text())["model"]["layers"]
    assert kernels["decode_attention"]["calls"] == kernels["down"]["calls"] == layers
    assert kernels["embedding"]["calls"] == 1
    assert all(k["ms"] > 0 for k in kernels.values()) and kernels["down"]["bytes"] > 0


@pytest.mark.parametrize("case", [CASES[0], CASES[-1]], ids="-".join, indirect=True)
def test_a_batch_that_changes_gives_the_same_bits(case):
    done = cuda_cases.call(needs.BIN / "fdpp-soak", case / "engine", 10, "--batch-invariant")
    assert done.returncode == 0
