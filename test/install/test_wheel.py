# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The Python package as a wheel, in a virtual environment of its own."""

import configparser
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "python"))
import tiny_models  # noqa: E402


def call(*words) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: setuptools writes beside the sources.
    shutil.copytree(ROOT / "python", folder / "python",
                    ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    call(sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps",
         "--no-build-isolation", "-w", folder, folder / "python")
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel; what it depends on is this one's."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    program = folder / "bin" / "python"
    call(program, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel)
    site = call(program, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # Names in a .pth file come last and their own .pth files are not read, so
    # the fdpp of the sources stays out.
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return program


def entry_points(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/entry_points.txt")]
        parser = configparser.ConfigParser()
        parser.read_string(archive.read(name).decode())
    return dict(parser["console_scripts"])


def test_it_is_pure_python_and_whole(wheel):
    assert wheel.name == "fdpp-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {path.relative_to(ROOT / "python" / "src").as_posix()
               for path in (ROOT / "python" / "src" / "fdpp").rglob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert any(name.endswith("LICENSE") for name in names)


def test_every_command_starts(wheel, python):
    commands = entry_points(wheel)
    assert "fdpp-export" in commands
    for command in commands:
        assert command in call(python.parent / command, "--help")


def test_the_installed_package_exports(python, tmp_path):
    tiny_models.write_model("gqa", tmp_path / "hf")
    where = call(python, "-c", "import fdpp; print(fdpp.__file__)").strip()
    assert where.startswith(str(python.parents[1]))
    told = call(python.parent / "fdpp-export", tmp_path / "hf", "-o", tmp_path / "onnx")
    assert told.startswith(f"wrote {tmp_path / 'onnx'}")
    assert (tmp_path / "onnx" / "model.onnx").exists()
