#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Fails where a file has no licence line or entry in REUSE.toml, a source file is
# not formatted, or has grown over 500 lines; generated files may be longer.
set -euo pipefail
cd "$(dirname "$0")/.."

folders=(benchmarks cmake include lib python runtime test tools utils)
# test/engines holds emitted text, as it was emitted.
mapfile -t cxx < <(find "${folders[@]}" -not -path 'test/engines/*' \
  \( -name '*.cpp' -o -name '*.h' \) | sort)
mapfile -t sources < <(printf '%s\n' "${cxx[@]}" CMakeLists.txt &&
  find "${folders[@]}" \( -name '*.td' -o -name '*.py' -o -name '*.sh' -o \
    -name '*.cmake' -o -name CMakeLists.txt \) -not -path '*/__pycache__/*' | sort)

failed=0
python3 utils/check-spdx.py || failed=1
if ! ${CLANG_FORMAT:-clang-format-22} --dry-run -Werror "${cxx[@]}"; then
  echo "check-style: format the files above with clang-format-22 -i" >&2
  failed=1
fi
for file in "${sources[@]}"; do
  if [ "$(wc -l <"$file")" -gt 500 ] && [[ $file != *FDPPOps.td ]]; then
    echo "check-style: $file: over 500 lines" >&2
    failed=1
  fi
done
exit $failed
