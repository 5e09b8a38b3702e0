# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""lit configuration of the compiler's tests.

Run through ctest or `ninja check-fdpp`, the build tree is known from
lit.site.cfg.py. `lit -v test/x.mlir` in the source tree finds it by itself:
$FDPP_BUILD_DIR, or build/release.
"""
import os
import pathlib
import shutil
import sys

import lit.formats

config.name = "FDPP"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".onnxtxt", ".test"]
config.excludes = ["Inputs", "regressions"]  # those are inputs of fuzzers
config.test_source_root = os.path.dirname(__file__)

source = pathlib.Path(__file__).resolve().parent.parent
build = getattr(config, "fdpp_build_dir", None)
if build is None:
    build = os.environ.get("FDPP_BUILD_DIR", str(source / "build" / "release"))
llvm_bin = getattr(config, "llvm_tools_dir", "/usr/lib/llvm-22/bin")
python = getattr(config, "python", sys.executable)

bin_dir = os.path.join(build, "bin")
if not os.path.isdir(bin_dir):
    lit_config.fatal(f"no built tools in {bin_dir}: build, or set FDPP_BUILD_DIR")
config.test_exec_root = os.path.join(build, "test", "lit")

for tool in ("fdpp-opt", "fdpp-translate", "fdpp-compile", "fdpp-reduce"):
    path = os.path.join(bin_dir, tool)
    if os.path.exists(path):
        config.available_features.add(tool)
        config.substitutions.append((rf"\b{tool}\b(?!\.)", path))
for tool in ("FileCheck", "not", "count", "split-file"):
    path = shutil.which(tool, path=llvm_bin) or shutil.which(tool)
    if not path:
        lit_config.fatal(f"{tool} not found in {llvm_bin}")
    config.substitutions.append((rf"(?<![-\w/]){tool}\b(?![-.\w/])", path))
config.substitutions.append(("%python", python))
config.substitutions.append(("%source", str(source)))
config.environment["PATH"] = os.pathsep.join(
    [bin_dir, llvm_bin, config.environment["PATH"]])
