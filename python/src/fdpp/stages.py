# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A model's values in every phase of the compiler and in an engine, by the
tools: each is a stream that is read while the tool runs."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

import numpy as np

from fdpp.errors import UserError
from fdpp.values import read_stream

GRAPH_PHASES = ("import", "recognised")  # @main, not @step
PHASES = ("import", "recognised", "raised", "rolled", "fused", "planned")


class ToolFailed(Exception):
    """A tool ended with an error, which the message is."""


def find_tool(name: str, folder: str | None) -> str:
    places = [folder] if folder else [os.environ.get("FDPP_BIN"), os.environ.get("PATH", "")]
    found = shutil.which(name, path=os.pathsep.join(filter(None, places)))
    if found is None:
        raise UserError(f"{name}: not found; add the folder of fdpp's programs to PATH or give"
                        " it with --bin")
    return os.path.abspath(found)


def split_passes(pipeline: str) -> list[str]:
    """The passes of `builtin.module(...)`, those of nested pipelines one by one."""
    inside = pipeline[pipeline.index("(") + 1:pipeline.rindex(")")]
    passes, depth, start = [], 0, 0
    for i, char in enumerate(inside + ","):
        depth += (char in "({[") - (char in ")}]")
        if char == "," and depth == 0:
            passes.append(" ".join(inside[start:i].split()))
            start = i + 1
    nested = re.compile(r"([\w.]+)\(.*\)$")
    result = []
    for one in filter(None, passes):
        match = nested.match(one)
        result += [f"{match[1]}({inner})" for inner in split_passes(one)] if match else [one]
    return result


def pass_name(text: str) -> str:
    """`onnx-fold-constants` of `func.func(onnx-fold-constants{...})`."""
    return re.sub(r"^[\w.]+\(", "", text).partition("{")[0].rstrip(")").strip()


@dataclass
class Engine:
    """An engine folder, as far as a comparison needs it."""

    folder: Path
    dtype: str = "f32"
    limits: dict = field(default_factory=dict)
    source: str = ""
    vocabulary: int = 0
    softmax: str = "auto"  # --async-softmax

    @property
    def phi(self) -> Path | None:
        """What its asynchronous softmax subtracts, if it has one."""
        path = self.folder / "phi.json"
        return path if path.exists() else None

    @staticmethod
    def open(folder: Path) -> "Engine":
        try:
            manifest = json.loads((folder / "engine.json").read_text())
            engine = Engine(folder, manifest["model"]["weight_dtype"], manifest["limits"],
                            manifest["source"]["sha256"], manifest["model"]["vocab_size"])
            command = manifest["command"]
        except OSError as error:
            raise UserError(f"{folder}: no engine ({error.strerror}: engine.json)") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder}/engine.json: is damaged; compile the model again") from error
        for word in command:
            name, _, value = word.partition("=")
            if name == "--async-softmax":
                engine.softmax = value
        if "--taps" not in command:
            raise UserError(f"{folder}: shows no intermediate values; compile the model with"
                            " --taps")
        return engine


class Compiler:
    """fdpp-translate, fdpp-opt and fdpp-run on one model and prompt."""

    def __init__(self, model: Path, engine: Engine, tokens: list[int], prefill: int,
                 has_past: bool, bin_folder: str | None, temporary: Path):
        self.model, self.engine = model.absolute(), engine
        self.tokens, self.prefill = tokens, prefill
        self.whole = ("onnxruntime",) if has_past else ("onnxruntime", *GRAPH_PHASES)
        self.opt = find_tool("fdpp-opt", bin_folder)
        self.runner = find_tool("fdpp-run", bin_folder)
        self.imported = temporary / "import.mlir"
        self._check([find_tool("fdpp-translate", bin_folder), "--import-onnx", str(self.model),
                     "-mlir-print-debuginfo", "-o", str(self.imported)])
        self.fault: tuple[str, str] | None = None  # pass, kind: see --inject-fault
        self._passes: dict[str, list[str]] = {"import": []}

    @staticmethod
    def _check(command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise UserError(_first_line(done.stderr) or f"{command[0]} fails")

    def step_sizes(self, stage: str) -> list[int]:
        """Tokens of each step. A graph without a past takes all at once, as
        onnxruntime does."""
        length = len(self.tokens)
        first = length if stage in self.whole else self.prefill
        return [first] + [1] * (length - first)

    def passes_to(self, phase: str) -> list[str]:
        """The passes from the phase before to this one."""
        if phase not in self._passes:
            limits = self.engine.limits
            options = {
                "raised": f"=page-tokens={limits['page_tokens']}"
                          f" max-context={limits['max_context']}",
                "fused": f"=dtype={self.engine.dtype} async-softmax={self.engine.softmax}",
            }
            done = subprocess.run([self.opt, f"--fdpp-to-{phase}{options.get(phase, '')}",
                                   "--dump-pass-pipeline", os.devnull],
                                  capture_output=True, text=True)
            start = done.stderr.find("builtin.module(")
            if start < 0:
                raise ToolFailed(_first_line(done.stderr))
            text = done.stderr[start:]
            depth = 0
            for end, char in enumerate(text):
                depth += (char == "(") - (char == ")")
                if depth == 0 and char == ")":
                    break
            # The verification of a phase changes nothing.
            self._passes[phase] = [one for one in split_passes(text[:end + 1])
                                   if pass_name(one) != "fdpp-verify-phase"]
        return self._passes[phase]

    def _with_fault(self, one: str) -> list[str]:
        if self.fault and pass_name(one) == self.fault[0]:
            return [one, f"fdpp-inject-fault{{kind={self.fault[1]}}}"]
        return [one]

    def phases(self, round_to: str | None) -> Iterator[tuple[dict, np.ndarray]]:
        """The values in every phase, one phase after another; the fact `label`
        says which. With `round_to` those of the last phase once more, rounded
        where an engine of that type rounds: label 'rounded'."""
        plan = [("import:none:import", None)]
        for phase in PHASES[1:]:
            plan += [(None, part) for one in self.passes_to(phase)
                     for part in self._with_fault(one)]
            plan.append((f"{phase}:none:{phase}", None))
        if round_to:
            plan.append((f"rounded:{round_to}:rounded", None))
        yield from self._interpret(plan)

    def each_pass_to(self, phase: str) -> Iterator[tuple[dict, np.ndarray]]:
        """The values behind every pass of a phase; `label` is its number."""
        plan = []
        for earlier in PHASES[1:PHASES.index(phase)]:
            plan += [(None, part) for one in self.passes_to(earlier)
                     for part in self._with_fault(one)]
        for number, one in enumerate(self.passes_to(phase)):
            plan += [(None, part) for part in self._with_fault(one)]
            plan.append((f"{number}:none:{phase}", None))
        yield from self._interpret(plan)

    def _interpret(self, plan) -> Iterator[tuple[dict, np.ndarray]]:
        read_end, write_end = os.pipe()
        # Files by their numbers: a path in a pass' options may hold no space.
        phi = os.open(self.engine.phi, os.O_RDONLY) if self.engine.phi else None
        phi_option = "" if phi is None else f" phi=/dev/fd/{phi}"
        passes = []
        for label, one in plan:
            if label is None:
                passes.append(one)
                continue
            label, rounding, stage = label.split(":")
            passes.append(
                "fdpp-interpret{" + f"tokens={','.join(map(str, self.tokens))}"
                f" prefill={self.step_sizes(stage)[0]} logits= weights=."
                f" round={rounding} label={label} values=/dev/fd/{write_end}{phi_option}" + "}")
        command = [self.opt, str(self.imported), "-o", os.devnull,
                   f"--pass-pipeline=builtin.module({','.join(passes)})"]
        try:
            yield from _stream(command, read_end, write_end, self.model.parent,
                               [] if phi is None else [phi])
        finally:
            if phi is not None:
                os.close(phi)

    def engine_values(self) -> Iterator[tuple[dict, np.ndarray]]:
        read_end, write_end = os.pipe()
        command = [self.runner, str(self.engine.folder.absolute()), "--prefill", str(self.prefill),
                   "--tokens", ",".join(map(str, self.tokens)),
                   "--taps", f"/dev/fd/{write_end}"]
        yield from _stream(command, read_end, write_end, None)


def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if "error:" in line] or text.splitlines()
    return lines[0] if lines else ""


def _stream(command: list[str], read_end: int, write_end: int, cwd: Path | None,
            files: list[int] | None = None):
    """What a tool writes to the pipe; ends the tool when nobody reads on."""
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(command, pass_fds=[write_end, *(files or [])], stdout=subprocess.DEVNULL,
                                   stderr=errors, cwd=cwd)
        os.close(write_end)
        try:
            with open(read_end, "rb") as stream:
                yield from read_stream(stream)
            if process.wait() != 0:
                errors.seek(0)
                raise ToolFailed(_first_line(errors.read()) or f"{command[0]} fails")
        finally:
            process.kill()
            process.wait()
