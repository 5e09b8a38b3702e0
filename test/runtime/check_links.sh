#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# check_links.sh LIBRARY FDPP_RUN FDPP_BENCH FDPP_EVAL FDPP_TUNE FDPP_CALIBRATE HEADER
# The runtime and its tools link no LLVM, directly or through others; run,
# eval and bench use the C API only; the library exports the functions of its header, all of
# them under a version, and nothing else.
set -euo pipefail
library=$1 run=$2 bench=$3 eval=$4 tune=$5 calibrate=$6 header=$7
fail() { echo "check_links: $*" >&2; exit 1; }

for file in "$library" "$run" "$bench" "$eval" "$tune" "$calibrate"; do
  # Captured first: a failing readelf or ldd must not pass for "nothing found".
  needed=$(readelf -d "$file" | grep NEEDED)
  loaded=$(ldd "$file")
  if grep -E 'LLVM|MLIR|protobuf|onnx' <<<"$needed$loaded"; then
    fail "$file links a library of the compiler"
  fi
done
for file in "$run" "$bench" "$eval"; do
  readelf -d "$file" | grep -q 'NEEDED.*libfdpp_runtime\.so' ||
    fail "$file does not link the C API"
  if nm -C --defined-only "$file" | grep -q 'fdpp::runtime::'; then
    fail "$file holds code of the runtime beside the C API"
  fi
done

exported=$(nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | sort)
# Sanitizers export symbols of their own; ours are what counts then.
exported=$(grep -vE '^(__(asan|ubsan|tsan|sanitizer)|_ZTI|_ZTS)' <<<"$exported")
declared=$(grep -oE '^FDPP_API .*|^fdpp_[a-z_]+\(' "$header" |
  grep -oE 'fdpp_[a-z_]+ *\(' | tr -d ' (' | sort)
[ "$(sed 's/@@FDPP_1\.0$//' <<<"$exported")" = "$declared" ] ||
  fail "exported and declared symbols differ:
$(diff <(sed 's/@@FDPP_1\.0$//' <<<"$exported") <(echo "$declared"))"
if grep -v '@@FDPP_1\.0$' <<<"$exported"; then
  fail "symbols without the version FDPP_1.0"
fi
echo "$(wc -l <<<"$declared") functions, all versioned; no LLVM"
