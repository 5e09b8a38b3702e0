# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-compile as a user meets it: what it writes, and how it fails."""

import filecmp
import hashlib
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FDPP_BUILD_DIR", ROOT / "build" / "release"))
COMPILE = BUILD / "bin" / "fdpp-compile"
FUSED = ROOT / "test" / "Dialect" / "FDPP" / "fused.mlir"

pytestmark = pytest.mark.skipif(
    not COMPILE.exists(), reason="needs fdpp-compile (ninja fdpp-compile)"
)


def compile_model(*arguments, environment=None, cwd=None, limits=None):
    return subprocess.run(
        [COMPILE, *map(str, arguments)],
        env=os.environ | (environment or {}),
        cwd=cwd,
        preexec_fn=limits,
        capture_output=True,
        text=True,
    )


def fails(result, text: str, code: int = 1) -> None:
    """One line on stderr that begins with the program's name."""
    assert result.returncode == code, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("fdpp-compile: "), result.stderr
    assert text in result.stderr
    assert result.stdout == ""


def check_engine(folder: Path) -> dict:
    """The manifest of a whole engine; fails on one that is not."""
    manifest = json.loads((folder / "engine.json").read_text())
    assert manifest["magic"] == "fdpp-engine"
    listed = {file["name"]: file for file in manifest["files"]}
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == listed.keys() | {"engine.json"}
    for name, file in listed.items():
        content = (folder / name).read_bytes()
        assert len(content) == file["bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    return manifest


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A folder with the model and files beside it."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(FUSED, folder / "model.mlir")
    tokenizer = {"added_tokens": [{"id": 3, "content": "<end>"}]}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<end>"}')
    (folder / "config.json").write_text('{"eos_token_id": [7, 3], "bos_token_id": 1}')
    (folder / "LICENSE").write_text("free\n")
    (folder / "notes.txt").write_text("not for engines\n")
    return folder / "model.mlir"


@pytest.fixture(scope="session")
def engine(model, tmp_path_factory) -> Path:
    """Compiled once, by the real compiler."""
    folder = tmp_path_factory.mktemp("engines") / "model.fdpp"
    result = compile_model(model, "-o", folder, "--arch=x86-64-v3")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"next: fdpp-run {folder}"
    assert result.stderr == ""
    return folder


@pytest.fixture(scope="session")
def quick(engine, tmp_path_factory) -> dict:
    """An environment whose compiler takes model.so from the engine: these tests
    are about folders, and compiling the kernels takes seconds."""
    program = tmp_path_factory.mktemp("cxx") / "clang++"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "clang version 22 (from a store)"; exit;; esac\n'
        'for word; do out="$word"; done\n'
        f'cp "{engine}/model.so" "$out"\n'
    )
    program.chmod(0o755)
    return {"FDPP_CXX": str(program)}


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


@pytest.mark.parametrize("arch, dots", [("znver4", True), ("x86-64-v4", False)])
def test_bf16_engines_use_the_bf16_unit(model, tmp_path, arch, dots):
    """Where the CPU has dot products of bf16 pairs, the linears are made of them."""
    arguments = (model, "-o", tmp_path / "out", f"--arch={arch}", "--dtype=bf16")
    result = compile_model(*arguments)
    assert result.returncode == 0, result.stderr
    features = check_engine(tmp_path / "out")["target"]["features"]
    assert ("avx512bf16" in features) == dots
    text = subprocess.run(
        ["llvm-objdump-22", "-d", "--no-show-raw-insn", tmp_path / "out" / "model.so"],
        check=True, capture_output=True, text=True,
    ).stdout
    assert re.search(r"vfmadd\d+ps\s.*%zmm", text)
    assert bool(re.search(r"vdpbf16ps\s.*%zmm", text)) == dots


def test_weights_are_aligned(engine):
    content = (engine / "weights.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert {"embed", "qkv", "norm"} <= header.keys()
    for tensor in header.values():
        begin, end = tensor["data_offsets"]
        assert (8 + length + begin) % 64 == 0
        assert 8 + length + end <= len(content)


def test_nothing_of_the_machine(engine, model):
    for name in ("engine.json", "report.json", "report.md", "source/model.cpp",
                 "source/command.txt"):
        text = (engine / name).read_text()
        assert str(model.parent) not in text
        assert str(ROOT) not in text


def differences(a: Path, b: Path) -> list:
    compared = filecmp.dircmp(a, b)
    source = filecmp.dircmp(a / "source", b / "source")
    names = [str(p.relative_to(a)) for p in a.rglob("*") if p.is_file()]
    _, mismatch, errors = filecmp.cmpfiles(a, b, names, shallow=False)
    return mismatch + errors + compared.left_only + compared.right_only + source.right_only


def test_same_bytes_wherever_compiled(engine, model, tmp_path):
    other = tmp_path / "elsewhere" / "model"
    shutil.copytree(model.parent, other)
    result = compile_model("model.mlir", "-o", "x", "--arch=x86-64-v3", cwd=other)
    assert result.returncode == 0, result.stderr
    assert differences(engine, other / "x") == []


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
        (["--target=abacus"], "compiles for cpu only"),
        (["--emit=later"], "no such phase"),
        (["--dtype=f8"], "f8"),
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


def leftovers(folder: Path) -> list:
    return [path.name for path in folder.iterdir() if ".fdpp-" in path.name]


@pytest.mark.parametrize("limit, text", [(20000, "clang++"), (500000, "LICENSE.big")])
def test_full_disk(model, quick, tmp_path, limit, text):
    """A limit on file sizes stands for the disk: first model.so hits it, then a
    file that fdpp-compile writes itself."""
    import resource

    def limits():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    shutil.copytree(model.parent, tmp_path / "model")
    (tmp_path / "model" / "LICENSE.big").write_bytes(bytes(1 << 20))
    result = compile_model(
        tmp_path / "model" / "model.mlir", "-o", tmp_path / "out",
        environment=quick, limits=limits,
    )
    fails(result, text)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_emitted_source_that_does_not_compile(model, tmp_path):
    program = tmp_path / "clang++"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "clang version 22"; exit;; esac\n'
        'echo "model.cpp:1:1: error: what is this" >&2; exit 1\n'
    )
    program.chmod(0o755)
    out = tmp_path / "out"
    result = compile_model(model, "-o", out, f"--cxx={program}")
    fails(result, "refuses the emitted source: what is this", code=70)
    kept = Path(re.search(r"kept in (\S+)", result.stderr)[1])
    assert "fdpp_model_query" in kept.read_text()
    kept.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clang++"]


@pytest.mark.parametrize("phase", ["fused", "planned", "emittable"])
def test_emit_is_readable_again(model, tmp_path, phase):
    emitted = compile_model(model, f"--emit={phase}")
    assert emitted.returncode == 0, emitted.stderr
    (tmp_path / "again.mlir").write_text(emitted.stdout)
    again = compile_model(tmp_path / "again.mlir", "--emit=source")
    assert again.returncode == 0, again.stderr
    assert "fdpp_model_query" in again.stdout


def test_interrupt_leaves_nothing(model, tmp_path):
    program = tmp_path / "clang++"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "clang version 22"; exit;; esac\n'
        "exec sleep 30\n"
    )
    program.chmod(0o755)
    out = tmp_path / "out"
    process = subprocess.Popen(
        [COMPILE, model, "-o", out, f"--cxx={program}"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )
    while not leftovers(tmp_path):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clang++"]


def test_kill_at_any_moment(model, quick, tmp_path):
    """The place holds the old engine, none, or a whole one."""
    out = tmp_path / "out"
    environment = os.environ | quick
    command = [COMPILE, model, "-o", out, "--force"]
    start = time.monotonic()
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    whole = time.monotonic() - start
    seed = random.randrange(1 << 32)
    print("seed", seed)
    moments = random.Random(seed)
    for _ in range(50):
        if moments.random() < 0.2:
            shutil.rmtree(out, ignore_errors=True)
        process = subprocess.Popen(
            command, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0, 1.1 * whole))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if out.exists():
            check_engine(out)
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    check_engine(out)
    assert leftovers(tmp_path) == []


def test_help_is_short():
    result = compile_model("--help")
    assert result.returncode == 0
    assert result.stdout.count("\n") <= 60
    assert "Examples:" in result.stdout and "--mlir-" not in result.stdout
