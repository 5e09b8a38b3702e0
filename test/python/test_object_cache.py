# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiled kernels are kept, and found by what they were compiled from."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import needs
import pytest
from compiler import COMPILE, FUSED, check_engine, compile_model, fails

pytestmark = needs.tools("fdpp-compile")

HIT, MISS = "kernels from the object cache", "compiling the kernels"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FDPP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "objects"


@pytest.fixture(scope="session")
def program(engine, tmp_path_factory) -> Path:
    """A compiler, and no script, that takes model.so from an engine: most of
    these tests are about the cache, and compiling takes seconds."""
    folder = tmp_path_factory.mktemp("cxx")
    (folder / "cxx.c").write_text(r"""
        #include <stdio.h>
        #include <string.h>
        int main(int count, char **words) {
          if (count == 2 && strcmp(words[1], "--version") == 0)
            return puts("clang version 22 (from a store)") < 0;
          FILE *from = fopen(LIBRARY, "rb"), *to = fopen(words[count - 1], "wb");
          if (!from || !to)
            return 1;
          for (int c; (c = getc(from)) != EOF;)
            putc(c, to);
          fprintf(to, "%s", words[3]); /* another library for another -march */
          return fclose(to) != 0;
        }""")
    subprocess.run(["cc", f'-DLIBRARY="{engine}/model.so"', folder / "cxx.c", "-o",
                    folder / "clang++"], check=True)
    return folder / "clang++"


@pytest.fixture
def compiled(tmp_path, program):
    """Compiles the model with the weights of a seed; returns what -v says."""

    def run(name: str, seed: int, *options, arch="x86-64", **environment) -> str:
        result = compile_model(
            FUSED, "-o", tmp_path / name, f"--synthetic-weights={seed}", "-v",
            f"--arch={arch}", "--force", *options,
            environment={"FDPP_CXX": str(program)} | environment)
        assert result.returncode == 0, result.stderr
        assert (HIT in result.stderr) != (MISS in result.stderr), result.stderr
        check_engine(tmp_path / name)
        return result.stderr

    return run


def entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.exists() else []


def test_other_weights_find_the_kernels(cache, compiled, tmp_path):
    """With the real compiler."""
    first = compiled("a", 1, FDPP_CXX="")
    assert MISS in first and "kept in the object cache" in first
    (entry,) = entries(cache)
    assert HIT in compiled("b", 2, FDPP_CXX="")
    a, b = ((tmp_path / name) for name in "ab")
    assert (a / "model.so").read_bytes() == (b / "model.so").read_bytes()
    assert (a / "model.so").stat().st_mode == (b / "model.so").stat().st_mode
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in "ab"]
    assert weights[0] != weights[1]
    assert entries(cache) == [entry]


def test_without_the_cache(cache, compiled):
    assert MISS in compiled("a", 1, "--no-cache")
    assert entries(cache) == []
    compiled("a", 1)
    assert MISS in compiled("a", 1, "--no-cache")


def test_what_code_depends_on(cache, compiled, tmp_path):
    """The text (dtypes), the flags and the headers are in the key, and so is
    what clang reads of the environment."""
    compiled("a", 1)
    headers = tmp_path / "headers"
    for part in ("kernels", "include"):
        shutil.copytree(needs.ROOT / "runtime" / part, headers / part)
    assert HIT in compiled("a", 1, FDPP_INCLUDE_DIR=str(headers))
    with open(headers / "kernels" / "cpu" / "kernels.h", "a") as file:
        file.write("// another\n")
    assert MISS in compiled("a", 1, FDPP_INCLUDE_DIR=str(headers))
    assert MISS in compiled("a", 1, arch="x86-64-v2")
    assert MISS in compiled("a", 1, "--max-context=100")
    assert MISS in compiled("a", 1, CPLUS_INCLUDE_PATH=str(tmp_path))
    assert len(entries(cache)) == 5
    assert HIT in compiled("a", 1)


@pytest.mark.parametrize("damage", [
    lambda content: content[:-1],
    lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    lambda content: b"",
    lambda content: content[:40],
    lambda content: b"fdpp-object 2" + content[13:],
], ids=["short", "changed", "empty", "header", "version"])
def test_a_damaged_entry_is_replaced(cache, compiled, damage):
    compiled("a", 1)
    (entry,) = entries(cache)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert MISS in compiled("b", 2)
    assert entry.read_bytes() == whole
    assert HIT in compiled("b", 2)


def test_the_oldest_entries_go_first(cache, compiled):
    compiled("a", 1)
    (entry,) = entries(cache)
    now = time.time()
    for age in range(1, 5):  # five days; four of them fill the bound
        file = cache / f"old-{age}"
        file.write_bytes(bytes(1 << 19))
        os.utime(file, (now - age * 86400,) * 2)
    for name, age in ((".new-recent", 60), (".new-abandoned", 7200)):
        (cache / name).touch()
        os.utime(cache / name, (now - age,) * 2)
    os.utime(entry, (now - 9 * 86400,) * 2)
    assert HIT in compiled("a", 1)  # makes it the newest
    compiled("b", 1, "--max-context=100", FDPP_CACHE_SIZE="2")
    names = {path.name for path in entries(cache)}
    assert entry.name in names and ".new-recent" in names
    assert names.isdisjoint({"old-4", ".new-abandoned"}) and "old-1" in names
    assert sum(path.stat().st_size for path in entries(cache)) <= 2 << 20
    compiled("b", 1, "--max-context=101", FDPP_CACHE_SIZE="0")
    assert {path.name for path in entries(cache)} == {".new-recent"}


def test_several_at_once(cache, program, tmp_path, monkeypatch):
    monkeypatch.setenv("FDPP_CXX", str(program))
    command = lambda i: [COMPILE, FUSED, "-o", tmp_path / str(i), "--arch=x86-64",
                         f"--synthetic-weights={i}"]
    running = [subprocess.Popen(command(i), stdout=subprocess.DEVNULL) for i in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(entries(cache)) == 1
    for i in range(3):
        check_engine(tmp_path / str(i))


def test_a_cache_that_cannot_be_written(cache, compiled):
    cache.parent.write_text("a file")
    said = compiled("a", 1)
    assert MISS in said and f"object cache: {cache}: cannot create the folder" in said


def test_where_it_is(compiled, tmp_path, monkeypatch):
    monkeypatch.delenv("FDPP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    compiled("a", 1)
    assert len(entries(tmp_path / "xdg" / "fdpp" / "objects")) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    compiled("a", 1)
    assert len(entries(tmp_path / "home" / ".cache" / "fdpp" / "objects")) == 1


def test_a_wrong_size(tmp_path):
    fails(compile_model(FUSED, "-o", tmp_path / "a", environment={"FDPP_CACHE_SIZE": "1G"}),
          "FDPP_CACHE_SIZE: '1G' is no number of mebibytes")


def test_scripts_are_not_trusted(cache, compiled, quick):
    """A compiler that is a script may read anything."""
    assert MISS in compiled("a", 1, **quick)
    assert entries(cache) == []
