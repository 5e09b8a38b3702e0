# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-compile as a user meets it: what it writes, and what it refuses."""

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import needs
import pytest
from compiler import FUSED, RUN, check_engine, compile_model, fails

pytestmark = needs.tools("fdpp-compile", "fdpp-opt", "fdpp-run")


def test_the_model_has_its_name(tiny_engine):
    model = check_engine(tiny_engine)["model"]
    assert (model["name"], model["family"]) == ("Tiny-Llama", "llama")
    plan = subprocess.run(
        [RUN, tiny_engine, "--plan"], capture_output=True, text=True
    )
    assert plan.returncode == 0, plan.stderr
    assert "Tiny-Llama (llama, 2 layers), cpu" in plan.stdout


def test_engine_is_whole(engine):
    manifest = check_engine(engine)
    assert manifest["target"]["arch"] == ["x86-64-v3"]
    assert "avx2" in manifest["target"]["features"]
    assert "avx512f" not in manifest["target"]["features"]
    assert manifest["tokenizer"] == {"bos": 1, "eos": [3, 7], "chat": False}
    assert manifest["model"]["layers"] == 2
    assert manifest["limits"]["entries"] == ["decode"]
    names = {file["name"] for file in manifest["files"]}
    assert {"LICENSE", "tokenizer.json", "source/model.cpp", "report.md"} <= names
    assert "notes.txt" not in names
    report = json.loads((engine / "report.json").read_text())
    assert {d["category"] for d in report["decisions"]} >= {"variants", "memory"}


@pytest.mark.parametrize("arch, dots, matrices", [
    ("znver4", True, False), ("x86-64-v4+avx512bf16", True, False),
    ("emeraldrapids", False, True), ("emeraldrapids+noamx-tile", False, False),
    ("x86-64-v4", False, False)])
def test_bf16_engines_use_the_bf16_unit(model, tmp_path, arch, dots, matrices):
    """The linears are made of what is the fastest for bf16 pairs: the matrix unit; dot
    products; on Intel's CPUs without the first, FMAs, though they have the second."""
    arguments = (model, "-o", tmp_path / "out", f"--arch={arch}", "--dtype=bf16")
    result = compile_model(*arguments)
    assert result.returncode == 0, result.stderr
    features = check_engine(tmp_path / "out")["target"]["features"]
    assert ("avx512bf16" in features) == (arch != "x86-64-v4")
    text = subprocess.run(
        ["llvm-objdump-22", "-d", "--no-show-raw-insn", tmp_path / "out" / "model.so"],
        check=True, capture_output=True, text=True,
    ).stdout
    assert re.search(r"vfmadd\d+ps\s.*%zmm", text)
    assert bool(re.search(r"vdpbf16ps\s.*%zmm", text)) == dots
    assert bool(re.search(r"\stdpbf16ps\s", text)) == matrices


@pytest.mark.parametrize(
    "arch, tokens",
    [("x86-64", 2), ("x86-64-v3", 6), ("x86-64-v4", 12), ("sapphirerapids", 32)]
)
def test_tiles_fit_the_registers_of_the_arch(model, quick, tmp_path, arch, tokens):
    arguments = (model, "-o", tmp_path / "out", f"--arch={arch}")
    assert compile_model(*arguments, environment=quick).returncode == 0
    source = (tmp_path / "out" / "source" / "model.cpp").read_text()
    assert set(re.findall(r"Variant<(\d+), \d+>", source)) == {"1", str(tokens)}


def test_weights_are_aligned(engine):
    content = (engine / "weights.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert {"embed", "qkv", "norm"} <= header.keys()
    for tensor in header.values():
        begin, end = tensor["data_offsets"]
        assert (8 + length + begin) % 64 == 0
        assert 8 + length + end <= len(content)


def test_model_so_holds_no_cxx_library(engine):
    """Which would need a new libc, and leaves memory behind when closed."""
    content = (engine / "model.so").read_bytes()
    assert b"fdpp_model_query" in content
    assert b"__cxa_throw" not in content
    assert b"_dl_find_object" not in content


def test_nothing_of_the_machine(engine, model):
    for name in ("engine.json", "report.json", "report.md", "source/model.cpp",
                 "source/command.txt"):
        text = (engine / name).read_text()
        assert str(model.parent) not in text
        assert str(needs.ROOT) not in text


def test_up_to_date_by_content(model, quick, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(model.parent, copy)
    arguments = (copy / "model.mlir", "-o", tmp_path / "out")
    assert "wrote" in compile_model(*arguments, environment=quick).stdout
    assert "up to date" in compile_model(*arguments, environment=quick).stdout
    assert "wrote" in compile_model(*arguments, "--force", environment=quick).stdout
    os.utime(copy / "model.mlir")
    assert "up to date" in compile_model(*arguments, environment=quick).stdout
    assert "wrote" in compile_model(*arguments, "--arch=x86-64", environment=quick).stdout
    config = copy / "config.json"
    before = config.stat()
    config.write_text(config.read_text().replace("7", "8"))  # same size, same time
    os.utime(config, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = compile_model(*arguments, "--arch=x86-64", environment=quick)
    assert "wrote" in again.stdout
    assert check_engine(tmp_path / "out")["tokenizer"]["eos"] == [3, 8]
    (copy / "chat.json").write_text("{}")
    assert "wrote" in compile_model(*arguments, "--arch=x86-64", environment=quick).stdout
    (tmp_path / "out" / "model.so").write_bytes(b"short")
    assert "wrote" in compile_model(*arguments, "--arch=x86-64", environment=quick).stdout


def test_only_engines_are_replaced(model, quick, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    fails(compile_model(model, "-o", folder, environment=quick), "exists and is no engine")
    assert (folder / "thesis.tex").read_text() == "years of work"
    file = tmp_path / "file"
    file.write_text("x")
    fails(compile_model(model, "-o", file, environment=quick), "exists and is no folder")
    engine = tmp_path / "engine"
    assert compile_model(model, "-o", engine, environment=quick).returncode == 0
    (engine / "notes.txt").write_text("mine")
    fails(compile_model(model, "-o", engine, "--force", environment=quick), "holds notes.txt")
    assert (engine / "notes.txt").exists()


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--arch=znver44"], "did you mean znver4?"),
        (["--arch=x86-64-v3+avx1024"], "'avx1024' is no cpu feature"),
        (["--target=abacus"], "compiles for cpu and cuda"),
        (["--emit=later"], "no such phase"),
        (["--dtype=f8"], "f8"),
        (["--page-tokens=24"], "no multiple of 16"),
        (["--cxx=no-such-clang"], "no program 'no-such-clang'"),
        (["--cxx=/bin/true"], "not a clang++"),
        (["-o", "/no/such/folder/out"], "cannot write in the folder"),
    ],
)
def test_wrong_arguments(model, tmp_path, arguments, text):
    if "-o" not in arguments:
        arguments = [*arguments, "-o", tmp_path / "out"]
    fails(compile_model(model, *arguments), text)
    assert list(tmp_path.iterdir()) == []


def test_no_model():
    fails(compile_model(), "fdpp-compile: MODEL is required; see --help")


def test_wrong_models(tmp_path):
    fails(compile_model(tmp_path / "no.onnx"), "no.onnx: cannot read the model")
    fails(compile_model(tmp_path), "is a folder")
    (tmp_path / "empty.onnx").touch()
    fails(compile_model(tmp_path / "empty.onnx", cwd=tmp_path), "is empty")
    (tmp_path / "bad.mlir").write_text("module {")
    fails(compile_model(tmp_path / "bad.mlir", cwd=tmp_path), "bad.mlir:1:")


def test_weights_that_are_not_there(model, quick, tmp_path):
    text = FUSED.read_text().replace(
        "[#fdpp.seeded<1>]", '[#fdpp.file<"w.data", 64, 2560>]', 1
    )
    (tmp_path / "m.mlir").write_text(text)
    run = lambda: compile_model(
        tmp_path / "m.mlir", "-o", tmp_path / "out", environment=quick
    )
    fails(run(), "w.data: cannot read the weights")
    (tmp_path / "w.data").write_bytes(bytes(2560))
    fails(run(), "has 2560 bytes, but weight @embed lies at 64 to 2624")
    (tmp_path / "real").write_bytes(bytes(2624))
    (tmp_path / "w.data").unlink()
    (tmp_path / "w.data").symlink_to("real")
    fails(run(), "is a link")
    assert not (tmp_path / "out").exists()
    (tmp_path / "w.data").unlink()
    shutil.copy(tmp_path / "real", tmp_path / "w.data")
    assert run().returncode == 0
    assert "up to date" in run().stdout
    (tmp_path / "w.data").write_bytes(bytes(2623) + b"x")
    assert "wrote" in run().stdout


@pytest.mark.parametrize("phase", ["fused", "planned", "emittable"])
def test_emit_is_readable_again(model, tmp_path, phase):
    """As text and as bytecode, with the same source at the end."""
    emitted = compile_model(model, f"--emit={phase}")
    assert emitted.returncode == 0, emitted.stderr
    text, bytecode = tmp_path / "again.mlir", tmp_path / "again.mlirbc"
    text.write_text(emitted.stdout)
    subprocess.run([needs.BIN / "fdpp-opt", text, "--emit-bytecode", "-o", bytecode],
                   check=True)
    assert bytecode.read_bytes().startswith(b"ML\xefR")
    sources = []
    for file in (text, bytecode):
        again = compile_model(file, "--emit=source")
        assert again.returncode == 0, again.stderr
        sources.append(again.stdout)
    assert "fdpp_model_query" in sources[0]
    assert sources[0] == sources[1]


def test_help_is_short():
    result = compile_model("--help")
    assert result.returncode == 0
    assert result.stdout.count("\n") <= 60
    assert "Examples:" in result.stdout and "--mlir-" not in result.stdout


def context_of(source: str) -> int:
    return int(re.search(r"\.max_context = (\d+)", source)[1])


def test_the_context_is_what_the_model_was_trained_for(exported, model, tmp_path):
    def emitted(*options):
        result = compile_model(*options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert context_of(emitted(exported, "--emit=source")) == 256
    assert context_of(emitted(exported, "--emit=source", "--max-context=100")) == 100
    fails(
        compile_model(exported, "--emit=source", "--max-context=257"),
        "--max-context=257: the model was trained for 256 positions",
    )
    # A graph that does not say it: 8192, and whatever is asked for.
    assert context_of(emitted(model, "--emit=source")) == 8192
    assert context_of(emitted(model, "--emit=source", "--max-context=9000")) == 9000
    # What was decided stays, also where a later phase goes on.
    (tmp_path / "m.mlir").write_text(emitted(exported, "--emit=fused", "--max-context=100"))
    assert context_of(emitted(tmp_path / "m.mlir", "--emit=source")) == 100
