# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Engines with an asynchronous softmax against those without, of the same tiny
models: whatever phi.json says, the logits are the exact ones within the bound
of f32 engines, and the rows that failed are counted for their layer and head.
"""
import hashlib
import json
import os
import re
import shutil
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
TOKENS, PREFILL = 200, 5
DECODED = TOKENS - PREFILL
WINDOW = 128  # rows after which a head that fails becomes exact


def run(*arguments, code=0):
    done = subprocess.run([str(a) for a in arguments], capture_output=True,
                          text=True)
    assert done.returncode == code, done.stderr
    return done.stderr


def compile_engine(folder, model, mode):
    run(BIN / "fdpp-compile", model, "-o", folder / mode, "--dtype=f32",
        "--page-tokens=16", f"--async-softmax={mode}")
    return folder / mode


@pytest.fixture(scope="module", params=["gqa", "window"])
def engines(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    config = tiny_models.write_model(request.param, folder / "hf")[0]
    assert export([str(folder / "hf"), "-o", str(folder / "onnx")]) == 0
    model = folder / "onnx" / "model.onnx"
    ids = ",".join(str(7 * i % config["vocab_size"]) for i in range(TOKENS))
    exact = compile_engine(folder, model, "off")
    logits, _ = decode(exact, ids, folder)
    return compile_engine(folder, model, "on"), ids, logits, model


def decode(engine, ids, folder):
    stats = run(BIN / "fdpp-run", engine, "--verify", "--tokens", ids, "-n", 0,
                "--prefill", PREFILL, "--logits", folder / "logits.npy", "--stats")
    return np.load(folder / "logits.npy"), stats


def with_phi(engine, folder, change):
    """A copy of the engine whose phi.json is what change(phi) makes of it."""
    copy = folder / "changed"
    shutil.copytree(engine, copy)
    phi = json.loads((copy / "phi.json").read_text())
    change(phi)
    text = json.dumps(phi)
    (copy / "phi.json").write_text(text)
    manifest = json.loads((copy / "engine.json").read_text())
    entry = next(f for f in manifest["files"] if f["name"] == "phi.json")
    entry.update(bytes=len(text), sha256=hashlib.sha256(text.encode()).hexdigest())
    (copy / "engine.json").write_text(json.dumps(manifest))
    return copy


def fill(value):
    def change(phi):
        phi["phi"] = [[value] * phi["query_heads"]] * phi["layers"]
    return change


def counted(stats):
    found = re.search(r"recomputed exactly: (\d+)(?: of (\d+) .*made exact: (\d+))?",
                      stats)
    return [int(group or 0) for group in found.groups()]


def close(logits, expected):
    assert np.abs(logits - expected).max() <= 2.0**-16 * np.abs(expected).max()


def test_zero_is_what_the_compiler_writes_and_no_row_fails(engines, tmp_path):
    engine, ids, exact, _ = engines
    phi = json.loads((engine / "phi.json").read_text())
    heads = phi["layers"] * phi["query_heads"]
    logits, stats = decode(engine, ids, tmp_path)
    close(logits, exact)
    assert counted(stats) == [0, heads * DECODED, 0]


@pytest.mark.parametrize("wrong", [1000, -1000, 1e30])
def test_wrong_everywhere_gives_the_exact_bits(engines, tmp_path, wrong):
    engine, ids, exact, _ = engines
    changed = with_phi(engine, tmp_path, fill(wrong))
    phi = json.loads((changed / "phi.json").read_text())
    heads = phi["layers"] * phi["query_heads"]
    logits, stats = decode(changed, ids, tmp_path)
    assert np.array_equal(logits, exact)
    # Every head fails until the window is full, and is exact from then on.
    assert counted(stats) == [heads * WINDOW, heads * WINDOW, heads]


def test_nulls_are_exact(engines, tmp_path):
    engine, ids, exact, _ = engines
    logits, stats = decode(with_phi(engine, tmp_path, fill(None)), ids, tmp_path)
    assert np.array_equal(logits, exact)
    assert counted(stats) == [0, 0, 0]


def test_one_wrong_head_is_recomputed_alone(engines, tmp_path):
    engine, ids, exact, _ = engines

    def change(phi):
        phi["phi"][1][2] = 500
    logits, stats = decode(with_phi(engine, tmp_path, change), ids, tmp_path)
    close(logits, exact)
    assert counted(stats)[0] == WINDOW and counted(stats)[2] == 1
    assert re.findall(r"layer (\d+), rows by head: (.*)", stats) == \
        [("1", f"2: {WINDOW}")]


def test_programs_get_the_rows_by_layer_and_head(engines, tmp_path):
    engine, ids, _, _ = engines

    def change(phi):
        phi["phi"][1][2] = 500
    changed = with_phi(engine, tmp_path, change)
    done = subprocess.run([BIN / "fdpp-run", changed, "--tokens", ids, "-n", "0",
                           "--prefill", str(PREFILL), "--json"], check=True,
                          capture_output=True, text=True)
    rows = np.array(json.loads(done.stdout)["stats"]["recomputed_by_head"])
    phi = json.loads((engine / "phi.json").read_text())
    assert rows.shape == (phi["layers"], phi["query_heads"])
    assert rows[1, 2] == rows.sum() == WINDOW
    command = [BIN / "fdpp-bench", changed, "-p", "0", "-n", "16", "-r", "2"]
    done = subprocess.run([*command, "-o", "jsonl"], capture_output=True, text=True)
    result = json.loads(done.stdout)
    rows = np.array(result["recomputed_by_head"])
    # 16 tokens are 16 steps of one row each; the warm-up is not counted.
    assert rows[1, 2] == rows.sum() == result["recomputed_rows"] == 32
    assert re.findall(r"layer (\d+), rows by head: (.*)", done.stderr) == [("1", "2: 32")]
    done = subprocess.run([BIN / "fdpp-bench", engine, "-p", "0", "-n", "4", "-r", "1"],
                          capture_output=True, text=True)
    assert "| redone % |" in done.stdout and "rows by head" not in done.stderr


def inspected(engine):
    done = subprocess.run([BIN / "fdpp-inspect", engine], check=True, capture_output=True,
                          text=True)
    return re.search(r"^phi +(.*)$", done.stdout, re.MULTILINE)[1]


def test_inspect_says_where_phi_is_from(engines, other, tmp_path):
    engine, _, _, model = engines
    sha256 = hashlib.sha256((engine / "phi.json").read_bytes()).hexdigest()
    phi = json.loads((engine / "phi.json").read_text())
    heads = phi["layers"] * phi["query_heads"]
    assert inspected(engine) == ("zeros, which the compiler wrote; sha256 "
                                 f"{sha256}; 0 of {heads} heads always exact")
    assert inspected(engine.parent / "off") == "none: attention is exact"
    phi |= {"format": "fp32", "engine": "tiny f32", "texts": "a.txt", "tokens": 7}
    other.write_text(json.dumps(phi))
    run(BIN / "fdpp-compile", model, "-o", tmp_path / "given", "--dtype=f32",
        "--page-tokens=16", "--async-softmax=on", f"--phi={other}")
    assert inspected(tmp_path / "given").startswith(
        "calibrated with 7 tokens of a.txt on tiny f32, compiled from calibrated.json; ")
    changed = with_phi(tmp_path / "given", tmp_path, fill(None))
    assert ", installed after compiling; " in inspected(changed)
    assert inspected(changed).endswith(f"; {heads} of {heads} heads always exact")


@pytest.mark.parametrize("phi", [0.5, 1000, None])
def test_prefill_too(engines, tmp_path, phi):
    _, ids, exact, model = engines
    compile_engine(tmp_path, model, "all")
    engine = with_phi(tmp_path / "all", tmp_path, fill(phi))
    heads = json.loads((engine / "phi.json").read_text())
    heads = heads["layers"] * heads["query_heads"]
    for prefill in (1, 77, TOKENS):
        stats = run(BIN / "fdpp-run", engine, "--tokens", ids, "-n", 0, "--prefill", prefill,
                    "--logits", tmp_path / "logits.npy", "--stats")
        close(np.load(tmp_path / "logits.npy"), exact)
        if phi == 0.5:
            assert counted(stats) == [0, heads * TOKENS, 0]
        elif phi is None:
            assert counted(stats) == [0, 0, 0]
        else: # all that were computed before a step ended the window
            rows = TOKENS if prefill == TOKENS else WINDOW
            assert counted(stats) == [heads * rows, heads * rows, heads]


@pytest.fixture
def other(engines, tmp_path):
    """A phi.json of the model that is not beside it, one head exact."""
    engine, _, _, model = engines
    phi = json.loads((engine / "phi.json").read_text())
    phi["phi"] = [[1.5] * phi["query_heads"] for _ in range(phi["layers"])]
    phi["phi"][0][1] = None
    path = tmp_path / "calibrated.json"
    path.write_text(json.dumps(phi))
    return path


def test_a_phi_can_be_given(engines, other, tmp_path):
    _, ids, exact, model = engines
    command = [BIN / "fdpp-compile", model, "-o", tmp_path / "given", "--dtype=f32",
               "--page-tokens=16", "--async-softmax=on", f"--phi={other}"]
    run(*command)
    assert (tmp_path / "given" / "phi.json").read_bytes() == other.read_bytes()
    phi = json.loads(other.read_text())
    heads = phi["layers"] * phi["query_heads"]
    report = json.loads((tmp_path / "given" / "report.json").read_text())["phi"]
    assert report == {"source": "calibrated.json", "heads": heads, "exact_heads": 1,
                      "sha256": hashlib.sha256(other.read_bytes()).hexdigest()}
    text = (tmp_path / "given" / "report.md").read_text()
    assert f"from calibrated.json, sha256 {report['sha256']}" in text
    assert f"1 of {heads} heads are always exact" in text
    logits, stats = decode(tmp_path / "given", ids, tmp_path)
    close(logits, exact)
    assert counted(stats) == [0, (heads - 1) * DECODED, 0]
    # The engine is made again when the file's content changes, and only then.
    phi["phi"][0][1] = 2.5
    compiled = tmp_path / "given" / "engine.json"
    before = compiled.read_text()
    run(*command)
    assert compiled.read_text() == before
    other.write_text(json.dumps(phi))
    run(*command)
    assert json.loads((tmp_path / "given" / "phi.json").read_text()) == phi


def test_a_phi_that_does_not_fit_is_refused(engines, other, tmp_path):
    _, _, _, model = engines
    command = [BIN / "fdpp-compile", model, "-o", tmp_path / "refused", "--dtype=f32",
               "--page-tokens=16", f"--phi={other}"]
    error = run(*command, "--async-softmax=off")
    assert "attention is exact and does not read it" in error
    assert "attention is exact and does not read it" in \
        (tmp_path / "refused" / "report.md").read_text()
    shutil.rmtree(tmp_path / "refused")
    phi = json.loads(other.read_text())
    phi["query_heads"] += 1
    phi["phi"] = [row + [0] for row in phi["phi"]]
    other.write_text(json.dumps(phi))
    error = run(*command, "--async-softmax=on", code=1)
    assert error.count("\n") == 1 and "calibrated.json: not of this model" in error
    error = run(*command[:-1], "--phi=nowhere.json", code=1)
    assert error.count("\n") == 1 and "nowhere.json" in error
    assert not (tmp_path / "refused").exists()


def test_damaged_files_are_one_line(engines, tmp_path):
    engine, _, _, model = engines
    changed = with_phi(engine, tmp_path, lambda phi: phi["phi"].pop())
    assert run(BIN / "fdpp-run", changed, "--tokens", "1", "-n", 1, code=1) == \
        f"fdpp-run: {changed}/phi.json: 'phi' must have one row for each layer; " \
        "run fdpp-calibrate again\n"
    (changed / "phi.json").write_text("{}")
    assert "phi.json" in run(BIN / "fdpp-run", changed, "--tokens", "1", "-n", 1,
                             code=1)
    # The compiler takes the file beside the model, if it is the model's.
    beside = model.parent / "phi.json"
    beside.write_text('{"magic": "fdpp-phi", "layers": 77, "query_heads": 1, '
                      '"phi": []}')
    try:
        error = run(BIN / "fdpp-compile", model, "-o", tmp_path / "refused",
                    "--page-tokens=16", "--async-softmax=on", code=1)
    finally:
        beside.unlink()
    assert error.count("\n") == 1 and "phi.json: not of this model" in error
    assert not (tmp_path / "refused").exists()
