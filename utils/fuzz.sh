#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Runs every fuzzer of test/fuzz for a while, two at a time, from seeds that the
# other tests' inputs give. Inputs that once failed are tried first.
#
#   utils/fuzz.sh [SECONDS [FUZZER...]]      60 seconds of all of them
#
# FDPP_FUZZ_SEED=N gives all of them the seed N, as a check does, and lets them
# begin afresh, so that the same build does the same again. Otherwise every run
# has another seed, which it prints, and begins where the last one ended.
#
# Needs build/asan (cmake --preset asan) and the tools of FDPP_BUILD_DIR
# (build/release). What a run finds is kept in build/asan/fuzz for the next one.
set -euo pipefail
cd "$(dirname "$0")/.."

all=(onnx mlir engine safetensors tokenizer gguf checkpoint)
seconds=${1:-60}
shift || true
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=("${all[@]}")
build=build/asan
work=$build/fuzz
seed=${FDPP_FUZZ_SEED:-$((RANDOM * 32768 + RANDOM + 1))}
jobs=${FDPP_FUZZ_JOBS:-2}
export FDPP_BUILD_DIR=${FDPP_BUILD_DIR:-$PWD/build/release}
export UBSAN_OPTIONS=print_stacktrace=1

# An input of a few kilobytes may take neither long nor much: what it says about
# its size is checked before anything is allocated.
limits=(-seed="$seed" -timeout="${FDPP_FUZZ_TIMEOUT:-20}" -malloc_limit_mb=512 -max_len=32768)

# What else mutations depend on: addresses, the clock (-reload), the order of
# files in a folder, hashes of Python's strings.
limits+=(-reload=0)
export PYTHONHASHSEED=0
same_addresses=()
setarch "$(uname -m)" -R true 2>/dev/null && same_addresses=(setarch "$(uname -m)" -R)

for name in "${wanted[@]}"; do
  if [[ " ${all[*]} " != *" $name "* ]]; then
    echo "fuzz.sh: no fuzzer '$name'; there are ${all[*]}" >&2
    exit 1
  fi
done
echo "fuzz.sh: FDPP_FUZZ_SEED=$seed"
ninja -C $build fdpp-fuzzers >/dev/null
rm -rf $work/seeds
.venv/bin/python test/fuzz/make_corpus.py $work/seeds >/dev/null

run_one() { # NAME
  local name=$1 folder=$work/$1 program
  case $name in
  gguf | checkpoint) program=(.venv/bin/python test/fuzz/fuzz_python.py "$name" -rss_limit_mb=4096) ;;
  *) program=($build/bin/fuzz-"$name" -rss_limit_mb=2048) ;;
  esac
  program=("${same_addresses[@]}" "${program[@]}" "${limits[@]}" -artifact_prefix="$folder/")
  [ -z "${FDPP_FUZZ_SEED:-}" ] || rm -rf "$folder/found"
  mkdir -p "$folder/found"
  find "$work/seeds/$name" -type f | LC_ALL=C sort | paste -sd, >"$folder/seeds.list"
  export FDPP_FUZZ_FOLDER=$folder/tmp
  local log=$folder/log known=(test/fuzz/regressions/"$name"/*)
  : >"$log"
  if { [ ! -e "${known[0]}" ] || "${program[@]}" "${known[@]}" >>"$log" 2>&1; } &&
    "${program[@]}" -max_total_time="$seconds" -print_final_stats=1 \
      -seed_inputs=@"$folder/seeds.list" "$folder/found" >>"$log" 2>&1; then
    echo "$name: ok, $(awk '/stat::number_of_executed_units/ {print $2}' "$log") inputs in $seconds s," \
      "coverage $(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)"
    return 0
  fi
  grep -v '^#' "$log" | tail -40 >&2
  echo "fuzz.sh: $name failed; again: ${program[*]} FILE, the file's name stands above" >&2
  return 1
}

failed=0 running=0
for name in "${wanted[@]}"; do
  if [ $running -ge "$jobs" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  run_one "$name" &
  running=$((running + 1))
done
while [ $running -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit $failed
