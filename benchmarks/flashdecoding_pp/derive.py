# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From samples to the ablation: whole models, attention, padding, ratios.

All in milliseconds a step. A figure is worked out once for each round, from what was
measured in turn, and only then becomes a median with its spread."""

import dataclasses
import statistics

from cells import EMPTY, PADDED, Cell, Run


@dataclasses.dataclass(frozen=True)
class Figure:
    """Median and range of a round's figures."""

    median: float
    least: float
    most: float

    @staticmethod
    def of(values):
        return Figure(statistics.median(values), min(values), max(values)) if values else None


def key_of(variant, layers):
    """As Run.key; `variant` may end in '@64'."""
    name, _, wide = variant.partition("@")
    return Run(name, layers, bool(wide)).key


def choosing_key(result, variant):
    return key_of(variant, result["layers"][-1])


def rounds_of(result, variant, what="ms", layers=None):
    """A round's time of the whole model: measured, or from two counts of layers,
    head + layers x (more - fewer) / (layers between)."""
    counts = layers or result["layers"]
    keys = [key_of(variant, count) for count in counts]
    times = [[one[key][what] for key in keys] for one in result["rounds"]
             if all(key in one for key in keys)]
    if len(counts) == 1:
        return [one[0] for one in times]
    few, many = counts
    more = result["model_layers"] - few
    return [a + more * (b - a) / (many - few) for a, b in times]


def ratios(values, others):
    return [a / b for a, b in zip(values, others) if b > 0]


class Model:
    """The cells of one model that were measured."""

    def __init__(self, results):
        self.results = results  # (context, batch) -> result

    def at(self, context, batch):
        result = self.results.get((context, batch))
        return result if result and result["rounds"] else None

    def times(self, context, batch, variant, what="ms"):
        result = self.at(context, batch)
        return rounds_of(result, variant, what) if result else []

    def attention(self, context, batch, variant):
        """What a step takes longer than with an empty cache, in one process."""
        full = self.times(context, batch, variant)
        return [a - b for a, b in zip(full, self.times(context, batch, variant, "empty_ms"))]

    def products(self, context, batch, variant):
        """A step with an empty cache, less the choosing of tokens, which happens once
        whatever the layers: linears and little else."""
        result = self.at(context, batch)
        if not result:
            return []
        key = choosing_key(result, variant)
        choosing = [one[key]["empty_sample_ms"] for one in result["rounds"] if key in one]
        return [a - b for a, b in
                zip(self.times(context, batch, variant, "empty_ms"), choosing)]

    def widening(self, batch, variant):
        """How many times longer linears take with 64 rows than with `batch`."""
        return ratios(self.products(EMPTY, batch, f"{variant}@{PADDED}"),
                      self.products(EMPTY, batch, "base"))

    def padded(self, context, batch, variant):
        """The step if every linear computed 64 rows; all else as it was."""
        return [
            whole + own * (more - 1)
            for whole, own, more in zip(
                self.times(context, batch, "base"), self.products(context, batch, "base"),
                self.widening(batch, variant))
        ]

    def recomputed(self, context, batch):
        """Share of the rows that the asynchronous softmax did again."""
        result = self.at(context, batch)
        runs = [one[key] for one in result["rounds"] for key in one
                if key.startswith("async/")] if result else []
        rows = sum(run["phi_rows"] for run in runs)
        return sum(run["recomputed"] for run in runs) / rows if rows else None

    def row(self, cell: Cell):
        """Every figure of a cell; None: not measured."""
        c, b = cell.context, cell.batch
        base = self.times(c, b, "base")
        quotient = lambda values: Figure.of(ratios(values, base))
        exact, other = (self.attention(c, b, name) for name in ("base", "async"))
        seen = min(exact + other, default=0) > 0  # else it is less than the noise
        return {
            "step_ms": Figure.of(base),
            "async_over_exact_step": quotient(self.times(c, b, "async")),
            "attention_ms": Figure.of(exact),
            "async_over_exact_attention": Figure.of(ratios(other, exact) if seen else []),
            "rows_recomputed": self.recomputed(c, b),
            "padded_own": quotient(self.padded(c, b, "base")),
            "padded_library": quotient(self.padded(c, b, "library")),
            "always_gemv": quotient(self.times(c, b, "gemv")),
            "always_flat": quotient(self.times(c, b, "flat")),
            "always_library": quotient(self.times(c, b, "library")),
            "always_roofline": quotient(self.times(c, b, "roofline")),
            "extrapolated": Figure.of(ratios(self.extrapolated(c, b), base)),
        }

    def extrapolated(self, context, batch):
        """The whole model's time from two cut engines, where both were measured."""
        result = self.at(context, batch)
        if not result or len(result["layers"]) != 1:
            return []
        counts = sorted(int(key.split("/")[1]) for key in result["runs"]
                        if key.startswith("base/"))
        return rounds_of(result, "base", layers=counts[:2]) if len(counts) == 3 else []
