#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Installs, builds and runs every test.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

step "setting up"
utils/setup.sh check

step "building (release)"
cmake --preset release >/dev/null
ninja -C build/release all fdpp-tests fdpp-runtime-tests

step "C++ and lit tests"
ctest --test-dir build/release --output-on-failure

step "Python and end-to-end tests"
FDPP_BUILD_DIR=$PWD/build/release .venv/bin/python -m pytest test/python test/e2e

step "the runtime alone, without LLVM, under AddressSanitizer and UBSan"
cmake --preset asan -DFDPP_BUILD_COMPILER=OFF >/dev/null
ninja -C build/asan fdpp-runtime-tests
ctest --test-dir build/asan -L runtime --output-on-failure

step "the runtime under ThreadSanitizer"
cmake --preset tsan >/dev/null
ninja -C build/tsan fdpp-runtime-tests
ctest --test-dir build/tsan -L runtime --output-on-failure

step "done"
