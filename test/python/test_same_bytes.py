# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One model is one engine, byte for byte, wherever and however it is compiled."""

import os
import shutil
from pathlib import Path

import needs
import pytest
from compiler import check_engine, compile_model

pytestmark = needs.tools("fdpp-compile")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def same(a: Path, b: Path) -> None:
    left, right = contents(a), contents(b)
    assert left.keys() == right.keys()
    assert [name for name in left if left[name] != right[name]] == []


@pytest.fixture(scope="module")
def first(exported, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "out"
    result = compile_model(exported, "-o", folder, "-t", 1, "--no-cache")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("threads", [2, 7])
def test_elsewhere_and_with_other_threads(first, exported, tmp_path, threads):
    """Another folder, named relatively; another home, umask, locale and place
    for temporary files."""
    other = tmp_path / "else where" / "Modèle"
    shutil.copytree(exported.parent, other)
    (tmp_path / "tmp").mkdir()
    result = compile_model(
        "./model.onnx", "-o", "deep er.fdpp", "-t", threads, "--no-cache", cwd=other,
        environment={"HOME": "/nowhere", "TMPDIR": str(tmp_path / "tmp"), "LC_ALL": "C",
                     "TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "1"},
        limits=lambda: os.umask(0o077),
    )
    assert result.returncode == 0, result.stderr
    same(first, other / "deep er.fdpp")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_other_forms_of_a_model(engine, model, tmp_path):
    other = tmp_path / "elsewhere" / "model"
    shutil.copytree(model.parent, other)
    result = compile_model("model.mlir", "-o", "x", "--arch=x86-64-v3", "--no-cache", cwd=other)
    assert result.returncode == 0, result.stderr
    same(engine, other / "x")


def test_again_in_its_place(first, exported, tmp_path):
    """Over itself, and with kernels from the object cache."""
    shutil.copytree(first, tmp_path / "out")
    for _ in range(2):
        again = compile_model(exported, "-o", tmp_path / "out", "--force")
        assert again.stdout.startswith("wrote "), again.stderr
        same(first, tmp_path / "out")


def test_no_path_of_the_machine_in_any_file(first, exported):
    manifest = check_engine(first)
    assert manifest["command"][:2] == ["fdpp-compile", "model.onnx"]
    names = [exported.parent, exported.parents[1], first.parent, needs.ROOT, needs.BUILD,
             Path.home(), "/tmp/"]
    for name, content in contents(first).items():
        for path in names:
            assert str(path).encode() not in content, f"{name}: {path}"
