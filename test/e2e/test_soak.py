# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Thousands of steps of a batch that changes all the time (soak.cpp)."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import needs  # noqa: E402
import tiny_models  # noqa: E402

pytestmark = needs.tools("fdpp-compile", "fdpp-soak")
sys.path.insert(0, str(needs.ROOT / "python" / "src"))
from fdpp.export import main as export  # noqa: E402


def soak(*arguments):
    return subprocess.run([str(a) for a in (needs.BIN / "fdpp-soak", *arguments)],
                          capture_output=True, text=True)


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("soak")
    tiny_models.write_model("gqa", base / "hf")
    assert export([str(base / "hf"), "-o", str(base / "onnx")]) == 0
    subprocess.run([needs.BIN / "fdpp-compile", base / "onnx" / "model.onnx", "-o",
                    base / "engine", "--dtype=bf16", "--page-tokens=16", "--async-softmax=on"],
                   check=True, capture_output=True)
    return base / "engine"


def test_ten_thousand_steps_of_a_changing_batch(engine):
    done = soak(engine, 10000, "--batch-invariant")
    assert (done.returncode, done.stderr) == (0, "")
    steps, sequences, tokens, close, _ = map(int, re.findall(r"[-+]?\d+", done.stdout))
    # Bits that are the same choose the same token.
    assert (steps, close) == (10000, 0) and sequences > 1000 and tokens > 30000


def test_tokens_that_are_mixed_up_are_noticed(engine):
    done = soak(engine, 200, "--mix-up")
    assert done.returncode == 1
    assert re.fullmatch(r"fdpp-soak: token \d+ behind a prompt of \d+: \d+ in the batch, alone \d+, "
                        r"which is ahead by [\d.]+\n", done.stderr)
