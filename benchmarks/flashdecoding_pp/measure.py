# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measuring: engines take turns, a file for each cell, resumed where it ended."""

import dataclasses
import json
import os

from cells import (
    EMPTY,
    GEOMETRIES,
    PADDED,
    VARIANTS,
    Run,
    layers_of,
    variants_at,
    wanted,
    weight_bytes,
)
from engines import ToolError, Workshop, hashes
from neighbours import Neighbours

FORMAT = 1
SAMPLE_S = 0.15  # least that a sample lasts, in steps
MOST_STEPS = 32
MOST_OTHERS = 0.05  # of the processor; a run beside more is repeated


class Store:
    """Results, one JSON a cell, written whole or not at all."""

    def __init__(self, folder):
        self.folder = folder

    def read(self, cell):
        path = self.folder / cell.file
        if not path.exists():
            return {"format": FORMAT, "rounds": [], "runs": {}}
        result = json.loads(path.read_text())
        if result.get("format") != FORMAT:
            raise ToolError(f"{path}: of another version of this benchmark; remove it")
        return result

    def write(self, cell, result):
        path = self.folder / cell.file
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(result, indent=1) + "\n")
        os.replace(beside, path)


def layer_counts(model, options):
    """Layers of the engines that stand for the model: all, or two counts whose
    difference is what a layer takes."""
    layers = layers_of(model)
    if model in options.whole or weight_bytes(model) <= options.whole_limit * 2**30:
        return (layers,)
    return options.pair


class Campaign:
    """The runs of one model."""

    def __init__(self, options, tools, tables, store, model, facts):
        self.options, self.store, self.model, self.facts = options, store, model, facts
        self.tools = tools
        self.shop = Workshop(options, tools, tables, model)
        self.missing = {
            name: why for name, variant in VARIANTS.items()
            if variant.kind and (why := tables.missing(variant.kind))
        }
        self.counts = layer_counts(model, options)
        self.cells = list(wanted([model], options.contexts, options.batches,
                                 options.ablations))

    def runs_at(self, cell):
        names = variants_at(cell, self.options.ablations, self.options.dataflow_contexts)
        names = [name for name in names if name not in self.missing]
        runs = [Run(name, layers) for name in names for layers in self.counts]
        if cell.context == EMPTY:
            # The library's kernels are of interest with all 64 rows only.
            return [r for r in runs if r.variant == "base"] + [
                dataclasses.replace(r, wide=True) for r in runs]
        if self.options.verify and len(self.counts) == 1:
            runs += [Run("base", layers) for layers in self.options.pair]
        return runs

    def open_cells(self):
        """Cells whose rounds are not complete, with what is missing."""
        for cell in self.cells:
            result = self.store.read(cell)
            if result.get("refused"):
                continue
            keys = {run.key for run in self.runs_at(cell)}
            have = [keys <= set(r) for r in result["rounds"]]
            if len(have) < self.options.rounds or not all(have):
                yield cell, max(1, self.options.rounds - sum(have))

    def prepare(self):
        """Compiles what the open cells need; base first, which others follow."""
        needed = {dataclasses.replace(run, wide=False)
                  for cell, _ in self.open_cells() for run in self.runs_at(cell)}
        for run in sorted(needed, key=lambda r: (r.layers, r.variant != "base", r.variant)):
            if self.options.progress.stopped():
                return
            self.options.progress.say(f"{self.model}: compiling {run.key}")
            self.shop.make(run)

    def measure(self):
        for cell, _ in self.open_cells():
            if self.options.progress.stopped():
                return
            self._measure_cell(cell)
        if not self.options.keep_engines and not list(self.open_cells()):
            self.shop.clean()

    def _measure_cell(self, cell):
        runs = self.runs_at(cell)
        for run in runs:
            self.shop.make(run)
        result = self._begin(cell, runs)
        if result.get("refused"):
            self.store.write(cell, result)
            return
        if "steps" not in result:
            result["steps"] = {key: self._steps(cell, run) for key, run in
                               {"wide" if run.wide else "own": run for run in runs}.items()}
        keys = {run.key for run in runs}
        result["rounds"] = [r for r in result["rounds"] if keys <= set(r)]
        while len(result["rounds"]) < self.options.rounds:
            if self.options.progress.stopped():  # a round that began is ended
                return
            number = len(result["rounds"])
            # Who comes first changes, so that no engine always follows another.
            turn = runs[number % len(runs):] + runs[:number % len(runs)]
            one = {}
            for run in turn:
                one[run.key] = row = self._undisturbed(run, cell, result["steps"])
                if self.options.strict and row["others"] > MOST_OTHERS:
                    self.options.progress.stop()
                    return
                self.options.progress.step(f"{cell} {run.key}")
            result["rounds"].append(one)
            self.store.write(cell, result)

    def _begin(self, cell, runs):
        """The cell's stored result if it is of these engines, else a new one."""
        result = self.store.read(cell)
        code = {run.key: hashes(self.shop.engine(run))["model.so"] for run in runs}
        if any(result["runs"].get(key, code[key]) != code[key] for key in code):
            self.options.progress.say(f"{cell}: other engines than before, measured anew")
            result = {"format": FORMAT, "rounds": []}
        largest = max(runs, key=lambda run: run.layers)
        largest_cell = dataclasses.replace(
            cell, batch=PADDED if cell.context == EMPTY else cell.batch)
        needed, room = self.shop.needed(largest, largest_cell), self.shop.available(largest)
        sizes = [r for r in runs if r.variant == "base"]
        result |= {
            "cell": {"model": cell.model, "context": cell.context, "batch": cell.batch},
            "layers": list(self.counts), "model_layers": layers_of(self.model),
            "runs": code, "absent": self.missing, "facts": self.facts,
            "chosen_by": self.shop.source(self.counts[-1]),
            "needed": needed, "available": room,
            "whole_needs": self.shop.whole_needs(sizes, cell, layers_of(self.model)),
        }
        result.pop("refused", None)
        if needed > room:
            result["refused"] = (f"does not fit: needed {needed / 2**30:.1f} GiB of"
                                 f" {room / 2**30:.1f}")
        return result

    def _steps(self, cell, run):
        """How many tokens make a sample long enough; also the first warm-up."""
        ms = self._bench(run, cell, {"own": 1, "wide": 1})["ms"]
        return max(1, min(MOST_STEPS, round(1000 * SAMPLE_S / ms)))

    def _undisturbed(self, run, cell, steps):
        """The least disturbed of a run and its repetitions."""
        tries = []
        for _ in range(1 + self.options.repeats):
            with Neighbours() as others:
                row = self._bench(run, cell, steps)
            tries.append(row | {"others": round(others.share, 3)})
            if others.share <= MOST_OTHERS:
                break
        return min(tries, key=lambda row: row["others"])

    def _bench(self, run, cell, steps):
        """A step's time at the cell's depth and, in the same process, with an
        empty cache."""
        depths = [EMPTY, cell.context] if cell.context != EMPTY else [EMPTY]
        words = [self.shop.engine(run), "-p", 0, "-n", steps["wide" if run.wide else "own"],
                 "-s", PADDED if run.wide else cell.batch, "-d", ",".join(map(str, depths)),
                 "-r", 1, "--random-cache", "--no-ceiling", "-o", "jsonl"]
        if self.options.threads:
            words += ["-t", self.options.threads]
        rows = [json.loads(line) for line in
                self.tools.call("fdpp-bench", *words).splitlines()]
        empty, full = rows[0], rows[-1]
        return {"ms": full["ms_per_step"], "empty_ms": empty["ms_per_step"],
                "empty_sample_ms": empty["sample_ms"], "phi_rows": full["phi_rows"],
                "recomputed": full["recomputed_rows"], "time": full["test_time"]}

    def count(self):
        """Runs that are left to do."""
        return sum(len(self.runs_at(cell)) * rounds for cell, rounds in self.open_cells())


def check_models(names):
    for name in names:
        if name not in GEOMETRIES:
            known = ", ".join(GEOMETRIES)
            raise ToolError(f"--models: no geometry '{name}'; there are {known}")


def cells_of(options):
    return list(wanted(options.models, options.contexts, options.batches, options.ablations))
