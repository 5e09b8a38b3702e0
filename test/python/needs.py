# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a test needs: skipped where it is missing, but never in a check.

A check says with FDPP_BUILD_DIR which build it is about (utils/check.sh does).
There a missing tool or package is a failure, not a reason to skip."""

import importlib
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKING = "FDPP_BUILD_DIR" in os.environ
BUILD = Path(os.environ.get("FDPP_BUILD_DIR", ROOT / "build" / "release"))
BIN = BUILD / "bin"
KERNEL_CACHE = BUILD.resolve() / "kernel-cache"


def tools(*names: str) -> pytest.MarkDecorator:
    """For pytestmark: skips the file unless the tools are built."""
    missing = [name for name in names if not (BIN / name).exists()]
    return pytest.mark.skipif(
        bool(missing) and not CHECKING, reason=f"needs {' '.join(missing)} in {BIN}"
    )


def module(name: str):
    """The module; skips unless it is installed."""
    return importlib.import_module(name) if CHECKING else pytest.importorskip(name)


def nvcc() -> dict[str, str]:
    """The environment in which fdpp-compile takes PyPI's nvcc."""
    cuda = module("nvidia.cu13")
    return {"FDPP_NVCC": str(Path(next(iter(cuda.__path__))) / "bin" / "nvcc")}


def onnxruntime_after(version: str, why: str) -> None:
    """Skips where onnxruntime is not newer. Python 3.10 (Ubuntu 22.04) has none
    newer than 1.23.2; elsewhere a check fails."""
    from importlib.metadata import version as installed

    def parts(text: str) -> list[int]:
        return [int(part) for part in text.split(".")[:2]]

    if parts(installed("onnxruntime")) <= parts(version):
        said = f"onnxruntime {installed('onnxruntime')}: {why}"
        if CHECKING and sys.version_info >= (3, 11):
            pytest.fail(said)
        pytest.skip(said, allow_module_level=True)
