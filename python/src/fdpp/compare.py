# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-compare: where an engine first computes something else than its graph."""

import argparse
import hashlib
import json
import math
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from fdpp import __version__
from fdpp.errors import UserError
from fdpp.reference import Graph, onnxruntime_values
from fdpp.stages import PHASES, Compiler, Engine, ToolFailed, pass_name
from fdpp.values import Difference, Spool

# Largest error of a value over its largest magnitude. Phases are interpreted in
# fp64, where element types do not matter: they differ by the order of sums only.
# docs/numerics.md has the roundings that the others allow.
PHASE_BOUND = 1e-8
# Recognition finds constants that the graph has as f32 arithmetic.
RECOGNISED_BOUND = 1e-6
BOUNDS = {"f32": 1e-4, "f16": 3e-2, "bf16": 2e-1}
GRAPH_BOUNDS = {1: 1e-4, 10: 3e-2, 16: 2e-1}  # by onnx.TensorProto's type

_EPILOG = """\
Every value of the graph that can be found again is compared in onnxruntime, in the
interpreter at each phase of the compiler (import, recognised, raised, rolled, fused, planned)
and in the engine: each with the one before. A line a value gives the error of the last that
has it (the engine, if it stores the value) against the first: largest difference, the same
over the largest magnitude, cosine. The verdict names the first value over its bound, with its
ONNX node, the phase and the pass.

Examples:
  fdpp-compile model.onnx -o model-taps.fdpp --dtype=f32 --taps
  fdpp-compare model.onnx model-taps.fdpp --tokens 1,2,3,4,5
  fdpp-compare model.onnx model-taps.fdpp --tokens 1,2,3,4 --prefill 2   the rest by decode
  fdpp-compare model.onnx model-taps.fdpp --tokens 1,2,3 --quiet         the verdict alone
  fdpp-compare model.onnx model-taps.fdpp --tokens 1,2,3 --json | jq .verdict

Exit codes: 0 all agree; 1 something differs, or wrong input; 70 a defect of this program;
130 interrupted."""


@dataclass
class Value:
    """A node's value through the stages."""

    node: str
    op: str
    layer: int | None = None
    name: str = ""
    ops: dict[str, str] = field(default_factory=dict)  # stage -> operation
    steps: list[tuple[str, str, Difference]] = field(default_factory=list)  # stage, before it
    overall: Difference | None = None
    first: str = ""
    last: str = ""


@dataclass
class Verdict:
    value: Value
    stage: str
    former: str
    difference: Difference
    bound: float
    blame: str = ""
    covers: list[str] = field(default_factory=list)
    pass_: str | None = None


class Comparison:
    """Stages one after another; the values of two of them are on disk."""

    def __init__(self, graph: Graph, compiler: Compiler, folder: Path, bound: float | None):
        self.graph, self.compiler, self.folder = graph, compiler, folder
        self.values: dict[str, Value] = {}
        self.spools: dict[str, Spool] = {}
        self.holder: dict[str, str] = {}  # node -> the last stage that has it
        self.failed: tuple[str, str] | None = None  # stage, message
        self.failed_pass: str | None = None
        self._guilty: dict[str, str] = {}  # phase -> pass
        self._axes: dict[str, int] = {}  # of the graph's values, see Spool
        self._bound = bound

    def bound_of(self, stage: str) -> float:
        if stage in ("onnxruntime", "import"):
            kind = self.graph.model.graph.output[0].type.tensor_type.elem_type
            return self._bound or GRAPH_BOUNDS.get(kind, BOUNDS["f32"])
        if stage in ("engine", "rounded"):
            return self._bound or BOUNDS[self.compiler.engine.dtype]
        return RECOGNISED_BOUND if stage == "recognised" else PHASE_BOUND

    def _spool(self, stage: str) -> Spool:
        if stage not in self.spools:
            axes = self._axes if stage in ("onnxruntime", "import") else None
            self.spools[stage] = Spool(self.folder / stage, axes)
        return self.spools[stage]

    def _store(self, spool: Spool, stage: str, facts: dict, array) -> None:
        # A table's node may be that of its cosines or of its sines.
        if facts.get("op") != "fdpp.rope_table":
            spool.add_value(facts, array, self.compiler.step_sizes(stage)[facts["step"]])

    def finish(self, stage: str, against: bool = True) -> None:
        """Compares a stage's values with the last that had each."""
        spool = self._spool(stage)
        for node in spool:
            facts = spool.facts[node]
            value = self.values.setdefault(node, Value(node, self.graph.op_of(node)))
            value.ops[stage] = facts.get("op", "")
            if "layer" in facts:
                value.name = facts["name"]
                value.layer = facts["layer"] if facts["layer"] >= 0 else None
            value.first = value.first or stage
            former = self.holder.get(node)
            self.holder[node] = value.last = stage
            if former and against:
                self._compare(value, stage, former)

    def _compare(self, value: Value, stage: str, former: str) -> None:
        expected = self.spools[former].load(value.node)
        actual = self.spools[stage].load(value.node)
        if expected.shape != actual.shape:
            # Other numbers from here on: half of a table of angles, for one.
            value.first, value.overall = stage, None
            return
        value.steps.append((stage, former, Difference.of(expected, actual)))
        if value.first != former:
            expected = self.spools[value.first].load(value.node)
        value.overall = Difference.of(expected, actual)

    def run_phases(self, use_onnxruntime: bool) -> None:
        """The interpreter's stages, and onnxruntime behind the first of them,
        which says what to ask for."""
        dtype = self.compiler.engine.dtype
        stage = None
        try:
            for facts, array in self.compiler.phases(None if dtype == "f32" else dtype):
                if facts["label"] != stage:
                    self._end_phase(stage, use_onnxruntime)
                    stage = facts["label"]
                self._store(self._spool(stage), stage, facts, array)
        except ToolFailed as error:
            reached = stage or "import"
            self.failed = (PHASES[min(PHASES.index(reached) + 1, len(PHASES) - 1)]
                           if reached in PHASES else reached, str(error))
        self._end_phase(stage, use_onnxruntime)
        if self.failed and self.failed[0] in PHASES[1:]:
            self.failed_pass = self.guilty_pass(self.failed[0])

    def _end_phase(self, stage: str | None, use_onnxruntime: bool) -> None:
        if stage is None:
            return
        if stage == "import" and use_onnxruntime:
            spool = self._spool("import")
            tokens = len(self.compiler.tokens)
            wanted = {node: 8 * tokens * spool.columns_of(node) for node in spool
                      if self.graph.output_of(node)}
            for facts, array in onnxruntime_values(self.graph, self.compiler.tokens, wanted):
                self._store(self._spool("onnxruntime"), "onnxruntime", facts, array)
            self.finish("onnxruntime")
        # What is rounded differs from what is not; the engine is compared with it.
        self.finish(stage, against=stage != "rounded")

    def run_engine(self) -> None:
        try:
            for facts, array in self.compiler.engine_values():
                self._store(self._spool("engine"), "engine", facts, array)
        except ToolFailed as error:
            raise UserError(str(error)) from error
        self.finish("engine")

    def ordered(self) -> list[Value]:
        """In the order of the graph; with layers where names or the engine tell."""
        place = {node: i for i, node in enumerate(self.graph.nodes)}
        values = sorted(self.values.values(), key=lambda v: place.get(v.node, math.inf))
        layer = None
        for value in reversed(values):
            if value.name:
                layer = value.layer
            elif (named := Graph.layer_in_name(value.node)) is not None:
                value.layer = named
            else:
                value.layer = layer
        return values

    def verdict(self) -> Verdict | None:
        """The first value over a bound, in the first stage where it is."""
        for value in self.ordered():
            for stage, former, difference in value.steps:
                if not difference.relative <= self.bound_of(stage):
                    found = Verdict(value, stage, former, difference, self.bound_of(stage))
                    spool = self.spools[stage]
                    known = {node for node in spool if node != value.node}
                    among = [n for n in self.graph.behind(value.node, known)
                             if n in self.spools["import"]]
                    found.covers = among or [value.node]
                    self._blame(found)
                    return found
        return None

    def _blame(self, found: Verdict) -> None:
        op = found.value.ops[found.stage]
        if found.stage == "engine":
            planned = found.value.ops.get("planned", "the operation")
            found.blame = (f"the kernel of {planned}, or its text: the interpreter agrees up to"
                           " phase planned")
        elif found.stage == "import":
            found.blame = f"the importer or the interpreter's {op}, or onnxruntime itself"
        elif found.stage in PHASES:
            found.pass_ = self.guilty_pass(found.stage)
            found.blame = f"pass {found.pass_}, on the way to phase {found.stage}"

    def guilty_pass(self, phase: str) -> str:
        if phase not in self._guilty:
            self._guilty[phase] = self._find_guilty_pass(phase)
        return self._guilty[phase]

    def _find_guilty_pass(self, phase: str) -> str:
        """The first pass behind which some value is not what it was before the
        phase: interprets behind each, and stops at the first difference."""
        names = [pass_name(one) for one in self.compiler.passes_to(phase)]
        spool: Spool | None = None
        number = "-1"
        try:
            for facts, array in self.compiler.each_pass_to(phase):
                if spool is None or facts["label"] != number:
                    if spool is not None and self._differs(spool, phase):
                        return names[int(number)]
                    number = facts["label"]
                    spool = Spool(self.folder / f"{phase} {number}")
                self._store(spool, phase, facts, array)
        except ToolFailed:
            # A pass may also leave what cannot run behind what still can.
            if spool is not None and self._differs(spool, phase):
                return names[int(number)]
            return names[min(int(number) + 1, len(names) - 1)]
        if spool is not None and self._differs(spool, phase):
            return names[int(number)]
        return f"of phase {phase} (no single one)"

    def _differs(self, spool: Spool, phase: str) -> bool:
        """From what the phases before this one have."""
        earlier = PHASES[PHASES.index(phase) - 1::-1]
        for node in spool:
            stage = next((s for s in earlier if node in self.spools.get(s, ())), None)
            if stage is None:
                continue
            expected, actual = self.spools[stage].load(node), spool.load(node)
            if (expected.shape == actual.shape
                    and not Difference.of(expected, actual).relative <= self.bound_of(phase)):
                return True
        return False


def _numbers(difference: Difference) -> dict:
    """For JSON, which has no infinity."""
    values = {"max_abs": difference.max_abs, "relative": difference.relative,
              "cosine": difference.cosine}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _place(value: Value) -> str:
    layer = "" if value.layer is None else f"layer {value.layer}, "
    return f"{layer}{value.node} ({value.op})"


def _print_values(comparison: Comparison) -> None:
    values = [value for value in comparison.ordered() if value.overall]
    width = max((len(value.node) for value in values), default=4)
    print(f"{'layer':>5}  {'value':{width}}  {'in':10}  {'max abs':>9}  {'relative':>9}"
          f"  {'cosine':>10}")
    for value in values:
        layer = "" if value.layer is None else str(value.layer)
        wrong = next((stage for stage, _, difference in value.steps
                      if not difference.relative <= comparison.bound_of(stage)), None)
        print(f"{layer:>5}  {value.node:{width}}  {value.last:10}  {value.overall.max_abs:9.2e}"
              f"  {value.overall.relative:9.2e}  {value.overall.cosine:10.7f}"
              + (f"  differs at {wrong}" if wrong else ""))


def _print_verdict(comparison: Comparison, found: Verdict | None) -> None:
    if comparison.failed:
        stage, message = comparison.failed
        print(f"fails at {stage}: {message}")
        if comparison.failed_pass:
            print(f"to blame: pass {comparison.failed_pass}, on the way to phase {stage}")
    if found is None:
        if comparison.failed is None:
            engine = sum(value.last == "engine" for value in comparison.values.values())
            print(f"agree: {len(comparison.values)} values, {engine} of them in the engine")
        return
    print(f"first difference: {_place(found.value)}: {found.stage} differs from {found.former} by"
          f" {found.difference.max_abs:.3g}, relative {found.difference.relative:.3g}, bound"
          f" {found.bound:.3g}")
    print(f"to blame: {found.blame}")
    if found.covers != [found.value.node]:
        print(f"covers: {', '.join(found.covers)}")


def _as_json(comparison: Comparison, found: Verdict | None, facts: dict) -> dict:
    values = []
    for value in comparison.ordered():
        if value.overall is None:
            continue
        stages = [{"stage": stage, "against": former, **_numbers(difference),
                   "ok": difference.relative <= comparison.bound_of(stage)}
                  for stage, former, difference in value.steps]
        values.append({"node": value.node, "op": value.op, "layer": value.layer,
                       "name": value.name, "last": value.last, **_numbers(value.overall),
                       "stages": stages})
    verdict: dict = {"agree": found is None and comparison.failed is None}
    if comparison.failed:
        stage, message = comparison.failed
        verdict["failed"] = {"stage": stage, "message": message,
                             "pass": comparison.failed_pass}
    if found:
        verdict |= {"node": found.value.node, "op": found.value.op, "layer": found.value.layer,
                    "stage": found.stage, "against": found.former, "pass": found.pass_,
                    "blame": found.blame, "covers": found.covers, "bound": found.bound,
                    **_numbers(found.difference)}
    return facts | {"values": values, "verdict": verdict}


class _Parser(argparse.ArgumentParser):
    """argparse with the project's one-line errors and exit code."""

    def error(self, message: str):
        raise UserError(f"{message}, see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fdpp-compare",
        description="Find where an engine first computes something else than its ONNX graph.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL.onnx", help="the graph")
    parser.add_argument("engine", metavar="DIR", help="its engine, compiled with --taps")
    parser.add_argument("--tokens", metavar="IDS", required=True,
                        help="ids with commas between them, as they are; a few are enough")
    parser.add_argument("--prefill", metavar="M", type=int,
                        help="tokens of the first step; the rest are decoded one by one (default:"
                             " all but the last)")
    parser.add_argument("--bound", metavar="X", type=float,
                        help="largest relative error of the engine and of onnxruntime (default:"
                             " 1e-4 for f32, 3e-2 for f16, 2e-1 for bf16)")
    parser.add_argument("--no-onnxruntime", action="store_true",
                        help="compare with the interpreted graph instead of onnxruntime")
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    parser.add_argument("--quiet", "-q", action="store_true", help="the verdict alone")
    parser.add_argument("--bin", metavar="FOLDER",
                        help="folder of fdpp-opt, fdpp-translate, fdpp-run (default: PATH)")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    # For tests: PASS=KIND makes a mistake of fdpp-opt --fdpp-inject-fault behind each PASS.
    parser.add_argument("--inject-fault", help=argparse.SUPPRESS)
    return parser


def _tokens(text: str, vocabulary: int) -> list[int]:
    try:
        tokens = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"--tokens takes ids with commas between them, as in 1,2,3; '{text}' is"
                        " none") from error
    for token in tokens:
        if not 0 <= token < vocabulary:
            raise UserError(f"token {token} is not in the vocabulary of {vocabulary}")
    return tokens


def _run(args: argparse.Namespace) -> int:
    model = Path(args.model)
    engine = Engine.open(Path(args.engine))
    tokens = _tokens(args.tokens, engine.vocabulary)
    prefill = max(1, len(tokens) - 1) if args.prefill is None else args.prefill
    if not 1 <= prefill <= len(tokens):
        raise UserError(f"--prefill {prefill} is out of range; give 1 to {len(tokens)}")
    graph = Graph(model)
    if hashlib.sha256(model.read_bytes()).hexdigest() != engine.source:
        print(f"fdpp-compare: warning: {args.engine} was not compiled from this file",
              file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fdpp-compare-") as temporary:
        folder = Path(temporary)
        compiler = Compiler(model, engine, tokens, prefill, graph.has_past(), args.bin, folder)
        if args.inject_fault:
            compiler.fault = tuple(args.inject_fault.split("=", 1))
        comparison = Comparison(graph, compiler, folder, args.bound)
        comparison.run_phases(not args.no_onnxruntime)
        comparison.run_engine()
        found = comparison.verdict()
        if args.json:
            facts = {"model": args.model, "engine": args.engine, "tokens": tokens,
                     "prefill": prefill, "dtype": engine.dtype}
            print(json.dumps(_as_json(comparison, found, facts), indent=1, allow_nan=False))
        else:
            if not args.quiet:
                _print_values(comparison)
            _print_verdict(comparison, found)
    return 1 if found or comparison.failed else 0


def main(argv: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(_parser().parse_args(argv))
    except UserError as error:
        print(f"fdpp-compare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fdpp-compare: interrupted", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        print("fdpp-compare: internal error, please report the lines above", file=sys.stderr)
        return 70
    finally:
        signal.signal(signal.SIGTERM, former)


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
