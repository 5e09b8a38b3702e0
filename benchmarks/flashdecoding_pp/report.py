# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ablation as text, JSON and CSV."""

import csv
import dataclasses
import json

from cells import EMPTY, layers_of
from derive import Figure, Model

COLUMNS = {
    "step_ms": "step, ms",
    "async_over_exact_step": "async softmax",
    "attention_ms": "attention, ms",
    "async_over_exact_attention": "its async",
    "padded_own": "padded, own",
    "padded_library": "padded, library",
    "always_gemv": "always gemv",
    "always_flat": "always flat",
    "always_library": "always library",
    "always_roofline": "roofline",
}
LEGEND = """\
step: one token for each of `batch` sequences, exact softmax, exactly `batch` rows, the
table's or roofline's kernels. Columns without a unit are times over that step's (above 1:
slower), median (least to most) of the rounds, engines in turn. attention: the step less one
with an empty cache; `its async`: the ratio for that alone, - where it drowns in noise.
padded: if every linear computed 64 rows. roofline: its kernels in place of the table's; the
same ones where it chose anyway, which shows the noise. needs: memory of the whole model.
~: the whole model's step from engines of few layers, head + layers x the time of one.
"""


def number(value):
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def shown(figure, what):
    if figure is None:
        return "-"
    form = number if what.endswith("_ms") else "{:.2f}".format
    return f"{form(figure.median)} ({form(figure.least)} to {form(figure.most)})"


def gather(cells, store):
    """Rows of all cells that were asked for."""
    models = {}
    for cell in cells:
        result = store.read(cell)
        if result.get("cell"):
            models.setdefault(cell.model, {})[cell.context, cell.batch] = result
    rows = []
    for cell in cells:
        if cell.context == EMPTY:
            continue
        results = models.get(cell.model, {})
        result = results.get((cell.context, cell.batch), {})
        state = result.get("refused") or ("measured" if result.get("rounds") else "not run")
        rows.append({
            "cell": cell, "state": state, "result": result,
            "figures": Model(results).row(cell),
        })
    return rows


def header(rows, command):
    """Machine, date, commit and command: of the measurements, not of now."""
    seen = {json.dumps(row["result"]["facts"], sort_keys=True)
            for row in rows if row["result"].get("facts")}
    for text in sorted(seen):
        facts = json.loads(text)
        yield (f"{facts['device']}, {facts['threads']} threads, {facts['dtype']};"
               f" fdpp {facts['version']} at {facts['commit']}")
    times = sorted(run["time"] for row in rows
                   for one in row["result"].get("rounds", ()) for run in one.values())
    others = sorted(run["others"] for row in rows for one in row["result"].get("rounds", ())
                    for run in one.values() if "others" in run)
    if times:
        yield f"measured {times[0]} to {times[-1]}"
    if others:
        yield (f"others took {100 * others[len(others) // 2]:.0f} % of the processor beside"
               f" the median run, {100 * others[-1]:.0f} % at most")
    yield f"command: {command}"


def text_of(row):
    cell, result = row["cell"], row["result"]
    start = [cell.context, cell.batch]
    if row["state"] != "measured":
        needs = f"{result['whole_needs'] / 2**30:.1f}" if "whole_needs" in result else "-"
        return "| " + " | ".join(map(str, [*start, row["state"]])) + " |" + \
            " - |" * (len(COLUMNS) - 1) + f" {needs} |"
    # Where its neighbour was measured only the lack of a library leaves a gap.
    beside = {"padded_library": "padded_own", "always_library": "always_gemv"}
    why = result.get("absent", {}).get("library")
    cells = []
    for name in COLUMNS:
        figure = row["figures"][name]
        lacks = why and not figure and name in beside and row["figures"][beside[name]]
        cells.append(why if lacks else shown(figure, name))
    if len(result["layers"]) > 1:
        cells[0] = "~ " + cells[0]
    return "| " + " | ".join(map(str, start + cells)) + \
        f" | {result['whole_needs'] / 2**30:.1f} |"


def tables(rows, rounds):
    """Markdown, a table for each model."""
    for model in dict.fromkeys(row["cell"].model for row in rows):
        own = [row for row in rows if row["cell"].model == model]
        done = [row["result"] for row in own if row["result"].get("rounds")]
        ways = {tuple(result["layers"]) for result in done}
        chosen = {result["chosen_by"] for result in done}
        yield f"\n### {model}\n"
        for way in sorted(ways):
            measured = " and ".join(map(str, way))
            yield f"{layers_of(model)} layers, measured with {measured}; kernels by " \
                + ", ".join(sorted(chosen)) + ".\n"
        yield "| context | batch | " + " | ".join(COLUMNS.values()) + " | needs, GiB |"
        yield "|---|---|" + "---|" * (len(COLUMNS) + 1)
        yield from (text_of(row) for row in own if row["state"] != "not run")
        left = [f"{row['cell'].context}x{row['cell'].batch}" for row in own
                if row["state"] == "not run"]
        if left:
            yield "\nNot run (context x batch): " + ", ".join(left) + "."
        few = [f"{row['cell'].context}x{row['cell'].batch} ({len(row['result']['rounds'])})"
               for row in own if 0 < len(row["result"].get("rounds", ())) < rounds]
        if few:
            yield f"\nFewer than {rounds} rounds: " + ", ".join(few) + "."
        checked = [row for row in own if row["figures"]["extrapolated"]]
        if checked:
            yield "\nThe step from few layers over the whole model's: " + ", ".join(
                f"{row['cell'].context}x{row['cell'].batch} "
                + shown(row["figures"]["extrapolated"], "ratio") for row in checked) + "."


def plain(value):
    return dataclasses.asdict(value) if isinstance(value, Figure) else value


def as_records(rows):
    for row in rows:
        cell, result = row["cell"], row["result"]
        yield {
            "model": cell.model, "context": cell.context, "batch": cell.batch,
            "state": row["state"], "layers_measured": result.get("layers"),
            "model_layers": layers_of(cell.model), "chosen_by": result.get("chosen_by"),
            "whole_needs_bytes": result.get("whole_needs"),
            "absent": result.get("absent", {}),
        } | {name: plain(value) for name, value in row["figures"].items()}


def write_csv(path, records):
    """A figure takes three columns: median, least, most."""
    flat = []
    for record in records:
        line = {}
        for name, value in record.items():
            if name in COLUMNS or name == "extrapolated":
                for part in ("median", "least", "most"):
                    line[f"{name}_{part}"] = value[part] if value else ""
            elif name != "absent":
                line[name] = "+".join(map(str, value)) if isinstance(value, list) else value
        flat.append(line)
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, flat[0].keys())
        writer.writeheader()
        writer.writerows(flat)


def write(rows, rounds, command, folder):
    """report.md, report.json and report.csv; gives the text."""
    text = "\n".join([*header(rows, command), "", LEGEND.rstrip(), *tables(rows, rounds), ""])
    records = list(as_records(rows))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text)
    (folder / "report.json").write_text(json.dumps(
        {"magic": "fdpp-ablation", "format": 1, "command": command,
         "facts": list(header(rows, command)), "cells": records}, indent=1) + "\n")
    write_csv(folder / "report.csv", records)
    return text
