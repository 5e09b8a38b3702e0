# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a graph means to onnxruntime, and what the compiler makes of it."""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from families import Feeder, Form, make_family, tokens_of
import needs
from widen import widened

RAISE = needs.BIN / "fdpp-raise-graphs"


# Of logits in single precision (families.py says why).
SINGLE_BOUND = 1e-4

# The interpreter is exact in every phase.
PASSES_BOUND = 1e-8


def splits_of(tokens: np.ndarray) -> list[list[int]]:
    """The whole, and three steps: behind a cache, one token, behind a cache."""
    half = tokens.shape[1] // 2
    return [[tokens.shape[1]], [half, 1, tokens.shape[1] - half - 1]]


def open_session(model: onnx.ModelProto):
    """As it is written: no optimiser of onnxruntime's has a say."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options,
                                        providers=["CPUExecutionProvider"])


class Rejected(Exception):
    """onnxruntime does not take the graph."""


def reference(model: onnx.ModelProto, tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """Logits [split, sequence, token, vocabulary] by onnxruntime."""
    try:
        feeder = Feeder(open_session(model), tokens)
        results = [feeder.logits(split) for split in splits_of(tokens)]
        if any(logits.shape != (*tokens.shape, vocabulary) for logits in results):
            raise Rejected("logits have another shape")
        return np.stack(results)
    except (Rejected, MemoryError):
        raise
    except Exception as error:  # onnxruntime's errors share no base class
        raise Rejected(str(error).splitlines()[0]) from error


class Raiser:
    """fdpp-raise-graphs, started again when a graph kills it."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.graph = folder / "graph.onnx"
        self.logits = folder / "logits.f64"
        self.process = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [RAISE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        if self.process:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def ask(self, model: onnx.ModelProto, tokens: np.ndarray, vocabulary: int,
            phase: str = "raised") -> dict:
        """The outcome, with `logits` beside `raised`."""
        splits = splits_of(tokens)
        if self.process is None:
            self.start()
        self.graph.write_bytes(model.SerializeToString())
        job = {"graph": str(self.graph), "phase": phase, "logits": str(self.logits),
               "tokens": tokens.tolist(), "splits": splits}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.process = None
            return {"failed": f"the compiler ends with {code}"}
        outcome = json.loads(line)
        if "raised" in outcome:
            outcome["logits"], *rest = np.fromfile(self.logits).reshape(
                -1, len(splits), *tokens.shape, vocabulary)
            outcome["planned"] = rest[0] if rest else None
        return outcome


def difference(expected: np.ndarray, actual: np.ndarray) -> float:
    """The largest, relative to the largest logit; infinite where not finite."""
    if not np.isfinite(actual).all():
        return float("inf")
    return float(np.abs(expected - actual).max() / max(np.abs(expected).max(), 1e-6))


@dataclasses.dataclass
class Verdict:
    kind: str  # followed, refused, wrong; rejected, same, infinite
    why: str = ""
    error: float = 0.0
    same: bool = False  # as far as the logits show, no mutant at all

    def __str__(self) -> str:
        return f"{self.kind}{': ' + self.why if self.why else ''}"


class Judge:
    """Compares what the compiler makes of graphs with onnxruntime."""

    def __init__(self, form: Form, raiser: Raiser):
        self.form = form
        self.raiser = raiser
        self.original = form.load()
        try:
            session = open_session(self.original)
        except Exception as error:  # onnxruntime's errors share no base class
            raise Rejected(str(error).splitlines()[0]) from error
        logits = next(v for v in session.get_outputs() if v.name == "logits")
        self.vocabulary = logits.shape[2]
        try:
            self.tokens = tokens_of(session)
            self.expected = self.reference(self.original)
        except Rejected:  # rotary tables of a batch of one, for onnxruntime
            self.tokens = tokens_of(session, batch=1)
            self.expected = self.reference(self.original)

    def reference(self, model: onnx.ModelProto) -> np.ndarray:
        return reference(model, self.tokens, self.vocabulary)

    def compile(self, model: onnx.ModelProto, phase: str = "raised") -> dict:
        return self.raiser.ask(model, self.tokens, self.vocabulary, phase)

    def bound(self, model: onnx.ModelProto) -> float:
        """Narrow floats stand for numbers, which the compiler does not round as
        the graph says: with casts to them the bound is theirs."""
        bounds = {onnx.TensorProto.FLOAT16: 1e-2, onnx.TensorProto.BFLOAT16: 8e-2}
        casts = [bounds.get(attribute.i, 0) for node in model.graph.node
                 if node.op_type == "Cast" for attribute in node.attribute]
        return max([self.form.bound, *casts])

    def mutant(self, model: onnx.ModelProto) -> Verdict:
        try:
            expected = self.reference(model)
        except Rejected as error:
            return Verdict("rejected", str(error))
        if not np.isfinite(expected).all():
            return Verdict("infinite")
        # A difference that the comparison below could overlook is none.
        bound = self.bound(model)
        same = difference(self.expected, expected) < 5 * bound
        outcome = self.compile(model, "planned")
        verdict = self.compare(outcome, expected, bound)
        if verdict.error > bound and self.form.bound > SINGLE_BOUND:
            verdict = self.second_opinion(model, outcome, verdict)
        verdict.same = same
        return verdict

    def second_opinion(self, model: onnx.ModelProto, outcome: dict,
                       verdict: Verdict) -> Verdict:
        """Where a mutant makes much of what narrow floats round, as with a scale of
        attention thirty times as large: they stand for numbers, so the same graph
        in single precision tells what it means."""
        try:
            expected = self.reference(widened(model))
        except Rejected:
            return verdict
        return self.compare(outcome, expected)

    def compare(self, outcome: dict, expected: np.ndarray, bound: float = 0) -> Verdict:
        if "failed" in outcome:
            return Verdict("wrong", outcome["failed"])
        if "refused" in outcome:
            return refusal(outcome["refused"])
        if "later" in outcome:  # raised, but no kernel does it
            return refusal(outcome["later"])
        if outcome.get("planned") is not None:
            lost = difference(outcome["logits"], outcome["planned"])
            if lost > PASSES_BOUND:
                return Verdict("wrong", f"passes after raising are off by {lost:.2e}", lost)
        error = difference(expected, outcome["logits"])
        if error <= (bound or self.form.bound):
            return Verdict("followed", error=error)
        return Verdict("wrong", f"off by {error:.2e}", error)


def usable(family: str, folder: Path, raiser: Raiser) -> tuple[list[Judge], list[str]]:
    """Judges of a family's forms, and why the others have none: onnxruntime has
    no kernel for some types, and some forms the compiler does not take yet. A
    form that it takes wrongly is an error."""
    judges, others = [], []
    for form in make_family(family, folder):
        try:
            judge = Judge(form, raiser)
        except Rejected as error:
            others.append(f"{form.name}: {error}")
            continue
        verdict = judge.compare(judge.compile(judge.original), judge.expected)
        if verdict.kind == "followed":
            judges.append(judge)
        elif verdict.kind == "refused":
            others.append(f"{form.name}: {verdict}")
        else:
            raise AssertionError(f"{family}/{form.name}: {verdict}")
    return judges, others


def refusal(errors: list[str]) -> Verdict:
    """One reason is a refusal; none, or many, is a fault of the compiler."""
    if len(errors) == 1 and errors[0].strip():
        return Verdict("refused", errors[0])
    return Verdict("wrong", f"{len(errors)} errors: {errors}")


# An engine stores f32 and sums in another order than the interpreter.
ENGINE_BOUND = 3e-4


def engine(judge: Judge, model: onnx.ModelProto, folder: Path) -> Verdict:
    """What fdpp-compile and fdpp-run make of it: the first sequence, whole and
    in two pieces."""
    folder.mkdir(parents=True)
    path, logits = folder / "model.onnx", folder / "logits.npy"
    path.write_bytes(model.SerializeToString())
    done = subprocess.run([needs.BIN / "fdpp-compile", path, "-o", folder / "engine",
                           "--dtype=f32"], capture_output=True, text=True)
    if done.returncode == 1 and done.stderr.count("\n") == 1:
        return Verdict("refused", done.stderr.strip())
    if done.returncode != 0:
        return Verdict("wrong", f"fdpp-compile ends with {done.returncode}: {done.stderr}")
    tokens = ",".join(str(token) for token in judge.tokens[0])
    found = []
    for split in splits_of(judge.tokens):
        subprocess.run([needs.BIN / "fdpp-run", folder / "engine", "--tokens", tokens, "-n", "0",
                        "--prefill", str(split[0]), "--logits", logits],
                       capture_output=True, check=True)
        found.append(np.load(logits))
    bound = max(ENGINE_BOUND, judge.form.bound)
    worst = worst_split(judge.reference(model), found)
    if worst > bound and judge.form.bound > SINGLE_BOUND:  # as in second_opinion
        worst = worst_split(judge.reference(widened(model)), found)
    if worst <= bound:
        return Verdict("followed", error=worst)
    return Verdict("wrong", f"off by {worst:.2e}", worst)


def worst_split(expected: np.ndarray, found: list[np.ndarray]) -> float:
    """Of the first sequence's logits, for each way to split it."""
    return max(difference(rows, logits) for rows, logits in zip(expected[:, 0], found))
