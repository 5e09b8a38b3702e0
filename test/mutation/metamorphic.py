# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Graphs written in another way: the compiler must find the same model.

    python test/mutation/metamorphic.py                 # all families
    python test/mutation/metamorphic.py -f fdpp -w transposes --seed 3 --keep DIR

Every rewriting keeps what the graph means to the last bit, or nearly so where
it says. 'identical' counts raised IR that is the same in its normal form; any
other must give the right logits; a refusal is an error like a wrong result."""

import argparse
import collections
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import judge
from families import FAMILIES
from subject import Subject, record


def all_edges(subject: Subject) -> list[tuple]:
    return [(node, i) for node in subject.nodes()
            for i, name in enumerate(node.input) if name]


def data_edges(subject: Subject, rng: random.Random, share: float, *kinds: str) -> list:
    """A share of the edges that carry these types, constants among them."""
    constant = {f"constant {helper.np_dtype_to_tensor_dtype(np.dtype(k))}" for k in kinds}
    edges = [(node, i) for node, i in all_edges(subject)
             if subject.kinds.get(node.input[i], ("",))[0] in {*kinds, *constant}]
    return rng.sample(edges, max(1, round(share * len(edges)))) if edges else []


def put_between(subject: Subject, node, at: int, *steps: tuple) -> None:
    """A chain of (operator, attributes) on the way to one reader."""
    value = node.input[at]
    for op, attributes in steps:
        value = subject.insert(subject.place(node), op, [value], **attributes)
    node.input[at] = value


#===----------------------------------------------------------------------===#
# Rewritings
#===----------------------------------------------------------------------===#


def renamed(rng: random.Random, subject: Subject) -> None:
    """Every value and node but the graph's inputs and results."""
    fixed = {v.name for v in (*subject.graph.input, *subject.graph.output)} | {""}
    names: dict[str, str] = {}

    def rename(name: str) -> str:
        if name in fixed:
            return name
        return names.setdefault(name, f"{rng.randrange(10**9)}.{len(names)}")

    for tensor in subject.graph.initializer:
        tensor.name = rename(tensor.name)
    for info in subject.graph.value_info:
        info.name = rename(info.name)
    for i, node in enumerate(subject.nodes()):
        node.name = f"n{rng.randrange(10**9)}.{i}"
        for values in (node.input, node.output):
            values[:] = [rename(name) for name in values]


def shuffled(rng: random.Random, subject: Subject) -> None:
    """Another topological order."""
    left = list(subject.nodes())
    made = {name for node in left for name in node.output}
    ready_values = set()
    order = []
    while left:
        ready = [n for n in left if all(i not in made or i in ready_values for i in n.input)]
        node = rng.choice(ready)
        left = [other for other in left if other is not node]
        order.append(node)
        ready_values.update(node.output)
    copies = [onnx.NodeProto() for _ in order]
    for copy, node in zip(copies, order):
        copy.CopyFrom(node)
    del subject.graph.node[:]
    subject.graph.node.extend(copies)


def commuted(rng: random.Random, subject: Subject) -> None:
    """Operands of commutative operators, each swapped or not."""
    for node in subject.nodes():
        if node.op_type in ("Add", "Mul", "And", "Or", "Equal", "Max", "Min") and (
                len(node.input) == 2 and rng.random() < 0.7):
            node.input[:] = node.input[::-1]


def identities(rng: random.Random, subject: Subject) -> None:
    for node, at in rng.sample(all_edges(subject), max(1, len(all_edges(subject)) // 5)):
        put_between(subject, node, at, ("Identity", {}))


def casts(rng: random.Random, subject: Subject) -> None:
    """To a wider type and back."""
    for kind, wide in (("float32", TensorProto.DOUBLE), ("float16", TensorProto.FLOAT),
                       ("bool", TensorProto.INT64), ("int32", TensorProto.INT64)):
        narrow = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        for node, at in data_edges(subject, rng, 0.1, kind):
            put_between(subject, node, at, ("Cast", {"to": wide}), ("Cast", {"to": narrow}))


def transposes(rng: random.Random, subject: Subject) -> None:
    """A permutation and its inverse."""
    for node, at in data_edges(subject, rng, 0.15, "float32", "float16", "bool"):
        rank = len(subject.kinds[node.input[at]][1])
        if rank < 2:
            continue
        perm = rng.sample(range(rank), rank)
        back = [perm.index(i) for i in range(rank)]
        put_between(subject, node, at, ("Transpose", {"perm": perm}),
                    ("Transpose", {"perm": back}))


def copied(rng: random.Random, subject: Subject) -> None:
    """Nodes that several read, once for each; and nodes that nobody reads."""
    for node in list(subject.nodes()):
        readers = [use for name in node.output for use in subject.uses(name)]
        if len(readers) < 2 or len(node.output) > 1 or rng.random() < 0.6:
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name, copy.output[0] = (subject.name(node.op_type),) * 2
        subject.graph.node.insert(subject.place(node) + 1, copy)
        if rng.random() < 0.8:
            reader, at = rng.choice(readers)
            reader.input[at] = copy.output[0]


def constants(rng: random.Random, subject: Subject) -> None:
    """Initializers as Constant nodes and the reverse."""
    for node in list(subject.nodes()):
        if node.op_type == "Constant" and node.attribute[0].name == "value" and (
                rng.random() < 0.5):
            tensor = subject.graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            subject.graph.node.remove(node)
    for tensor in list(subject.graph.initializer):
        if np.prod(tensor.dims, dtype=int) <= 64 and rng.random() < 0.5:
            node = helper.make_node("Constant", [], [tensor.name], subject.name("Constant"),
                                    value=tensor)
            subject.graph.initializer.remove(tensor)
            subject.graph.node.insert(0, node)


def pretransposed(rng: random.Random, subject: Subject) -> None:
    """Weights stored the other way round, with or without a Transpose."""
    known = subject.constants
    for node in list(subject.nodes()):
        if node.op_type == "Transpose" and node.input[0] in known and rng.random() < 0.5:
            array = numpy_helper.to_array(known[node.input[0]])
            perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
            value = subject.constant(np.ascontiguousarray(np.transpose(array, perm)))
            for reader, at in subject.uses(node.output[0]):
                reader.input[at] = value
        elif node.op_type == "MatMul" and node.input[1] in known and rng.random() < 0.5:
            array = numpy_helper.to_array(known[node.input[1]])
            if array.ndim == 2:
                turned = subject.constant(np.ascontiguousarray(array.T))
                node.input[1] = subject.insert(subject.place(node), "Transpose", [turned],
                                               perm=[1, 0])


def _producer(subject: Subject, value: str, *ops: str):
    return next((n for n in subject.nodes() if n.op_type in ops and value in n.output), None)


def roots(rng: random.Random, subject: Subject) -> None:
    """x / sqrt(y), x * (1 / sqrt(y)), x * y^-0.5: one as another."""
    number = {"float32": np.float32, "float16": np.float16}
    for node in list(subject.nodes()):
        if node.op_type not in ("Div", "Reciprocal"):
            continue
        root = _producer(subject, node.input[-1], "Sqrt")
        kind = subject.kinds.get(node.input[-1], ("",))[0]
        if root is None or kind not in number:
            continue
        at, y = subject.place(node), root.input[0]
        how = rng.choice(["power", "reciprocal", "quotient"])
        if how == "power":
            inverse = subject.insert(at, "Pow", [y, subject.constant(number[kind](-0.5))])
        elif how == "reciprocal":
            inverse = subject.insert(at, "Reciprocal", [root.output[0]])
        else:
            one = subject.constant(number[kind](1))
            inverse = subject.insert(at, "Div", [one, root.output[0]])
        top = subject.known().get(node.input[0])
        is_inverse = top is not None and (numpy_helper.to_array(top) == 1).all()
        if node.op_type == "Div" and not is_inverse:
            node.op_type = "Mul"
            node.input[1] = inverse
        else:
            for reader, i in subject.uses(node.output[0]):
                reader.input[i] = inverse


def squares(rng: random.Random, subject: Subject) -> None:
    """x^2 as x * x and the reverse; sqrt(x) as x^0.5."""
    known = subject.known()
    for node in list(subject.nodes()):
        kind = subject.kinds.get(node.input[0] if node.input else "", ("",))[0]
        if kind != "float32":
            continue
        if node.op_type == "Mul" and node.input[0] == node.input[1]:
            node.op_type, node.input[1] = "Pow", subject.constant(np.float32(2))
        elif node.op_type == "Pow" and node.input[1] in known and (
                numpy_helper.to_array(known[node.input[1]]) == 2):
            node.op_type, node.input[1] = "Mul", node.input[0]
        elif node.op_type == "Sqrt" and rng.random() < 0.5:
            node.op_type = "Pow"
            node.input.append(subject.constant(np.float32(0.5)))


REWRITINGS = {f.__name__: f for f in (
    renamed, shuffled, commuted, identities, casts, transposes, copied, constants,
    pretransposed, roots, squares)}
# Where nothing but names, order and detours differ, nothing may differ.
IDENTICAL = {"renamed", "shuffled", "identities", "casts", "transposes", "constants"}


def everything(rng: random.Random, subject: Subject) -> None:
    """All of them, one after another."""
    for name in ("pretransposed", "roots", "squares", "commuted", "copied", "constants",
                 "transposes", "casts", "identities", "shuffled", "renamed"):
        REWRITINGS[name](rng, subject)


REWRITINGS["everything"] = everything


#===----------------------------------------------------------------------===#
# Judging
#===----------------------------------------------------------------------===#


class Family:
    def __init__(self, name: str, folder: Path):
        self.name = name
        self.raiser = judge.Raiser(folder / name / "raiser")
        self.judges, self.others = judge.usable(name, folder, self.raiser)
        self.kinds = [record(j.original, len(j.tokens)) for j in self.judges]
        self.raised = [j.compile(j.original)["raised"] for j in self.judges]

    def rewritten(self, form: int, name: str, seed: int) -> onnx.ModelProto:
        rng = random.Random(f"{seed} {self.name} {form} {name}")
        subject = Subject(self.judges[form].original, self.kinds[form])
        REWRITINGS[name](rng, subject)
        return subject.model

    def verdict(self, form: int, name: str, seed: int) -> judge.Verdict:
        """'identical', 'right', or what is wrong."""
        who = self.judges[form]
        model = self.rewritten(form, name, seed)
        expected = who.reference(model)
        strayed = judge.difference(who.expected, expected)
        assert strayed < who.form.bound, f"{name} changes the meaning: {strayed}"
        outcome = who.compile(model)
        verdict = who.compare(outcome, expected)
        if verdict.kind == "followed":
            same = outcome["raised"] == self.raised[form]
            verdict.kind = "identical" if same else "right"
        return verdict


def is_good(rewriting: str, verdict: judge.Verdict) -> bool:
    return verdict.kind == "identical" or (
        verdict.kind == "right" and rewriting not in IDENTICAL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-f", "--family", action="append", choices=FAMILIES)
    parser.add_argument("-w", "--rewriting", action="append", choices=list(REWRITINGS))
    parser.add_argument("-n", "--count", type=int, default=3, help="times a form")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where to leave graphs that fail")
    args = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in args.family or FAMILIES:
            family = Family(name, Path(folder))
            for other in family.others:
                print(f"{name}: without {other}")
            for rewriting in args.rewriting or REWRITINGS:
                bad += run(family, rewriting, args)
            family.raiser.close()
    return bad > 0


def run(family: Family, rewriting: str, args) -> int:
    kinds, bad = collections.Counter(), 0
    for form in range(len(family.judges)):
        for seed in range(args.seed, args.seed + args.count):
            verdict = family.verdict(form, rewriting, seed)
            kinds[verdict.kind] += 1
            if is_good(rewriting, verdict):
                continue
            bad += 1
            name = family.judges[form].form.name
            print(f"{family.name}/{name} {rewriting} --seed {seed}: {verdict}")
            if args.keep:
                args.keep.mkdir(parents=True, exist_ok=True)
                onnx.save(family.rewritten(form, rewriting, seed),
                          args.keep / f"{name}-{rewriting}-{seed}.onnx".replace("/", "-"))
    print(f"{family.name:12} {rewriting:14} {dict(kinds)}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
