# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mutants of every family of graphs: none may be compiled into something else
than onnxruntime computes of the mutant.

    python test/mutation/mutate.py                        # all, 500 a family
    python test/mutation/mutate.py -f fdpp -n 50 --seed 3
    python test/mutation/mutate.py -f fdpp --seed 3 --index 17 --keep DIR
    python test/mutation/mutate.py --engines 20           # compiled and run

A mutant depends on the seed, the family and its index alone."""

import argparse
import collections
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

import onnx

import judge
import subject
from families import FAMILIES
from mutators import mutate


class Family:
    """The forms of a family, ready to be changed."""

    def __init__(self, name: str, folder: Path):
        self.name = name
        self.raiser = judge.Raiser(folder / name / "raiser")
        self.judges, self.others = judge.usable(name, folder, self.raiser)
        self.kinds = [subject.record(j.original, len(j.tokens)) for j in self.judges]

    def mutant(self, seed: int, index: int):
        """(judge, model, what was changed)."""
        rng = random.Random(f"{seed} {self.name} {index}")
        form = index % len(self.judges)
        original, kinds = self.judges[form].original, self.kinds[form]
        model, what = mutate(rng, lambda: subject.Subject(original, kinds))
        return self.judges[form], model, what


class Tally:
    """Counts verdicts; a mutant counts when onnxruntime tells it apart."""

    def __init__(self):
        self.kinds = collections.Counter()
        self.counted = 0
        self.wrong = []
        self.reasons = collections.Counter()
        self.worst = 0.0

    def add(self, verdict: judge.Verdict) -> None:
        kind = verdict.kind
        counts = kind in ("followed", "refused") and not verdict.same
        if verdict.same and kind != "wrong":
            kind = "same"
        self.counted += counts
        self.kinds[kind] += 1
        if kind == "followed":
            self.worst = max(self.worst, verdict.error)

    def line(self, family: str) -> str:
        k = self.kinds
        return (f"{family:12} {self.counted:5} mutants: {k['followed']:4} followed "
                f"(max error {self.worst:.1e}), {k['refused']:4} refused, "
                f"{k['wrong']} wrong; not counted: {k['rejected']} rejected by onnxruntime, "
                f"{k['same']} with the same logits, {k['infinite']} not finite")


def _judge_from(family: Family, seed: int, index: int, pipe) -> None:
    """In a process of its own: a graph may kill onnxruntime."""
    family.raiser.process = None  # the parent's
    while True:
        who, model, what = family.mutant(seed, index)
        pipe.send((index, f"{family.name} {index} ({who.form.name}) {what}", None))
        pipe.send((index, what, who.mutant(model)))
        index += 1


def verdicts(family: Family, seed: int):
    """(text, verdict) of every mutant, without end."""
    context = multiprocessing.get_context("fork")
    index = 0
    while True:
        here, there = context.Pipe(duplex=False)
        worker = context.Process(target=_judge_from, args=(family, seed, index, there),
                                 daemon=True)
        worker.start()
        there.close()
        try:
            while True:
                index, text, _ = here.recv()
                _, _, verdict = here.recv()
                yield text, verdict
                index += 1
        except EOFError:
            worker.join()
            if worker.exitcode >= 0:
                raise RuntimeError(f"the test fails at {index}") from None
            yield text, judge.Verdict("rejected", f"onnxruntime ends with {worker.exitcode}")
            index += 1
        finally:
            worker.terminate()
            worker.join()


def run_family(family: Family, seed: int, count: int, log) -> Tally:
    tally = Tally()
    for text, verdict in verdicts(family, seed):
        tally.add(verdict)
        if verdict.kind == "wrong":
            index = text.split()[1]
            print(f"wrong: {text} -> {verdict}\n  again: --family {family.name} "
                  f"--seed {seed} --index {index} --keep DIR", flush=True)
        if log:
            print(text, "->", verdict, "same" if verdict.same else "",
                  f"{verdict.error:.1e}", file=log, flush=True)
        if tally.counted >= count:
            return tally
    return tally


def run_one(family: Family, seed: int, index: int, keep: Path | None) -> int:
    who, model, what = family.mutant(seed, index)
    verdict = who.mutant(model)
    print(f"{family.name} {index} ({who.form.name}) {what}\n{verdict}")
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        onnx.save(who.original, keep / "original.onnx")
        onnx.save(model, keep / "mutant.onnx")
        outcome = who.compile(model)
        (keep / "raised.mlir").write_text(outcome.get("raised", ""))
        print(f"wrote {keep}/original.onnx, mutant.onnx, raised.mlir")
    if verdict.kind == "wrong":
        imported = who.compile(model, "import")
        expected = who.reference(model)
        print(f"the graph itself, interpreted: {who.compare(imported, expected)}")
    return verdict.kind == "wrong"


def run_engines(family: Family, seed: int, count: int, folder: Path) -> tuple[int, int]:
    """Compiles the first mutants that count: (followed, wrong). What raising
    refuses, fdpp-compile must refuse as well."""
    followed, wrong = 0, 0
    for index, (text, verdict) in enumerate(verdicts(family, seed)):
        counts = verdict.kind in ("followed", "refused") and not verdict.same
        if not counts or (verdict.kind == "refused" and index % 5):
            continue
        who, model, _ = family.mutant(seed, index)
        found = judge.engine(who, model, folder / f"{family.name}-{index}")
        if found.kind == verdict.kind:
            followed += found.kind == "followed"
        else:
            wrong += 1
            print(f"wrong: {text} -> {verdict}, as an engine {found}", flush=True)
        if followed + wrong >= count:
            return followed, wrong
    return followed, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-f", "--family", action="append", choices=FAMILIES)
    parser.add_argument("-n", "--count", type=int, default=500, help="mutants a family")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--index", type=int, help="this mutant alone")
    parser.add_argument("--keep", type=Path, help="where to leave its graph")
    parser.add_argument("--log", type=Path, help="a file with a line a mutant")
    parser.add_argument("--engines", type=int, metavar="N",
                        help="compile N mutants a family that are raised, and run them")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    bad = 0
    log = args.log.open("w") if args.log else None
    with tempfile.TemporaryDirectory() as folder:
        for name in args.family or FAMILIES:
            start = time.monotonic()
            family = Family(name, Path(folder))
            for other in family.others:
                print(f"{name}: without {other}", flush=True)
            if not family.judges:
                continue
            if args.index is not None:
                bad += run_one(family, args.seed, args.index, args.keep)
                continue
            if args.engines:
                followed, wrong = run_engines(family, args.seed, args.engines, Path(folder))
                print(f"{name}: {followed} engines follow, {wrong} wrong "
                      f"({time.monotonic() - start:.0f} s)", flush=True)
                bad += wrong
                continue
            tally = run_family(family, args.seed, args.count, log)
            print(tally.line(name), f"({time.monotonic() - start:.0f} s)", flush=True)
            bad += tally.kinds["wrong"]
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
