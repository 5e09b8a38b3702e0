# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles engine_like.cpp for several processors and reads the assembly.

usage: check_assembly.py COMPILER INCLUDE SOURCE

Each processor must use the instructions that its kernels stand on, call no
conversion or fma routine, and keep the tiles of many tokens in registers.
"""
import re
import subprocess
import sys

# processor: (patterns that must occur, patterns that must not)
EXPECTED = {
    "znver4": ([r"vdpbf16ps.*%zmm", r"vfmadd\d+ps.*%zmm", r"vcvtph2ps.*%zmm"], []),
    "x86-64-v4": ([r"vfmadd\d+ps.*%zmm", r"vcvtph2ps.*%zmm"], [r"vdpbf16ps"]),
    "x86-64-v4+avx512bf16": ([r"vdpbf16ps.*%zmm"], []),
    "x86-64-v4+amx-tile+amx-bf16": ([r"tdpbf16ps", r"ldtilecfg", r"tilerelease"], []),
    "x86-64-v3": ([r"vfmadd\d+ps.*%ymm", r"vcvtph2ps"], [r"%zmm"]),
    "x86-64": ([r"mulps", r"addps"], [r"%ymm", r"\bv[a-z]+ps"]),
}
ROUTINES = r"call\w*\s+(fmaf?\b|__\w*(hf|bf)\w*|expf?\b|tanhf?\b)"
# tile<E, Panels, Tokens> of the linears.
TILE = re.compile(r"^(_ZN4fdpp3cpu4tileI\w*Li(\d+)ELi(\d+)EE\w*):")
SPILL = re.compile(r"%[xyz]mm\d+, -?\d*\(%r[sb]p\)|-?\d*\(%r[sb]p\), %[xyz]mm\d+")


def flags(arch):
    base, *features = arch.split("+")
    return [f"-march={base}"] + [f"-m{feature}" for feature in features]


def compile_for(arch, compiler, include, source):
    command = [compiler, "-std=c++20", "-O3", *flags(arch),
               "-mprefer-vector-width=512", "-ffp-contract=on", "-Wall",
               "-Wextra", "-Werror", "-Wno-unused-parameter",
               f"-I{include}", f"-I{include}/include", "-S", source, "-o", "-"]
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


def tiles(assembly):
    """Yields (panels, tokens, lines) of each tile function."""
    body = None
    for line in assembly.splitlines():
        if match := TILE.match(line):
            body = (int(match[2]), int(match[3]), [])
        elif body and line.startswith(".Lfunc_end"):
            yield body
            body = None
        elif body:
            body[2].append(line)


def problems(arch, assembly):
    required, forbidden = EXPECTED[arch]
    for pattern in required:
        if not re.search(pattern, assembly):
            yield f"no {pattern}"
    for pattern in forbidden + [ROUTINES]:
        if match := re.search(pattern, assembly):
            yield f"found {match[0]!r}"
    found = list(tiles(assembly))
    if not found:
        yield "no tile function"
    # Converting f16 in integers takes more registers than SSE2 has.
    widest = max((tokens for _, tokens, _ in found), default=0)
    if arch == "x86-64":
        return
    for panels, tokens, lines in found:
        if tokens == widest and any(SPILL.search(line) for line in lines):
            yield f"tile of {panels} panels and {tokens} tokens spills"


def main():
    failed = False
    for arch in EXPECTED:
        for problem in problems(arch, compile_for(arch, *sys.argv[1:4])):
            print(f"{arch}: {problem}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
