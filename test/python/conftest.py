# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes the package importable from the source tree, installed or not; models
and engines that several files share."""

import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python" / "src"))

import tiny_models  # noqa: E402
from compiler import FUSED, compile_model  # noqa: E402
from fdpp.export import main as export  # noqa: E402


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


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """model.onnx of a tiny Hugging Face folder, as fdpp-export writes it."""
    folder = tmp_path_factory.mktemp("exported")
    tiny_models.write_model("gqa", folder / "Tiny-Llama")
    assert export([str(folder / "Tiny-Llama"), "-o", str(folder / "onnx")]) == 0
    return folder / "onnx" / "model.onnx"


@pytest.fixture(scope="session")
def tiny_engine(exported, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "tiny.fdpp"
    result = compile_model(exported, "-o", folder)
    assert result.returncode == 0, result.stderr
    return folder
