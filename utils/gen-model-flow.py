#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fills the excerpts of docs/how-a-model-flows.md with what the compiler gives
for the page's one-layer model; with --check, only says whether they are fresh.

An excerpt is a comment and the code block below it:

    <!-- PHASE: FIRST .. LAST -->

Its lines are those of `fdpp-compile --emit=PHASE` from the first that matches
the regular expression FIRST to the next that matches LAST, which may be left
out for one line. Several such lines in one comment give several pieces.
`two layers` instead of a phase is the phase rolled of the same with two layers.
"""
import argparse
import difflib
import functools
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "how-a-model-flows.md"
MODEL = ROOT / "docs" / "one-layer.onnxtxt"
OPTIONS = ["--arch=x86-64-v3", "--max-context=64", "--page-tokens=16"]
WIDTH = 92

BUILD = Path(os.environ.get("FDPP_BUILD_DIR", ROOT / "build" / "release"))


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"gen-model-flow: {command[0]}: {done.stderr.strip()}")
    return done.stdout


@functools.cache
def lines_of(phase):
    compiler = BUILD / "bin" / "fdpp-compile"
    if phase != "two layers":
        return run(compiler, MODEL, f"--emit={phase}", *OPTIONS).splitlines()
    step = run(sys.executable, ROOT / "utils" / "make_step.py", "--layers=2",
               "--heads=2", "--kv-heads=1", "--dtype=bf16", "--page-tokens=16")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.mlir"
        path.write_text(step)
        return run(compiler, path, "--emit=rolled", *OPTIONS).splitlines()


def shortened(line):
    """Without the types of operands, what only machines read and the figures
    that tuning changes."""
    line = re.sub(r" : \((?:[^()]|\([^()]*\))*\) -> ", " -> ", line)
    line = re.sub(r"onnx\.dims = \[[^]]*\], ", "", line)
    line = re.sub(r"limits \[[^]]*\]", "limits [...]", line)
    line = re.sub(r"\bVariant<[^>]*>", "Variant<...>", line)
    return line.removesuffix(" -> ()")


def wrapped(line):
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    if line.lstrip().startswith("func.func"):
        # One argument and one result a line.
        line = re.sub(r"(?<=[>}]), (?=%arg|tensor)", f",\n{indent}", line)
        line = line.replace(") -> (", f")\n{indent}-> (")
        return line.replace(" attributes {", f"\n{indent}attributes {{").splitlines()
    # "name = value" and "value : type" stay in one line.
    joined = re.sub(r" ([=:]) ", "\0\\1\0", line)
    return [l.replace("\0", " ") for l in textwrap.wrap(
        joined, WIDTH, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False)]


def piece(phase, first, last):
    lines = lines_of(phase)
    begin = next((i for i, l in enumerate(lines) if re.search(first, l)), None)
    if begin is None:
        sys.exit(f"gen-model-flow: no line of '{phase}' matches: {first}")
    end = begin
    if last:
        end = next((i for i in range(begin, len(lines))
                    if re.search(last, lines[i])), None)
        if end is None:
            sys.exit(f"gen-model-flow: no line of '{phase}' matches: {last}")
    text = textwrap.dedent("\n".join(lines[begin:end + 1]))
    return [w for line in text.splitlines() for w in wrapped(shortened(line))]


def excerpt(comment):
    blocks = []
    for line in comment.strip().splitlines():
        phase, _, rest = line.strip().partition(": ")
        first, _, last = rest.partition(" .. ")
        blocks.append("\n".join(piece(phase, first, last)))
    return "\n...\n".join(blocks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    old = PAGE.read_text()
    new = re.sub(r"<!-- (.*?) -->\n```(\w+)\n.*?```\n",
                 lambda m: f"<!-- {m[1]} -->\n```{m[2]}\n{excerpt(m[1])}\n```\n",
                 old, flags=re.S)
    if not check:
        PAGE.write_text(new)
        return 0
    sys.stdout.writelines(difflib.unified_diff(
        old.splitlines(True), new.splitlines(True), "committed", "compiler's"))
    if old == new:
        return 0
    print(f"{PAGE.name} is stale: run utils/gen-model-flow.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
