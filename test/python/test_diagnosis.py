# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What an engineer has when something goes wrong: reproducers that shrink,
remarks as YAML, and fdpp-inspect. (Passes from plugins: test/install.)"""

import json
import re
import shutil
import subprocess

import needs
import pytest
from compiler import compile_model, fails

pytestmark = needs.tools("fdpp-compile", "fdpp-inspect", "fdpp-opt", "fdpp-reduce")


def call(tool, *arguments):
    return subprocess.run(
        [needs.BIN / tool, *map(str, arguments)], capture_output=True, text=True
    )


def inspect(*arguments):
    return call("fdpp-inspect", *arguments)


def test_a_reproducer_shrinks_and_fails_again(exported, tmp_path):
    """The one that fdpp-compile leaves for a defect in its own passes."""
    result = compile_model(
        exported, "-o", tmp_path / "out", "--inject-fault=fused",
        environment={"TMPDIR": str(tmp_path)},
    )
    fails(result, "internal error", code=70)
    reproducer = re.search(r"reproducer: (\S+)", result.stderr)[1]
    small = tmp_path / "small.mlir"
    result = call("fdpp-reduce", reproducer, "-o", small)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"next: fdpp-opt --run-reproducer {small}"
    before, after = map(
        int, re.search(r"operations: (\d+) to (\d+)", result.stderr).groups()
    )
    assert before > 50 and after <= 4
    again = call("fdpp-opt", "--run-reproducer", small)
    assert again.returncode == 1
    assert "'onnx.Identity' has no place in phase 'fused'" in again.stderr


def test_remarks_as_yaml(model, quick, tmp_path):
    out, remarks = tmp_path / "out", tmp_path / "remarks.yaml"
    arguments = (model, "-o", out, "--arch=x86-64-v3", f"--remarks={remarks}")
    for _ in range(2):  # an engine that is up to date has no remarks: compiled again
        result = compile_model(*arguments, environment=quick)
        assert result.returncode == 0, result.stderr
        documents = remarks.read_text().split("--- !")[1:]
        remarks.unlink()
        packed = [text for text in documents if "pack-weights" in text]
        assert len(packed) == 5
        assert all(text.startswith("Passed\nPass:            layout\n") for text in packed)
        assert any("File: " in text and "Line: " in text for text in documents)
    result = compile_model(
        model, "-o", out, f"--remarks={tmp_path}/no/such.yaml", environment=quick
    )
    fails(result, "no/such.yaml: cannot be written")


def test_inspect_prints_an_engine(tiny_engine):
    manifest = json.loads((tiny_engine / "engine.json").read_text())
    result = inspect(tiny_engine)
    assert (result.returncode, result.stderr) == (0, "")
    text = result.stdout
    assert text.startswith(f"{tiny_engine}: fdpp {manifest['versions']['product']}, format ")
    for words in (
        f"{manifest['model']['layers']} layers, hidden {manifest['model']['hidden_size']}",
        f"context {manifest['limits']['max_context']}",
        manifest["source"]["sha256"],
        " ".join(manifest["command"]),
        (tiny_engine / "source" / "command.txt").read_text().strip(),
        f"{len(manifest['files'])}, of the sizes they were written with",
    ):
        assert words in text
    layers, heads, dim = (
        manifest["model"][key] for key in ("layers", "kv_heads", "head_dim")
    )
    cache = 2 * layers * heads * dim * 2  # K and V in bf16
    assert re.search(rf"KV cache +{cache} B a token", text)
    assert re.search(r"^linears .*\n  \d+x\d+ bf16: gemv", text, re.M)
    assert re.search(r"^  wqkv +\d+ x \[\d+ x \d+\] bf16 packed, ", text, re.M)
    # Functions of model.so that the kernel headers gave, by size.
    kernels = re.findall(r"^ +(\d+) (\S.*)$", text.split("\nkernels: ")[1], re.M)
    assert any(name.startswith("DecodeAttention<") for _, name in kernels)
    sizes = [int(size) for size, _ in kernels]
    assert sizes == sorted(sizes, reverse=True)


def test_inspect_as_json(tiny_engine):
    data = json.loads(inspect(tiny_engine, "--json").stdout)
    assert data["engine"] == json.loads((tiny_engine / "engine.json").read_text())
    assert data["report"] == json.loads((tiny_engine / "report.json").read_text())
    assert data["defects"] == []
    assert all(kernel["code_bytes"] > 0 for kernel in data["kernels"])


def test_inspect_compares(exported, tiny_engine, tmp_path):
    result = inspect("--diff", tiny_engine, tiny_engine)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    other = tmp_path / "f32.fdpp"
    assert compile_model(exported, "-o", other, "--dtype=f32").returncode == 0
    result = inspect("--diff", tiny_engine, other)
    assert (result.returncode, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert "! model.weight_dtype: bf16 -> f32" in lines
    assert "- command[--dtype=bf16]" in lines and "+ command[--dtype=f32]" in lines
    assert "! report.weights[wqkv].dtype: bf16 -> f32" in lines
    assert any(line.startswith("- kernel[DecodeAttention<") for line in lines)
    assert not any("vocab_size" in line for line in lines)


def test_inspect_says_what_is_damaged(tiny_engine, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_engine, copy)
    (copy / "report.md").unlink()
    weights = copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    (copy / "model.so").write_bytes(b"\x7fELF\x02" + b"\xff" * 100)
    result = inspect(copy)
    assert result.returncode == 1
    assert re.search(r"^DAMAGED +report.md: missing$", result.stdout, re.M)
    assert re.search(r"^DAMAGED +weights.safetensors: \d+ bytes, \d+ when", result.stdout, re.M)
    assert "model.so has no symbol table" in result.stdout

    for broken in ("{", "[]", '{"magic": "fdpp-engine"}', '{"magic": "other"}'):
        (copy / "engine.json").write_text(broken)
        result = inspect(copy)
        assert result.returncode == 1
        assert re.fullmatch(r"fdpp-inspect: .*engine.json: is damaged, .*\n", result.stderr)
    result = inspect(tmp_path)
    assert result.returncode == 1
    assert "no engine here" in result.stderr and result.stderr.count("\n") == 1
    assert inspect().stderr == "fdpp-inspect: DIR is required; see --help\n"
