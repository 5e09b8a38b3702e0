# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What all tests in Python share."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "python"))
import needs  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def object_cache():
    """Compiled kernels of the tests, not of the user. They stay with the build,
    found again by source, headers, flags and compiler; what a test wants to be
    compiled says --no-cache."""
    os.environ["FDPP_CACHE_DIR"] = str(needs.KERNEL_CACHE)
