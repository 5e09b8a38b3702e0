# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The committed exports of test/forms/models: reading, running, compiling.

Needs numpy; onnxruntime only for run_onnx, and no torch."""

import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "python"))
from needs import BIN  # noqa: E402

MODELS = Path(__file__).parent / "models"

# Largest difference of a logit allowed, relative to the largest logit. Narrow
# exports round every intermediate value; the interpreter rounds none.
BOUNDS = {"f32": 2e-5, "f16": 1e-2, "bf16": 8e-2}
# Sizes of the pieces in which a graph with a cache reads TOKENS.
CHUNKS = [5, 1, 1, 4, 1, 1, 1, 1, 1]


@dataclass
class Form:
    family: str
    variant: str
    folder: Path
    info: dict  # as in forms.json

    @property
    def name(self) -> str:
        return f"{self.family}/{self.variant}"

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def tokens(self) -> list[int]:
        return self.info["tokens"]

    @property
    def has_cache(self) -> bool:
        return any(name.startswith("past") for name in self.info["inputs"])

    def stored_logits(self) -> np.ndarray:
        """What Hugging Face computed, [tokens, vocab]."""
        return np.load(self.folder / "logits.npy")


def listing() -> list[tuple[str, str]]:
    """Family and variant of every form."""
    return [(family, form["variant"])
            for family, made in json.loads((MODELS / "forms.json").read_text()).items()
            for form in made["forms"]]


def unpack(folder: Path, families: list[str] | None = None) -> list[Form]:
    """Writes models into `folder`; gives the forms of these families, or all."""
    forms = []
    for family, made in json.loads((MODELS / "forms.json").read_text()).items():
        if families is not None and family not in families:
            continue
        with tarfile.open(MODELS / f"{family}.tar.xz") as tar:
            # The archive is this repository's; Pythons before 3.11.4 have no filter.
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(folder, **safe)
        forms += [Form(family, info["variant"], (folder / info["file"]).parent, info)
                  for info in made["forms"]]
    return forms


#===----------------------------------------------------------------------===//
# onnxruntime
#===----------------------------------------------------------------------===//


class NoKernel(Exception):
    """onnxruntime cannot run the graph on a CPU."""


def open_session(model: Path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
        raise NoKernel(str(error)) from error
    except onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph as error:
        raise NoKernel(str(error)) from error
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        # The last for Python 3.10 knows opsets up to 23.
        if sys.version_info < (3, 11) and "is under development" in str(error):
            raise NoKernel(str(error)) from error
        raise


def run_onnx(model: Path, tokens: list[int], chunks: list[int] | None = None) -> np.ndarray:
    """Logits [tokens, vocab] of a graph with any of the usual inputs: whole, or
    in `chunks` where it has a cache."""
    session = open_session(model)
    inputs = {value.name: value for value in session.get_inputs()}
    pasts = [value for value in session.get_inputs() if len(value.shape) == 4]
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    if any(value.type not in kinds for value in pasts):
        raise NoKernel(f"numpy has no {pasts[0].type}")
    cache = [np.zeros((1, v.shape[1], 0, v.shape[3]), kinds[v.type]) for v in pasts]
    done, parts = 0, []
    for size in (chunks if pasts and chunks else [len(tokens)]):
        feeds = dict(zip((value.name for value in pasts), cache))
        feeds["input_ids"] = np.array([tokens[done : done + size]], np.int64)
        if "position_ids" in inputs:
            feeds["position_ids"] = np.arange(done, done + size, dtype=np.int64)[None]
        done += size
        if "attention_mask" in inputs:
            feeds["attention_mask"] = np.ones((1, done), np.int64)
        logits, *cache = session.run(None, feeds)
        parts.append(logits[0].astype(np.float32))
    assert done == len(tokens)
    return np.concatenate(parts)


def reference(form: Form) -> tuple[np.ndarray, str]:
    """Logits to compare with, and who computed them. A graph that was exported
    for a cache of one size, and types that onnxruntime has no kernels for, are
    compared with what Hugging Face computed."""
    if form.info["static"] and form.has_cache:
        return form.stored_logits(), "Hugging Face"
    try:
        return run_onnx(form.model, form.tokens, CHUNKS), "onnxruntime"
    except NoKernel:
        return form.stored_logits(), "Hugging Face"


#===----------------------------------------------------------------------===//
# fdpp
#===----------------------------------------------------------------------===//


class Refused(Exception):
    """The compiler says why it does not take the graph."""


def call(*command, cwd: Path | None = None) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          cwd=cwd)
    if done.returncode == 0:
        return
    errors = [line.partition("error: ")[2] for line in done.stderr.splitlines()
              if "error: " in line]
    if not errors or done.returncode not in (0, 1):
        raise AssertionError(f"exit code {done.returncode}: {done.stderr}")
    raise Refused(errors[0])


RAISE = ["--fdpp-to-recognised", "--fdpp-to-raised"]


def run_raised(model: Path, tokens: list[int], work: Path, *passes: str) -> np.ndarray:
    """Logits of the step that the graph is raised to, in the interpreter."""
    work.mkdir(parents=True, exist_ok=True)
    imported, logits = work / "import.mlir", work / "raised.npy"
    call(BIN / "fdpp-translate", "--import-onnx", model, "--mlir-print-debuginfo",
         "-o", imported)
    text = ",".join(map(str, tokens))
    # Weights are ranges of files beside the model.
    call(BIN / "fdpp-opt", imported, *(passes or RAISE),
         f"--fdpp-interpret=tokens={text} logits={logits}", "-o", work / "raised.mlir",
         cwd=model.parent)
    return np.load(logits)


def run_engine(model: Path, tokens: list[int], work: Path, dtype: str = "f32",
               prefill: int | None = None) -> np.ndarray:
    """Logits of the engine that the graph is compiled to."""
    work.mkdir(parents=True, exist_ok=True)
    engine, logits = work / "engine", work / "engine.npy"
    if not engine.exists():
        call(BIN / "fdpp-compile", model, "-o", engine, f"--dtype={dtype}")
    text = ",".join(map(str, tokens))
    call(BIN / "fdpp-run", engine, "--tokens", text, "-n", 0,
         "--prefill", prefill or len(tokens), "--logits", logits)
    return np.load(logits)


def error_of(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative to the largest logit; infinite where something is not finite."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / np.abs(expected).max())
