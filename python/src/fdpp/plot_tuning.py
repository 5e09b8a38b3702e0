# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-plot-tuning: pictures of a tuning table, a PNG for each shape.

Above, the time of a call by the number of tokens, for the best variant of each kind and
for the roofline's choice; below, each variant's time over the roofline's, with the table's
choice marked. Needs matplotlib: pip install 'fdpp[plot]'.
"""

import argparse
import json
import sys
from pathlib import Path

from .errors import UserError

KINDS = {"gemv": "tab:red", "flat": "tab:blue", "large": "tab:green", "library": "tab:orange"}
FORMATS = (1, 2)  # that of fdpp-tune, without and with a library


def read_table(path: Path) -> dict:
    """The table, which must hold measurements."""
    try:
        table = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot read the table ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: no tuning table: not json") from error
    if not isinstance(table, dict) or table.get("magic") != "fdpp-tuning":
        raise UserError(f"{path}: no tuning table; give a file that fdpp-tune wrote")
    if table.get("format") not in FORMATS:
        raise UserError(f"{path}: a tuning table of another format; run fdpp-tune again")
    shapes = table.get("shapes")
    if not shapes or not all(shape.get("points") for shape in shapes):
        raise UserError(f"{path}: holds no measurements; give a file that fdpp-tune wrote")
    return table


def best_of_kind(shape: dict, kind: str) -> tuple[list, list]:
    """M and the shortest time of the kind's variants, where it was measured."""
    tokens, times = [], []
    for point in shape["points"]:
        of_kind = [v["us"] for v in point["variants"] if v["kind"] == kind]
        if of_kind:
            tokens.append(point["m"])
            times.append(min(of_kind))
    return tokens, times


def draw_times(axes, shape: dict) -> None:
    for kind, colour in KINDS.items():
        tokens, times = best_of_kind(shape, kind)
        if tokens:
            axes.plot(tokens, times, "o-", ms=3, color=colour, label=kind)
    roofline = [point["variants"][0]["us"] for point in shape["points"]]
    axes.plot([p["m"] for p in shape["points"]], roofline, "k:", label="roofline's choice")
    for name in ("m1", "m2"):
        axes.axvline(shape[name] + 0.5, color="grey", lw=0.8)
        axes.text(shape[name] + 0.5, axes.get_ylim()[1], f" {name.upper()}", va="top")
    axes.set_yscale("log")
    axes.set_ylabel("us a call")
    axes.legend(loc="lower right")


def draw_ratios(axes, shape: dict) -> None:
    for point in shape["points"]:
        first = point["variants"][0]["us"]
        for i, variant in enumerate(point["variants"]):
            ratio = variant["us"] / first
            spread = [[ratio - variant["min"] / first], [variant["max"] / first - ratio]]
            axes.errorbar(point["m"], ratio, yerr=spread, fmt=".", lw=0.5, ms=4,
                          color=KINDS[variant["kind"]])
            if i == point["chosen"]:
                axes.plot(point["m"], ratio, "o", ms=8, mfc="none", color="black")
    axes.axhline(1, color="black", lw=0.5)
    axes.set_ylim(0.7, 1.5)
    axes.set_ylabel("time over the roofline's")
    axes.set_xlabel("M, tokens of a step (circle: chosen)")


def draw(table: dict, shape: dict, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    above.set_xscale("log", base=2)
    draw_times(above, shape)
    draw_ratios(below, shape)
    device = table["device"]
    figure.suptitle(f"{shape['n']} x {shape['k']} {shape['dtype']}, {device['cpu']}, "
                    f"{device['kernels']} kernels, {device['threads']} threads")
    figure.savefig(path, dpi=100)


def _run(arguments: argparse.Namespace) -> int:
    table = read_table(arguments.table)
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError("matplotlib is not installed: pip install 'fdpp[plot]'") from error
    folder = arguments.output or arguments.table.with_suffix("")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for shape in table["shapes"]:
            draw(table, shape, folder / f"{shape['n']}x{shape['k']}-{shape['dtype']}.png")
    except OSError as error:
        raise UserError(f"{folder}: cannot write the pictures ({error.strerror})") from error
    print(f"wrote {folder}: {len(table['shapes'])} pictures")
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="fdpp-plot-tuning", description="Draws a tuning table, a PNG for each shape.")
    parser.add_argument("table", type=Path, metavar="TABLE", help="as fdpp-tune wrote it")
    parser.add_argument("-o", dest="output", type=Path, metavar="FOLDER",
                        help="of the pictures [TABLE without .json]")
    try:
        return _run(parser.parse_args(argv))
    except UserError as error:
        print(f"fdpp-plot-tuning: {error}", file=sys.stderr)
        return 1
