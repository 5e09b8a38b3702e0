#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Writes docs/reference from the dialects' and passes' definitions; with
# --check, only says whether the committed pages are what it would write.
set -euo pipefail
cd "$(dirname "$0")/.."

tblgen=${MLIR_TBLGEN:-/usr/lib/llvm-22/bin/mlir-tblgen}
llvm_include=${LLVM_INCLUDE:-/usr/lib/llvm-22/include}
pages=docs/reference
[ "${1:-}" = --check ] && pages=$(mktemp -d)
mkdir -p "$pages"

page() { # NAME GENERATOR DEFINITION [OPTION...]
  local name=$1 generator=$2 definition=$3
  shift 3
  "$tblgen" "$generator" "$@" -I include -I "$llvm_include" "$definition" -o "$pages/$name.md"
  # The generator leaves blanks at the ends of lines and of the page.
  sed -i -e 's/[ \t]*$//' -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$pages/$name.md"
}

page fdpp-dialect -gen-dialect-doc include/fdpp/Dialect/FDPP/IR/FDPPOps.td -dialect=fdpp
page fdpp-passes -gen-pass-doc include/fdpp/Dialect/FDPP/Transforms/Passes.td
page onnx-dialect -gen-dialect-doc include/fdpp/Dialect/ONNX/IR/ONNXOps.td -dialect=onnx
page onnx-passes -gen-pass-doc include/fdpp/Dialect/ONNX/Transforms/Passes.td

if [ "${1:-}" = --check ]; then
  diff -ru docs/reference "$pages" || {
    echo "docs/reference is stale: run utils/gen-reference.sh" >&2
    exit 1
  }
fi
