#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Installs, builds and runs every test, as many at a time as there are processors.
# docs/testing.md says what takes how long.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)

step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

step "setting up"
utils/setup.sh check

step "building (release)"
cmake --preset release -DFDPP_BUILD_TESTS=ON >/dev/null
ninja -C build/release all fdpp-tests fdpp-runtime-tests

step "C++ and lit tests"
ctest --test-dir build/release -j "$jobs" --output-on-failure

step "Python and end-to-end tests"
python_tests() {
  FDPP_BUILD_DIR=$PWD/build/release .venv/bin/python -m pytest "$@" \
    test/python test/e2e test/install test/mutation
}
python_tests -n "$jobs" --dist loadfile -m 'not alone'
python_tests -m alone

# A build of the runtime with a sanitizer, its tests, and compiled engines in it.
#   sanitized PRESET SANITIZER [ADDITIONAL TARGETS]
sanitized() {
  local preset=$1 sanitizer=$2
  shift 2
  cmake --preset "$preset" >/dev/null
  ninja -C "build/$preset" fdpp-runtime-tests "$@"
  # The assembly that kernels become is the release build's business.
  ctest --test-dir "build/$preset" -L 'runtime|import' -E kernels_assembly \
    -j "$jobs" --output-on-failure
  FDPP_BUILD_DIR=$PWD/build/release FDPP_SANITIZED_BUILD=$PWD/build/$preset \
    FDPP_SANITIZER=$sanitizer .venv/bin/python -m pytest \
    test/e2e/test_sanitized_engine.py
}

step "runtime and importer under AddressSanitizer and UBSan"
sanitized asan address,undefined fdpp-import-only

step "fuzzers"
FDPP_FUZZ_SEED=22 utils/fuzz.sh 60

step "runtime under ThreadSanitizer"
sanitized tsan thread

step "done"
