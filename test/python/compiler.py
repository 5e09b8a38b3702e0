# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls fdpp-compile and looks at what it leaves."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

from needs import BIN, ROOT

COMPILE = BIN / "fdpp-compile"
RUN = BIN / "fdpp-run"
# Two layers in the phase 'fused', with seeded weights.
FUSED = ROOT / "test" / "Dialect" / "FDPP" / "fused.mlir"


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


def leftovers(folder: Path) -> list:
    return [path.name for path in folder.iterdir() if ".fdpp-" in path.name]
