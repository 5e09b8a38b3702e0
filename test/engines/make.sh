#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Writes the engine that stands for the format of today, test/engines/MAJOR.MINOR:
# a tiny Llama with random weights, for any x86-64 CPU, and beside it the logits
# and the tokens it gave when it was new. Run it once for each minor version;
# engines of older ones are never written again (docs/engine-format.md).
#
#   test/engines/make.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/release}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
FDPP_BUILD_DIR=$build PYTHONPATH=python/src:test/python \
  .venv/bin/python -m tiny_models gqa "$scratch/onnx" --export
"$build/bin/fdpp-compile" "$scratch/onnx/model.onnx" -o "$scratch/engine" \
  --arch=x86-64 --dtype=f32 --no-cache
version=$(.venv/bin/python -c 'import json, sys
print("{major}.{minor}".format(**json.load(open(sys.argv[1]))["format"]))' \
  "$scratch/engine/engine.json")
place=test/engines/$version
rm -rf "$place"
mkdir -p "$place"
mv "$scratch/engine" "$place/engine"
prompt=$(seq -s, 1 7 90)
"$build/bin/fdpp-run" "$place/engine" --tokens "$prompt" -n 0 -t 1 \
  --logits "$place/logits.npy"
"$build/bin/fdpp-run" "$place/engine" --tokens "$prompt" -n 24 -t 1 --json |
  .venv/bin/python -c 'import json, sys
print(json.dumps({"results": json.load(sys.stdin)["results"]}, indent=1))' \
    >"$place/tokens.json"
du -sh "$place"
