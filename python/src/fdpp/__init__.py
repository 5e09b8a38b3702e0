# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Python side of FDPP: exporting models to ONNX."""

__version__ = "0.1.0"
