# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The archive that CPack makes, unpacked and moved: nothing in it knows the
build; the demo runs; programs of others build against it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "python"))
import chat_templates  # noqa: E402
import needs  # noqa: E402
import tiny_models  # noqa: E402
import tokenizer_families  # noqa: E402

pytestmark = needs.tools("fdpp-compile", "fdpp-run", "fdpp-bench")

CONSUMERS = ROOT / "test" / "consumers"
# Nothing of this session's environment helps the installed programs.
CLEAN = {key: value for key, value in os.environ.items()
         if not key.startswith(("FDPP_", "LD_", "PYTHON", "CMAKE_"))}
CLEAN |= {"CC": "clang-22", "CXX": "clang++-22", "FDPP_CACHE_DIR": str(needs.KERNEL_CACHE)}


def call(*words, env=None, cwd=None) -> subprocess.CompletedProcess:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, cwd=cwd,
                          env=CLEAN | (env or {}))
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    call("cpack", "--config", needs.BUILD / "CPackConfig.cmake", "-G", "TXZ", "-B", folder)
    found = list(folder.glob("fdpp-*.tar.xz"))
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="session")
def prefix(archive, tmp_path_factory) -> Path:
    """The tree, twice away from where it was made, nowhere near the build."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    call("tar", "-xf", archive, "-C", unpacked)
    moved = tmp_path_factory.mktemp("moved") / "anywhere"
    (inside,) = unpacked.iterdir()
    assert inside.name == archive.name.removesuffix(".tar.xz")
    return Path(shutil.move(inside, moved))


@pytest.fixture(scope="session")
def source_model(tmp_path_factory) -> Path:
    """A tiny Hugging Face folder that can chat."""
    folder = tmp_path_factory.mktemp("tiny") / "Tiny"
    tokenizer = tokenizer_families.smollm()
    config = tiny_models.tiny_config(vocab_size=tokenizer.get_vocab_size())
    tiny_models.write_hf_folder(folder, config)
    tokenizer.save(str(folder / "tokenizer.json"))
    words = chat_templates.FAMILIES["smollm2"]
    (folder / "tokenizer_config.json").write_text(
        json.dumps(words[1] | {"chat_template": words[0]}))
    return folder


@pytest.fixture(scope="session")
def demo(prefix, source_model, tmp_path_factory) -> tuple[Path, str]:
    """The demo's folder and its answer."""
    work = tmp_path_factory.mktemp("demo")
    done = call(prefix / "share" / "fdpp" / "demo.sh", work, source_model, "Who are you?",
                env={"FDPP_PYTHON": sys.executable,
                     "PYTHONPATH": str(prefix / "share" / "fdpp" / "python" / "src")})
    return work, done.stdout


def files(prefix: Path) -> list[Path]:
    return sorted(path for path in prefix.rglob("*") if path.is_file())


def test_what_lies_where(prefix):
    found = {path.relative_to(prefix).as_posix() for path in files(prefix)}
    for wanted in (
        "bin/fdpp-run", "bin/fdpp-bench", "bin/fdpp-compile", "bin/fdpp-opt",
        "bin/fdpp-translate", "include/fdpp-runtime/fdpp.h", "lib/libfdpp_runtime.so",
        "lib/libfdpp_runtime.so.0", "lib/pkgconfig/fdpp-runtime.pc",
        "lib/cmake/FDPP/FDPPConfig.cmake", "share/fdpp/kernels/cpu/kernels.h",
        "share/fdpp/include/fdpp-runtime/model_abi.h", "share/doc/fdpp/LICENSE",
        "share/doc/fdpp/SECURITY.md",
    ):
        assert wanted in found
    assert len([name for name in found if re.fullmatch(r"lib/libfdpp_runtime\.so\.\d+\.\d+\.\d+", name)]) == 1
    tools = {path.name for path in (needs.BIN).iterdir()}
    # Every tool of the project is installed; what only tests use is not.
    made = {path.parent.name for path in (ROOT / "tools").glob("fdpp-*/CMakeLists.txt")}
    installed = {name.removeprefix("bin/") for name in found if name.startswith("bin/")}
    assert installed == made & tools
    assert not [name for name in found if name.endswith((".a", ".pyc"))]


def test_nothing_knows_the_build(prefix):
    places = [str(ROOT).encode(), str(needs.BUILD.resolve()).encode()]
    for path in files(prefix):
        content = path.read_bytes()
        for place in places:
            assert place not in content, f"{path.relative_to(prefix)} holds {place.decode()}"


def test_libraries_are_the_trees_own(prefix):
    for tool in ("fdpp-run", "fdpp-bench"):
        listed = call("ldd", prefix / "bin" / tool).stdout
        (line,) = [line for line in listed.splitlines() if "libfdpp_runtime" in line]
        assert str(prefix) in line or f"{prefix}/bin/../lib" in line
    for path in files(prefix / "bin"):
        assert "not found" not in call("ldd", path).stdout


def test_tune_finds_its_kernels(prefix, tmp_path):
    (tmp_path / "shapes.txt").write_text("32 32 f32\n")
    call(prefix / "bin" / "fdpp-tune", tmp_path / "shapes.txt", "--kernels=portable",
         "--budget=0.2", "-t", 1, "-o", tmp_path / "table.json")
    assert json.loads((tmp_path / "table.json").read_text())


def test_components_can_be_split(tmp_path):
    """Each installs alone; together they are the whole."""
    parts = {}
    for component in ("Runtime", "Compiler", "Development"):
        where = tmp_path / component
        call("cmake", "--install", needs.BUILD, "--component", component, "--prefix", where)
        parts[component] = {path.relative_to(where).as_posix()
                            for path in where.rglob("*") if not path.is_dir()}
    call("cmake", "--install", needs.BUILD, "--prefix", tmp_path / "all")
    whole = {path.relative_to(tmp_path / "all").as_posix()
             for path in (tmp_path / "all").rglob("*") if not path.is_dir()}
    assert whole == set().union(*parts.values())
    assert sum(map(len, parts.values())) == len(whole)  # no file in two
    assert "bin/fdpp-run" in parts["Runtime"] and "lib/libfdpp_runtime.so.0" in parts["Runtime"]
    assert "bin/fdpp-compile" in parts["Compiler"]
    assert "lib/libfdpp_runtime.so" in parts["Development"]
    assert not [name for name in parts["Runtime"] if "compile" in name or name.endswith(".h")]


def test_demo_runs_without_building(prefix, demo):
    work, answer = demo
    assert answer.strip()
    again = call(prefix / "bin" / "fdpp-run", work / "model.fdpp", "--chat", "Who are you?",
                 "-n", 64)
    assert answer.endswith(again.stdout)
    report = json.loads((work / "model.fdpp" / "engine.json").read_text())
    assert report["versions"]["product"] == "0.1.0"


def test_headers_missing_is_said(prefix, demo, tmp_path):
    """The kernels come from the tree and from nowhere else."""
    broken = tmp_path / "broken"
    shutil.copytree(prefix, broken, symlinks=True)
    shutil.rmtree(broken / "share")
    done = subprocess.run(
        [broken / "bin" / "fdpp-compile", demo[0] / "model" / "model.onnx", "-o", tmp_path / "e"],
        capture_output=True, text=True, env=CLEAN)
    assert done.returncode == 1
    assert done.stderr == (f"fdpp-compile: no kernel headers in {broken}/share/fdpp;"
                           " install fdpp again or set FDPP_INCLUDE_DIR\n")


def test_c_consumer_by_pkg_config(prefix, demo, tmp_path):
    environment = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig"), "OUT": str(tmp_path)}
    call("make", "-C", CONSUMERS / "c", env=environment)
    version = call("pkg-config", "--modversion", "fdpp-runtime", env=environment)
    assert version.stdout == "0.1.0\n"
    engine = demo[0] / "model.fdpp"
    made = call(tmp_path / "generate", engine, "Hello").stdout
    assert made == call(prefix / "bin" / "fdpp-run", engine, "-p", "Hello", "-n", 64).stdout


def test_cpp_consumer_by_find_package(prefix, demo, tmp_path):
    """Its build makes the engine with the installed fdpp-compile."""
    model = demo[0] / "model" / "model.onnx"
    call("cmake", "-S", CONSUMERS / "cpp", "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}",
         f"-DMODEL={model}")
    call("cmake", "--build", tmp_path)
    made = call(tmp_path / "answer", tmp_path / "model.fdpp", 12, 5, 6, 7).stdout
    told = call(prefix / "bin" / "fdpp-run", tmp_path / "model.fdpp", "--tokens", "5,6,7",
                "-n", 12, "--json").stdout
    assert made.split() == [str(token) for token in json.loads(told)["results"][0]["tokens"]]


@pytest.mark.parametrize("version, wanted, message", [
    ("0.1", "Runtime Development", ""),
    ("0.1", "", ""),
    ("0.2", "Runtime", 'requested version "0.2"'),
    ("0.1", "Server", "component Server is not installed in"),
])
def test_find_package_says_what_it_has(prefix, tmp_path, version, wanted, message):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.22)\nproject(p LANGUAGES NONE)\n"
        f"find_package(FDPP {version} REQUIRED {'COMPONENTS ' + wanted if wanted else ''})\n"
        "foreach(target fdpp-run fdpp-compile)\n  if(TARGET FDPP::${target})\n"
        '    message(STATUS "has ${target}")\n  endif()\nendforeach()\n')
    done = subprocess.run(
        ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}"],
        capture_output=True, text=True, env=CLEAN)
    assert (done.returncode == 0) == (message == "")
    assert message in " ".join(done.stderr.split())
    if not message:
        assert ("has fdpp-compile" in done.stdout) == (wanted == "")
        assert "has fdpp-run" in done.stdout
