# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Engines of a geometry: synthetic weights, few layers, one copy on the disk."""

import json
import os
import shutil
import subprocess
import sys

from cells import GEOMETRIES, POSITIONS, VARIANTS, Run

ROOFLINE = "the roofline"


class ToolError(Exception):
    """A line for people."""


class Tools:
    """The built commands, and the package beside this program."""

    def __init__(self, bin, package):
        self.bin = bin
        self.environment = os.environ | {"PYTHONPATH": str(package)}

    def call(self, name, *arguments):
        """Its standard output."""
        words = [str(self.bin / name), *map(str, arguments)]
        if name == "fdpp-export":
            words[:1] = [sys.executable, "-m", "fdpp.export"]
        elif not (self.bin / name).exists():
            raise ToolError(f"{self.bin / name}: no such program; build it, see --help")
        done = subprocess.run(words, capture_output=True, text=True, env=self.environment)
        if done.returncode == 130:
            raise KeyboardInterrupt
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise ToolError(lines[-1] if lines else f"{name}: exit code {done.returncode}")
        return done.stdout


def hashes(folder):
    """SHA-256 of an engine's files by name."""
    manifest = json.loads((folder / "engine.json").read_text())
    return {file["name"]: file["sha256"] for file in manifest["files"]}


def chosen_by(line):
    """Who decided, by a line of the report on a linear's variants."""
    source = line.split("; ")[1]
    return ROOFLINE if source.startswith("roofline") else source.removeprefix("measured, ")


class Workshop:
    """Makes the engines of one model and says what they take."""

    def __init__(self, options, tools, tables, model):
        self.options, self.tools, self.model = options, tools, model
        self.tables = tables
        self.folder = options.work / model
        self.folder.mkdir(parents=True, exist_ok=True)
        self.made = set()
        self.plans = {}

    def engine(self, run):
        return self.folder / f"{run.variant}-{run.layers}.fdpp"

    def onnx(self, layers):
        target = self.folder / f"onnx-{layers}"
        if not (target / "model.onnx").exists():
            source = self.folder / "config.json"
            config = GEOMETRIES[self.model] | {"max_position_embeddings": POSITIONS}
            source.write_text(json.dumps(config))
            self.tools.call("fdpp-export", source, "-o", target, "--no-weights",
                            "--layers", layers)
        return target / "model.onnx"

    def make(self, run):
        """Compiles an engine if it is not there; that of `base` comes first."""
        if run in self.made:
            return
        folder, variant = self.engine(run), VARIANTS[run.variant]
        table = "none" if variant.roofline else self.options.table
        if variant.kind:
            base = self.engine(Run("base", run.layers))
            table = self.tables.forced(variant.kind, base, self.folder)
        self._compile(run, variant, table, folder)
        self._check(variant, folder)
        self._share(run, folder)
        self.made.add(run)

    def _compile(self, run, variant, table, folder):
        arguments = [self.onnx(run.layers), "-o", folder, f"--target={self.options.target}",
                     f"--dtype={self.options.dtype}", f"--async-softmax={variant.softmax}"]
        if self.options.arch:
            arguments.append(f"--arch={self.options.arch}")
        if table is not None:
            arguments.append(f"--tuning={table}")
        self.tools.call("fdpp-compile", *arguments)

    def _check(self, variant, folder):
        """An engine that is not what its name says is never measured."""
        lines = self.decisions(folder)
        if variant.kind and not all(f"always-{variant.kind}.json" in line for line in lines):
            raise ToolError(f"{folder}: the table always-{variant.kind}.json did not decide"
                            " for every linear; see report.md")
        if variant.roofline and not all(chosen_by(line) == ROOFLINE for line in lines):
            raise ToolError(f"{folder}: a table decided where none was to; see report.md")
        if (folder / "phi.json").exists() != (variant.softmax == "on"):
            raise ToolError(f"{folder}: --async-softmax={variant.softmax} was not obeyed")

    def _share(self, run, folder):
        """Equal weights are one file: less disk, and equally warm for all."""
        base = self.engine(Run("base", run.layers))
        name = "weights.safetensors"
        if folder == base or not base.exists():
            return
        if hashes(folder)[name] != hashes(base)[name]:
            return
        if os.path.samefile(folder / name, base / name):
            return
        link = folder / "shared"
        os.link(base / name, link)
        os.replace(link, folder / name)

    def decisions(self, folder):
        """Lines of the report on variants of linears."""
        report = json.loads((folder / "report.json").read_text())
        return [d["text"] for d in report["decisions"] if d["category"] == "variants"]

    def source(self, layers):
        """Who chose base's variants: 'table NAME' or 'the roofline'."""
        named = {chosen_by(line) for line in self.decisions(self.engine(Run("base", layers)))}
        return " and ".join(sorted(named))

    def plan(self, run):
        """fdpp-run --plan's figures."""
        if run not in self.plans:
            text = self.tools.call("fdpp-run", self.engine(run), "--plan", "-c", 64, "--json")
            self.plans[run] = json.loads(text)
        return self.plans[run]

    def needed(self, run, cell, generated=64):
        """Bytes that a session of this cell takes, weights included."""
        plan = self.plan(run)
        page = plan["context"] // plan["pages"]
        pages = -(-(cell.context + generated) // page)
        cache = cell.batch * pages * page * plan["cache_bytes_per_token"]
        logits = (cell.batch - 1) * 4 * GEOMETRIES[self.model]["vocab_size"]
        return (plan["weight_bytes"] + plan["workspace_bytes"] + plan["logits_bytes"]
                + logits + cache)

    def whole_needs(self, runs, cell, layers):
        """The same for all layers: exact, since all of it is linear in them."""
        points = sorted((run.layers, self.needed(run, cell)) for run in runs)
        (a, first), (b, last) = points[0], points[-1]
        return first if a == b else first + (last - first) * (layers - a) // (b - a)

    def available(self, run):
        memory = self.plan(run)["available_memory"]
        limit = self.options.memory
        return min(memory, int(limit * 2**30)) if limit else memory

    def clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)
