# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ablation of the three techniques of FlashDecoding++ (docs/flashdecoding-pp.md).

usage: .venv/bin/python benchmarks/flashdecoding_pp [--quick] [--models ...]

Compiles engines of published geometries with synthetic weights that differ in
one thing each, lets fdpp-bench run them in turn and writes report.md, .json,
.csv and .png: asynchronous or exact softmax, rows padded to 64 or not, one kind
of kernel for all or the table's choice. Interrupted or out of --budget, it goes
on where it was when called again. Nothing else should run meanwhile.

  ninja -C build/release fdpp-compile fdpp-bench fdpp-run fdpp-tune
  .venv/bin/python benchmarks/flashdecoding_pp --quick
  .venv/bin/python benchmarks/flashdecoding_pp --models smollm2-135m --batches 1,8
  .venv/bin/python benchmarks/flashdecoding_pp               all: many hours
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "python/src")]

import plot  # noqa: E402
import report  # noqa: E402
from cells import ABLATIONS, BATCHES, CONTEXTS, GEOMETRIES  # noqa: E402
from engines import ToolError, Tools  # noqa: E402
from measure import Campaign, Store, cells_of, check_models  # noqa: E402
from progress import Progress  # noqa: E402
from tables import Tables  # noqa: E402


def names(text):
    return tuple(text.split(","))


def counts(text):
    return tuple(sorted({int(word) for word in text.split(",")}))


def pair(text):
    few, many = counts(text)
    return few, many


def parse():
    parser = argparse.ArgumentParser(
        prog="flashdecoding_pp", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    published = tuple(name for name in GEOMETRIES if name != "tiny")
    add = parser.add_argument
    add("--models", type=names, default=published, help=f"of {', '.join(GEOMETRIES)}")
    add("--contexts", type=counts, default=CONTEXTS, metavar="N,...")
    add("--batches", type=counts, default=BATCHES, metavar="N,...")
    add("--ablations", type=names, default=ABLATIONS, help="softmax,padding,dataflow")
    add("--dataflow-contexts", type=counts, default=CONTEXTS[:1], metavar="N,...",
        help="where one kind for all is measured [128]; the choice depends on none")
    add("--rounds", type=int, default=5, help="samples of each engine")
    add("--repeats", type=int, default=3, metavar="N",
        help="of a run beside which others took 5 %% of the processor [3]")
    add("--strict", action="store_true",
        help="end, to be called again, where repeating does not help")
    add("--pair", type=pair, default=(1, 3), metavar="A,B",
        help="layers of the engines that stand for a large model [1,3]")
    add("--whole-limit", type=float, default=1.0, metavar="GIB",
        help="models of at most so many weights are measured whole [1]")
    add("--whole", type=names, default=(), help="models measured whole in any case")
    add("--verify", action="store_true", help="measure whole models from a pair too")
    add("--stage", choices=("prepare", "measure", "report", "all"), default="all",
        help="compile only, measure what is compiled, or only write the report")
    add("--budget", type=float, metavar="SECONDS", help="stop then; call again to go on")
    add("--memory", type=float, metavar="GIB", help="take no more than this")
    add("--keep-engines", action="store_true", help="do not delete engines in the end")
    add("--table", type=Path, help="of fdpp-tune [the shipped one, else the roofline]")
    add("--target", default="cpu")
    add("--arch", help="[native]")
    add("--dtype", default="bf16")
    add("--threads", "-t", type=int)
    add("--bin", type=Path, default=ROOT / "build/release/bin")
    add("--work", type=Path, default=ROOT / "build/flashdecoding-pp",
        help="where engines are made")
    add("--results", type=Path, help="[WORK/results]")
    add("--quick", action="store_true", help="a tiny model, in seconds: does it all work?")
    options = parser.parse_args()
    if options.quick:
        options.models, options.contexts, options.batches = ("tiny",), (128, 512), (1, 4)
        options.dataflow_contexts, options.rounds, options.verify = (128,), 2, True
        options.repeats = 0
    options.results = options.results or options.work / "results"
    options.progress = Progress(options.budget)
    return options


def facts(options, tools):
    """What the figures depend on beside the cell."""
    device = json.loads(tools.call("fdpp-run", "--list-devices", "--json").splitlines()[0])
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                            capture_output=True, text=True).stdout.strip()
    return {
        "device": f"{device['name']}, {device['cores']} cores", "target": options.target,
        "threads": options.threads or device["default_threads"], "dtype": options.dtype,
        "version": tools.call("fdpp-bench", "--version").split()[-1],
        "commit": commit or "no commit",
    }


def run(options):
    check_models(options.models)
    if unknown := set(options.ablations) - set(ABLATIONS):
        raise ToolError(f"--ablations: there is no {', '.join(unknown)}")
    tools, store = Tools(options.bin, ROOT / "python/src"), Store(options.results)
    if options.stage != "report":
        tables = Tables(options.work, tools)
        known = facts(options, tools)
        campaigns = [Campaign(options, tools, tables, store, model, known)
                     for model in options.models]
        options.progress.expect(sum(campaign.count() for campaign in campaigns))
        for campaign in campaigns:
            campaign.prepare()
            if options.stage != "prepare":
                campaign.measure()
        options.progress.end()
    rows = report.gather(cells_of(options), store)
    command = shlex.join(["python", "benchmarks/flashdecoding_pp", *sys.argv[1:]])
    print(report.write(rows, options.rounds, command, options.results))
    files = "report.md, report.json, report.csv"
    try:
        if plot.draw(rows, options.results / "report.png"):
            files += ", report.png"
    except ImportError:
        print("flashdecoding_pp: no picture: pip install 'fdpp[plot]'", file=sys.stderr)
    print(f"wrote {options.results}: {files}")
    return 0


def main():
    options = parse()
    try:
        return run(options)
    except ToolError as error:
        print(f"flashdecoding_pp: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("flashdecoding_pp: interrupted; call again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
