# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-plot-calibration: a picture of what fdpp-calibrate counted.

Above, the range of each head's logits and of its rows' log-sum-exp, by layer and head, with
its phi; below, the histograms over all heads relative to phi, with the window of valid rows
of each format. Needs matplotlib: pip install 'fdpp[plot]'.
"""

import argparse
import json
import sys
from pathlib import Path

from .errors import UserError

COLOURS = {"fp32": "tab:blue", "bf16": "tab:green", "fp16": "tab:red"}


def read_calibration(path: Path) -> dict:
    """The counts, which must hold a head."""
    try:
        counts = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot read the counts ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: no calibration: not json") from error
    if not isinstance(counts, dict) or counts.get("magic") != "fdpp-calibration":
        raise UserError(f"{path}: no calibration; give the calibration.json of fdpp-calibrate")
    if counts.get("version") != 1:
        raise UserError(f"{path}: of another version; run fdpp-calibrate again")
    if not counts.get("heads"):
        raise UserError(f"{path}: holds no heads; run fdpp-calibrate again")
    return counts


def relative(counts: dict, histogram: str) -> tuple[list[float], list[int]]:
    """Values less their head's phi, and how many, over all heads that have a phi."""
    low, width = counts["bins"]["low"], counts["bins"]["width"]
    sums: dict[float, int] = {}
    for head in counts["heads"]:
        if head["phi"] is None:
            continue
        for place, count in head[histogram]:
            value = low + (place + 0.5) * width - head["phi"]
            sums[value] = sums.get(value, 0) + count
    values = sorted(sums)
    return values, [sums[value] for value in values]


def draw_ranges(axes, counts: dict) -> None:
    heads = counts["heads"]
    at = range(len(heads))
    axes.vlines(at, [h["logits"][0] for h in heads], [h["logits"][1] for h in heads],
                lw=1, color="lightgrey", label="logits")
    axes.vlines(at, [h["log_sum_exp"][0] for h in heads], [h["log_sum_exp"][1] for h in heads],
                lw=1.5, color="tab:orange", label="log-sum-exp of a row")
    chosen = [(i, h["phi"]) for i, h in enumerate(heads) if h["phi"] is not None]
    axes.plot([i for i, _ in chosen], [phi for _, phi in chosen], "k.", ms=3, label="phi")
    exact = [i for i, h in enumerate(heads) if h["phi"] is None]
    axes.plot(exact, [heads[i]["logits"][1] for i in exact], "rx", ms=4, label="left exact")
    step = counts["query_heads"] * max(1, counts["layers"] // 10)
    axes.set_xticks(range(0, len(heads), step),
                    [str(heads[i]["layer"]) for i in range(0, len(heads), step)])
    axes.set_xlabel(f"layer, {counts['query_heads']} heads each")
    axes.legend(loc="lower left", ncols=4, fontsize="small")


def draw_histograms(axes, counts: dict) -> None:
    for histogram, label in (("logit_histogram", "logits"),
                             ("row_maximum_histogram", "largest logit of a row"),
                             ("log_sum_exp_histogram", "log-sum-exp of a row")):
        axes.plot(*relative(counts, histogram), drawstyle="steps-mid", lw=1, label=label)
    axes.set_yscale("log")
    for level, (name, window) in enumerate(counts["formats"].items()):
        height = 0.97 - 0.05 * level
        axes.plot([window["least"], window["most"]], [height, height],
                  transform=axes.get_xaxis_transform(), color=COLOURS[name], lw=3,
                  label=f"valid in {name}")
    axes.set_xlabel(f"value - phi, chosen for {counts['format']}")
    axes.set_ylabel("count")
    axes.legend(loc="upper left", fontsize="small")


def draw(counts: dict, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), layout="constrained")
    above, below = figure.subplots(2)
    draw_ranges(above, counts)
    draw_histograms(below, counts)
    figure.suptitle(f"{counts['engine'].strip()}: {counts['tokens']} tokens of {counts['texts']}")
    figure.savefig(path, dpi=100)


def _run(arguments: argparse.Namespace) -> int:
    counts = read_calibration(arguments.calibration)
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError("matplotlib is not installed: pip install 'fdpp[plot]'") from error
    path = arguments.output or arguments.calibration.with_suffix(".png")
    try:
        draw(counts, path)
    except OSError as error:
        raise UserError(f"{path}: cannot write the picture ({error.strerror})") from error
    print(f"wrote {path}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="fdpp-plot-calibration", description="Draws what fdpp-calibrate counted.")
    parser.add_argument("calibration", type=Path, metavar="CALIBRATION.json")
    parser.add_argument("-o", dest="output", type=Path, metavar="PNG",
                        help="[CALIBRATION.png]")
    try:
        return _run(parser.parse_args(argv))
    except UserError as error:
        print(f"fdpp-plot-calibration: {error}", file=sys.stderr)
        return 1
