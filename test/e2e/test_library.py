# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Engines some or all of whose linears a BLAS library computes: against the
interpreter, whose rounding they share, and against engines with our own kernels.
The bounds are those of docs/numerics.md.
"""
import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_tiny_engines import (BIN, PHASES, TOKENS, close, export, interpreted, run,
                               tiny_models)

OWN = {"to": 4, "kind": "flat", "tokens": 2, "prefetch": 2048}


def write_table(engine, path, ranges):
    """A table for all shapes of an engine, with these ranges."""
    run(BIN / "fdpp-tune", engine, "--always", "library", "-o", path)
    table = json.loads(path.read_text())
    for shape in table["shapes"]:
        shape["ranges"] = ranges
    path.write_text(json.dumps(table))


def build(name, dtype, folder, ranges):
    """The model, an engine of our own kernels, one with the library's; ids."""
    config = tiny_models.write_model(name, folder / "hf")[0]
    assert export([str(folder / "hf"), "-o", str(folder / "onnx")]) == 0
    model = folder / "onnx" / "model.onnx"
    options = [f"--dtype={dtype}", "--page-tokens=16"]
    run(BIN / "fdpp-compile", model, "-o", folder / "own", *options, "--tuning=none")
    write_table(folder / "own", folder / "table.json", ranges)
    run(BIN / "fdpp-compile", model, "-o", folder / "engine", *options,
        f"--tuning={folder / 'table.json'}")
    draw = random.Random(f"library {name} {dtype}")
    ids = [draw.randrange(config["vocab_size"]) for _ in range(TOKENS)]
    return model, ",".join(map(str, ids))


def logits(engine, ids, prefill, out, *more):
    run(BIN / "fdpp-run", engine, "--tokens", ids, "-n", 0, "--prefill", prefill,
        "--logits", out, *more)
    return np.load(out)


CASES = [("gqa", "f32", [{"kind": "library"}]), ("biases", "bf16", [{"kind": "library"}]),
         ("odd-sizes", "f16", [{"kind": "library"}]),
         ("odd-sizes", "bf16", [OWN, {"kind": "library"}]),
         ("window", "f32", [OWN, {"kind": "library"}]),
         ("tied-bf16", "bf16",
          [{"to": 1, "kind": "library"}, dict(OWN, to=20), {"kind": "library"}])]


@pytest.mark.parametrize("name,dtype,ranges", CASES,
                         ids=[f"{n}-{d}-{len(r)}" for n, d, r in CASES])
def test_equals_the_interpreter(name, dtype, ranges, tmp_path):
    """Also where a prompt's parts go different ways: prefilled by the library,
    decoded by a kernel of our own."""
    model, ids = build(name, dtype, tmp_path, ranges)
    assert "library_gemm" in (tmp_path / "engine" / "source" / "model.cpp").read_text()
    manifest = json.loads((tmp_path / "engine" / "engine.json").read_text())
    assert manifest["versions"]["tuning"] == 2  # a table that names a library
    expected = interpreted(model, dtype, ids, tmp_path)
    for prefill, threads in ((TOKENS, 2), (1, 1), (19, 3)):
        got = logits(tmp_path / "engine", ids, prefill, tmp_path / "logits.npy",
                     "-t", threads)
        close(got, expected, dtype, prefill)
        # The same steps give the same bits.
        again = logits(tmp_path / "engine", ids, prefill, tmp_path / "again.npy",
                       "-t", threads)
        assert np.array_equal(got, again)


@pytest.mark.parametrize("name,dtype", [("mha", "f32"), ("gqa", "bf16")])
def test_splits_agree(name, dtype, tmp_path):
    """Prompts prefilled by the library, fed one by one to our own kernels, alone or
    in a ragged batch whose decoding runs beside others' prefill."""
    _, ids = build(name, dtype, tmp_path, [OWN, {"kind": "library"}])
    parts = [ids, ids.split(",")[0], ",".join(ids.split(",")[:16]), ",".join(ids.split(",")[:5])]
    prompts = [x for part in parts[1:] for x in ("--tokens", part)]
    whole = logits(tmp_path / "engine", ids, TOKENS, tmp_path / "a.npy")
    for prefill in (1, 3, 19):
        batch = logits(tmp_path / "engine", ids, prefill, tmp_path / "b.npy", *prompts)
        first = 0
        for part in parts:
            rows = len(part.split(","))
            error = np.abs(batch[first:first + rows] - whole[:rows]).max() / np.abs(whole).max()
            assert error <= (2.0**-16 if dtype == "f32" else 8 * 2.0**-9), (prefill, part)
            first += rows
        assert first == len(batch)


@pytest.mark.parametrize("name,dtype", [("gqa", "f32"), ("odd-sizes", "bf16")])
def test_the_interpreter_runs_the_decomposition(name, dtype, tmp_path):
    """In fp64 the planned module means the same with and without the table."""
    model, ids = build(name, dtype, tmp_path, [OWN, {"kind": "library"}])
    run(BIN / "fdpp-translate", "--import-onnx", model, "-o", tmp_path / "import.mlir")
    results = []
    for options in ("", f"=tuning={tmp_path / 'table.json'}"):
        passes = [f"--fdpp-to-{phase}" for phase in PHASES]
        passes[3] += f"=dtype={dtype}"
        passes[4] += options
        planned = tmp_path / "planned.mlir"
        run(BIN / "fdpp-opt", tmp_path / "import.mlir", *passes, "-o", planned)
        assert ("fdpp.library_gemm" in planned.read_text()) == bool(options)
        run(BIN / "fdpp-opt", planned, "-o", os.devnull,
            f"--fdpp-interpret=tokens={ids} weights={model.parent} "
            f"logits={tmp_path / 'logits.npy'}")
        results.append(np.load(tmp_path / "logits.npy"))
    assert np.array_equal(*results)


def test_says_what_is_missing(tmp_path):
    model, ids = build("one-layer", "bf16", tmp_path, [{"kind": "library"}])
    missing = {**os.environ, "FDPP_BLAS": "/no/such/blas.so"}

    def tool(*arguments):
        return subprocess.run([str(a) for a in arguments], env=missing,
                              capture_output=True, text=True)

    engine = tmp_path / "engine"
    refused = tool(BIN / "fdpp-run", engine, "--tokens", ids, "-n", 0)
    assert refused.returncode == 1 and refused.stdout == ""
    assert refused.stderr == (
        f"fdpp-run: {engine}: some of its linears are computed by a blas library: cannot "
        "open /no/such/blas.so (/no/such/blas.so: cannot open shared object file: No such "
        "file or directory); install libblis4-serial, name another library in FDPP_BLAS, or "
        "compile the model with --tuning=none\n")
    # As it says: an engine without a library's range asks for none.
    assert tool(BIN / "fdpp-run", tmp_path / "own", "--tokens", ids, "-n", 0).returncode == 0


def test_taps_show_a_librarys_values(tmp_path):
    """fdpp-compare finds every value where it is with our own kernels."""
    model, ids = build("gqa", "f32", tmp_path, [{"kind": "library"}])
    run(BIN / "fdpp-compile", model, "-o", tmp_path / "taps", "--dtype=f32",
        "--page-tokens=16", "--taps", f"--tuning={tmp_path / 'table.json'}")
    names = [line for line in (tmp_path / "taps" / "source" / "model.cpp").read_text().splitlines()
             if "tap(team" in line or "tap_keys(team" in line]
    assert len(names) >= 6
    got = logits(tmp_path / "taps", ids, TOKENS, tmp_path / "logits.npy")
    assert np.array_equal(got, logits(tmp_path / "engine", ids, TOKENS, tmp_path / "plain.npy"))
