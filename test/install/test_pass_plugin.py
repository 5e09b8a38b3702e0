# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A pass outside of the tree, built against what is installed and nothing else,
in the installed tools."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "python"))
import needs  # noqa: E402

pytestmark = needs.tools("fdpp-opt", "fdpp-reduce")
PLUGIN = ROOT / "test" / "consumers" / "pass-plugin"
MODEL = ROOT / "test" / "Dialect" / "FDPP" / "raised.mlir"
CLEAN = {key: value for key, value in os.environ.items()
         if not key.startswith(("FDPP_", "LD_", "PYTHON", "CMAKE_"))}


def call(*words, env=None) -> subprocess.CompletedProcess:
    return subprocess.run([*map(str, words)], capture_output=True, text=True,
                          env=CLEAN | (env or {}))


def works(*words) -> str:
    done = call(*words)
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def configured(name: str) -> str:
    cache = (needs.BUILD / "CMakeCache.txt").read_text()
    return re.search(rf"^{name}:\w+=(.*)$", cache, re.M)[1]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory) -> Path:
    prefix = tmp_path_factory.mktemp("installed")
    for component in ("Compiler", "Development", "Runtime"):
        works("cmake", "--install", needs.BUILD, "--component", component, "--prefix", prefix)
    return prefix


def configure(source: Path, build: Path, *more) -> subprocess.CompletedProcess:
    return call("cmake", "-S", source, "-B", build, "-G", "Ninja",
                f"-DCMAKE_CXX_COMPILER={configured('CMAKE_CXX_COMPILER')}",
                f"-DMLIR_DIR={configured('MLIR_DIR')}", *more)


@pytest.fixture(scope="module")
def plugin(prefix, tmp_path_factory) -> Path:
    build = tmp_path_factory.mktemp("plugin")
    done = configure(PLUGIN, build, f"-DCMAKE_PREFIX_PATH={prefix}")
    assert done.returncode == 0, done.stderr
    works("cmake", "--build", build)
    used = works("ninja", "-C", build, "-t", "deps")
    assert str(prefix / "include" / "fdpp" / "Dialect" / "FDPP" / "IR" / "FDPPOps.h.inc") in used
    for place in (ROOT / "include", ROOT / "lib", needs.BUILD.resolve() / "include"):
        assert f"{place}/" not in used
    return build / "libcount-linears.so"


def test_passes_of_a_plugin(prefix, plugin, tmp_path):
    load = f"--load-pass-plugin={plugin}"
    opt = prefix / "bin" / "fdpp-opt"
    result = call(opt, MODEL, load, "--pass-pipeline=builtin.module(count-linears)",
                  "--remarks-filter=example", "-o", tmp_path / "out.mlir",
                  env={"LD_BIND_NOW": "1"})
    assert result.returncode == 0, result.stderr
    assert "remark: [Analysis] count-linears" in result.stderr
    assert "| Function=step | linears=15\n" in result.stderr

    pipeline = "builtin.module(cse,count-linears{limit=2})"
    result = call(opt, MODEL, load, f"--pass-pipeline={pipeline}")
    assert result.returncode == 1
    assert "has 15 linears, more than 2" in result.stderr

    small = tmp_path / "small.mlir"
    result = call(prefix / "bin" / "fdpp-reduce", MODEL, load, f"--pipeline={pipeline}",
                  "-o", small)
    assert result.returncode == 0, result.stderr
    assert small.read_text().count("fdpp.linear") == 3


def symbols(file: Path, kind: str) -> set[str]:
    """Those of the project's dialects."""
    listed = works("nm", "--dynamic", f"--{kind}-only", "--format=posix", file)
    names = (line.split()[0].split("@")[0] for line in listed.splitlines())
    return {name for name in names if re.search("4mlir.*4(fdpp|onnx)", name)}


@pytest.mark.parametrize("tool", ["fdpp-opt", "fdpp-reduce"])
def test_the_tools_have_what_headers_declare(prefix, plugin, tool):
    """Every function of the op classes that a header leaves to a library."""
    wanted = symbols(plugin, "undefined")
    assert wanted  # FDPP's ops are not all in headers
    assert wanted <= symbols(prefix / "bin" / tool, "defined")


def test_no_header_is_missing(prefix, tmp_path):
    """None of those installed includes one that is not."""
    headers = sorted(path.relative_to(prefix / "include")
                     for path in (prefix / "include" / "fdpp").rglob("*.h"))
    assert len(headers) > 5
    (tmp_path / "all.cpp").write_text("".join(f'#include "{name}"\n' for name in headers))
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(headers LANGUAGES CXX)\n"
        "find_package(FDPP 0.1 REQUIRED COMPONENTS PassPlugin)\n"
        "add_library(headers OBJECT all.cpp)\n"
        "target_compile_options(headers PRIVATE -fsyntax-only)\n"
        "target_link_libraries(headers PRIVATE FDPP::pass-plugin)\n")
    build = tmp_path / "build"
    done = configure(tmp_path, build, f"-DCMAKE_PREFIX_PATH={prefix}")
    assert done.returncode == 0, done.stderr
    works("ninja", "-C", build)


def test_only_a_plugin_needs_mlir(prefix, tmp_path):
    """Programs over the C API, and those that call the tools, do without."""
    for wanted, found in (("Runtime Development Compiler", True), ("PassPlugin", False)):
        where = tmp_path / wanted.split()[0]
        where.mkdir()
        (where / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.22)\nproject(p LANGUAGES CXX)\n"
            f"find_package(FDPP 0.1 REQUIRED COMPONENTS {wanted})\n")
        done = configure(where, where / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
                         "-DCMAKE_DISABLE_FIND_PACKAGE_MLIR=ON")
        assert (done.returncode == 0) == found, done.stderr
        if not found:
            assert "MLIR" in done.stderr
