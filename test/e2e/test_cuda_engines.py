# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""CUDA engines: compiled everywhere, run where a device is."""
import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cuda_cases
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import needs  # noqa: E402
from fdpp.export import main as export  # noqa: E402
from compiler import compile_model, fails  # noqa: E402

pytestmark = needs.tools("fdpp-compile", "fdpp-run")
BIN = needs.BIN


def has_device() -> bool:
    try:
        return ctypes.CDLL("libcuda.so.1").cuInit(0) == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """One case, or all of them where they can run."""
    folder = tmp_path_factory.mktemp("cases")
    some = cuda_cases.CASES if has_device() else cuda_cases.CASES[:1]
    cuda_cases.make(folder, needs.nvcc(), cases=some)
    return folder


@pytest.fixture(scope="module")
def engine(cases):
    return cases / "gqa-bf16-off" / "engine"


def test_engines_equal_the_interpreter(cases):
    if not has_device():
        pytest.skip("skipped: no device")
    assert cuda_cases.run(cases, BIN / "fdpp-run") == 0


def test_an_engine_is_a_folder_with_one_library(engine):
    manifest = json.loads((engine / "engine.json").read_text())
    assert manifest["target"]["name"] == "cuda"
    assert manifest["target"]["arch"] == ["sm_90a"]
    assert (engine / "source" / "model.cu").exists()
    names = subprocess.run(["nm", "-D", "--defined-only", engine / "model.so"],
                           capture_output=True, text=True, check=True).stdout.split()
    assert names[2::3] == ["fdpp_model_query"]
    needed = subprocess.run(["readelf", "-d", engine / "model.so"], capture_output=True,
                            text=True, check=True).stdout
    assert "libcuda" not in needed  # CUDA's runtime is inside, the driver is opened


def test_two_compiles_are_the_same_bytes(engine, tmp_path):
    model = engine.parent / "onnx" / "model.onnx"
    result = compile_model(model, "-o", tmp_path / "again", "--target=cuda", "--arch=sm_90a",
                           "--dtype=bf16", "--page-tokens=16", "--async-softmax=off",
                           environment=needs.nvcc())
    assert result.returncode == 0, result.stderr
    for path in engine.rglob("*"):
        if path.is_file():
            assert (tmp_path / "again" / path.relative_to(engine)).read_bytes() == \
                path.read_bytes(), path.name


def test_one_library_holds_code_for_a_list_of_gpus(engine, tmp_path):
    model = engine.parent / "onnx" / "model.onnx"
    result = compile_model(model, "-o", tmp_path / "out", "--target=cuda",
                           "--arch=sm_100a,sm_80", environment=needs.nvcc())
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "out" / "engine.json").read_text())
    assert manifest["target"]["arch"] == ["sm_80", "sm_100a"]
    library = (tmp_path / "out" / "model.so").read_bytes()
    assert b"-arch sm_100a" in library and b"-arch sm_80" in library


def test_every_kernel_waits_for_the_one_before():
    """One that does not would let its successor overtake its predecessor."""
    folder = needs.ROOT / "runtime" / "kernels" / "cuda"
    text = "".join(path.read_text() for path in sorted(folder.glob("*.h")))
    bounds = r"(?:\s+__launch_bounds__\((?:[^()]|\([^()]*\))*\))?"
    kernels = dict(re.findall(rf"__global__ void{bounds}\s+(\w+)\([^{{]*\) \{{\n(.*?)\n\}}\n",
                              text, re.DOTALL))
    assert set(kernels) == {"attention_kernel", "body_kernel", "grid_kernel", "linear_kernel",
                            "matrix_prefill_kernel", "probe_kernel", "wgmma_linear_kernel"}
    for name, body in kernels.items():
        assert "wait_for_kernel_before();" in body
        before = body.split("wait_for_kernel_before();")[0]
        # Only a linear does something before: it reads weights.
        assert "return" not in before.replace("{ return tile /", "")
        if name == "linear_kernel":
            assert "load_tile(from" in before
        elif name == "wgmma_linear_kernel":
            # Warps that copy wait, and warps that compute.
            assert body.count("wait_for_kernel_before();") == 2
            assert "weights" in before and ", x," not in before and "space" not in before
        else:
            harmless = ("#if", "  const Ring ring{", "  char *memory = dynamic_shared()")
            assert all("__shared__" in line or line.startswith(harmless)
                       for line in before.splitlines() if line.strip()), name


def documented_kernels(column):
    """Name -> registers, bytes spilled and of shared memory, of docs/cuda.md's table."""
    lines = (needs.ROOT / "docs" / "cuda.md").read_text().splitlines()
    head = lines.index("| kernel | sm_80 | sm_90a | sm_100a | spilled | shared |")
    rows = {}
    for line in lines[head + 2:]:
        if not line.startswith("|"):
            return rows
        name, *values = (cell.strip() for cell in line.strip("|").split("|"))
        if values[column] != "-":
            rows[name] = tuple(int(values[i]) for i in (column, 3, 4))


@pytest.fixture(scope="module")
def real_source(tmp_path_factory):
    """Llama-3.2-1B's kernels."""
    folder = tmp_path_factory.mktemp("real")
    assert export(["llama-3.2-1b", "-o", str(folder / "onnx"), "--no-weights"]) == 0
    result = compile_model(folder / "onnx" / "model.onnx", "--target=cuda", "--arch=sm_80",
                           "--dtype=bf16", "--async-softmax=off", "--emit=source")
    assert result.returncode == 0, result.stderr
    (folder / "model.cu").write_text(result.stdout)
    return folder / "model.cu"


@pytest.mark.parametrize("column, arch", list(enumerate(("80", "90a", "100a"))))
def test_registers_are_as_documented(real_source, tmp_path, column, arch):
    runtime = needs.ROOT / "runtime"
    done = subprocess.run(
        [needs.nvcc()["FDPP_NVCC"], "-std=c++20", "-O3", "--expt-relaxed-constexpr",
         "--extended-lambda", "--diag-suppress=177,20011", f"-I{runtime}", f"-I{runtime}/include",
         f"-gencode=arch=compute_{arch},code=sm_{arch}", "-Xptxas", "-v", "-cubin", real_source,
         "-o", tmp_path / "kernels.cubin"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores"
                       r".*?Used (\d+) registers(.*?)\n", done.stderr, re.DOTALL)
    documented = documented_kernels(column)
    seen = set()
    for symbol, spilled, registers, rest in found:
        shared = re.search(r"(\d+) bytes smem", rest)
        most_spilled = 0
        for name, (most, spills, bytes_shared) in documented.items():
            if re.search(rf"\d{name}", symbol):
                seen.add(name)
                most_spilled = spills
                assert int(registers) <= most, symbol
                assert (int(shared[1]) if shared else 0) <= bytes_shared, symbol
        assert int(spilled) <= most_spilled, symbol
    assert seen == set(documented)


def test_where_there_is_no_device_it_says_so(engine):
    done = subprocess.run([BIN / "fdpp-run", engine, "--tokens", "1,2", "-n", "1"],
                          env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("fdpp-run: no cuda device: ")


@pytest.mark.parametrize("arguments, text", [
    (["--arch=sm_70"], "--arch: no gpu is called 'sm_70'; give one or more of sm_80, "),
    (["--arch=sm_90a,"], "no gpu is called ''"),
    ([], "--target=cuda asks no gpu what it is; name one or more with --arch"),
    (["--arch=sm_80", "--dtype=f32"], "cuda engines take bf16 or f16"),
    (["--arch=sm_80", "--taps"], "this version has no taps for cuda"),
    (["--arch=sm_80", "--tuning=x.json"], "this version has no tuning for cuda"),
    (["--arch=sm_80", "--cxx=/no/nvcc"], "/no/nvcc: not a nvcc; name one with --cxx"),
    (["--arch=sm_80", "--cxx=true"], "not a nvcc"),
])
def test_what_cannot_be_compiled(engine, tmp_path, arguments, text):
    model = engine.parent / "onnx" / "model.onnx"
    result = compile_model(model, "-o", tmp_path / "out", "--target=cuda", *arguments)
    fails(result, text)
    assert not (tmp_path / "out").exists()


def test_without_a_toolkit(engine, tmp_path):
    model = engine.parent / "onnx" / "model.onnx"
    result = compile_model(model, "-o", tmp_path / "out", "--target=cuda", "--arch=sm_80",
                           environment={"FDPP_NVCC": "no-nvcc"})
    fails(result, "FDPP_NVCC: no program 'no-nvcc'; name a nvcc")


def test_heads_of_odd_sizes_are_refused(tmp_path):
    model = tmp_path / "model.mlir"
    model.write_text(subprocess.run(
        [sys.executable, needs.ROOT / "utils" / "make_step.py", "--head-dim", "12"],
        capture_output=True, text=True, check=True).stdout)
    result = compile_model(model, "-o", tmp_path / "out", "--target=cuda", "--arch=sm_80",
                           environment=needs.nvcc())
    fails(result, "--target=cuda: heads of 12 elements; cuda takes multiples of 8")
