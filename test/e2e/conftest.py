# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is no test of this build is not collected, so that a skip always means
something is missing."""

import os

collect_ignore = [] if "FDPP_SANITIZED_BUILD" in os.environ else ["test_sanitized_engine.py"]


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "alone: measures time or memory, so nothing may run beside it")
