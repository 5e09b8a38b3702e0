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
cmake --preset release -DFDPP_BUILD_TESTS=ON >/dev/null
ninja -C build/release all fdpp-tests fdpp-runtime-tests

step "C++ and lit tests"
ctest --test-dir build/release --output-on-failure

step "Python and end-to-end tests"
FDPP_BUILD_DIR=$PWD/build/release .venv/bin/python -m pytest test/python test/e2e

step "done"
