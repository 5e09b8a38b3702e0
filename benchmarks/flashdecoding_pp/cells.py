# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is measured: models, cells (context and batch), variants, runs."""

import dataclasses

from fdpp.geometry import TEMPLATES

# Seconds for the smoke test: no model, but all of a model's parts.
TINY = TEMPLATES["smollm2-135m"] | {
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 6,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512,
}
GEOMETRIES = TEMPLATES | {"tiny": TINY}

CONTEXTS = (128, 1024, 4096, 16384, 65536)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
# Depth of the steps that tell attention from the rest: nothing in the cache.
# Cells of this depth hold 64 rows against fewer.
EMPTY = 0
PADDED = 64  # rows that libraries pad a decode step's products to
# Rotary tables of the largest context and some tokens behind it.
POSITIONS = CONTEXTS[-1] + 256


@dataclasses.dataclass(frozen=True)
class Variant:
    """An engine that differs from `base` in one thing."""

    name: str
    softmax: str = "off"  # --async-softmax
    kind: str | None = None  # of the forced table; None: the table's choice
    roofline: bool = False  # instead of the table
    ablation: str | None = None


BASE = Variant("base")
VARIANTS = {
    variant.name: variant
    for variant in (
        BASE,
        Variant("async", softmax="on", ablation="softmax"),
        Variant("gemv", kind="gemv", ablation="dataflow"),
        Variant("flat", kind="flat", ablation="dataflow"),
        Variant("library", kind="library", ablation="dataflow"),
        Variant("roofline", roofline=True, ablation="dataflow"),
    )
}
ABLATIONS = ("softmax", "padding", "dataflow")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A step of `batch` sequences that hold `context` tokens each."""

    model: str
    context: int
    batch: int

    def __str__(self):
        return f"{self.model} {self.context}x{self.batch}"

    @property
    def file(self):
        return f"{self.model}/{self.context}x{self.batch}.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """One engine: a variant of the model with so many layers. `wide`: run with
    64 sequences in the place of the cell's."""

    variant: str
    layers: int
    wide: bool = False

    @property
    def key(self):
        return f"{self.variant}/{self.layers}" + (f"@{PADDED}" if self.wide else "")


def layers_of(model):
    return GEOMETRIES[model]["num_hidden_layers"]


def weight_bytes(model, element=2):
    """Of the matrices that a step reads, in 16-bit elements."""
    g = GEOMETRIES[model]
    hidden, inner = g["hidden_size"], g["intermediate_size"]
    kv = hidden // g["num_attention_heads"] * g["num_key_value_heads"]
    layer = hidden * (2 * hidden + 2 * kv + 3 * inner)
    return element * (layer * layers_of(model) + hidden * g["vocab_size"])


def wanted(models, contexts, batches, ablations):
    """The cells in the order of measuring."""
    for model in models:
        if "padding" in ablations:
            yield from (Cell(model, EMPTY, b) for b in batches if b < PADDED)
        yield from (Cell(model, c, b) for c in contexts for b in batches)


def variants_at(cell, ablations, dataflow_contexts):
    """Names of the variants that a cell compares, base first."""
    if cell.context == EMPTY:
        return ["base", "library"]
    names = ["base"]
    if "softmax" in ablations:
        names.append("async")
    # The choice of kernels does not depend on the context.
    if "dataflow" in ablations and cell.context in dataflow_contexts:
        names += ["gemv", "flat", "library", "roofline"]
    return names
