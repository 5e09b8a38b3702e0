# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SmolLM2 as engines of every dtype against Hugging Face's recorded logits.

The bounds are those of docs/numerics.md. The reference is made by
make_reference.py; nothing here needs torch.
"""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "test" / "python"))
from smollm2 import smollm2_gguf  # noqa: E402

BIN = Path(os.environ.get("FDPP_BUILD_DIR", ROOT / "build" / "release")) / "bin"
REFERENCE = json.loads((HERE / "reference" / "smollm2.json").read_text())
SEQUENCES = REFERENCE["sequences"]
LAYERS = 30
ROUNDOFF = {"bf16": 2.0**-9, "f16": 2.0**-12}


def run(*arguments: object) -> str:
    command = [str(a) for a in arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)[:300]}\n{done.stderr}"
    return done.stdout


def ids(tokens: list[int]) -> str:
    return ",".join(map(str, tokens))


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2") / "onnx"
    run(sys.executable, "-m", "fdpp.export", smollm2_gguf(), "-o", folder)
    return folder / "model.onnx"


@pytest.fixture(scope="session")
def engine(model, tmp_path_factory):
    made = {}

    def get(dtype: str) -> Path:
        if dtype not in made:
            made[dtype] = tmp_path_factory.mktemp("engine") / f"{dtype}.fdpp"
            run(BIN / "fdpp-compile", model, "-o", made[dtype], f"--dtype={dtype}")
        return made[dtype]

    return get


@pytest.fixture(scope="session")
def facts() -> dict:
    with np.load(HERE / "reference" / "smollm2.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def logits_of(engine, tmp_path_factory):
    """Logits [tokens, vocabulary] of one sequence, prefilled at once."""
    folder = tmp_path_factory.mktemp("logits")

    def get(dtype: str, tokens: list[int], *options: str) -> np.ndarray:
        file = folder / "logits.npy"
        run(BIN / "fdpp-run", engine(dtype), "--tokens", ids(tokens), "-n", 0,
            "--logits", file, *options)
        return np.load(file)

    return get


def compared(dtype, logits_of, facts):
    """(max error, rms error, rms of the reference, share of equal top tokens)
    over all positions of all sequences."""
    at, worst, squares, reference, equal, count = 0, 0.0, 0.0, 0.0, 0, 0
    for sequence in SEQUENCES:
        tokens = sequence["tokens"]
        logits = logits_of(dtype, tokens)
        rows = slice(at, at + len(tokens))
        error = logits[:, facts["columns"]] - facts["logits"][rows]
        worst = max(worst, float(np.abs(error).max()))
        squares += float((error.astype(np.float64) ** 2).sum())
        reference += float((facts["logits"][rows].astype(np.float64) ** 2).sum())
        equal += int((logits.argmax(-1) == facts["top"][rows, 0]).sum())
        count += len(tokens)
        at += len(tokens)
    size = count * len(facts["columns"])
    assert at == len(facts["log_sum_exp"])
    return worst, math.sqrt(squares / size), math.sqrt(reference / size), equal / count


def test_f32_logits(logits_of, facts):
    worst, _, _, top1 = compared("f32", logits_of, facts)
    print(f"f32: max error {worst:.2e}, top-1 {top1:.4f}")
    assert worst <= 2e-3


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_rounded_logits(dtype, logits_of, facts):
    worst, rms, reference, top1 = compared(dtype, logits_of, facts)
    print(f"{dtype}: max error {worst:.3f}, rms {rms:.4f} of {reference:.3f}, top-1 {top1:.4f}")
    bound = 4 * ROUNDOFF[dtype] * math.sqrt(2 * LAYERS) * reference
    assert rms <= bound
    assert worst <= 8 * bound
    assert top1 >= 0.98


def generated(engine: Path, prompts: list[list[int]], count: int) -> list[list[int]]:
    """Greedy tokens after each prompt, all prompts in one batch."""
    options = [x for prompt in prompts for x in ("--tokens", ids(prompt))]
    printed = run(BIN / "fdpp-run", engine, *options, "-n", count, "--json")
    return [result["tokens"] for result in json.loads(printed)["results"]]


@pytest.mark.parametrize("sequence", SEQUENCES[:-2], ids=lambda s: s["name"])
def test_f32_greedy_tokens(sequence, engine):
    prompt, expected = sequence["tokens"][: sequence["prompt"]], sequence["tokens"]
    (tokens,) = generated(engine("f32"), [prompt], len(expected) - len(prompt))
    # fdpp-run stops where the model ends its answer; the reference goes on.
    assert len(tokens) > 0
    assert tokens == expected[len(prompt) : len(prompt) + len(tokens)]


@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
@pytest.mark.parametrize("prefill", [1, 7, 63, 64, 65])
def test_every_split(dtype, prefill, logits_of):
    tokens = SEQUENCES[0]["tokens"][:80]
    whole = logits_of(dtype, tokens)
    split = logits_of(dtype, tokens, "--prefill", str(prefill))
    bound = 64 * 2.0**-24 * np.abs(whole).max()
    if dtype != "f32":
        bound = 8 * 4 * ROUNDOFF[dtype] * math.sqrt(2 * LAYERS) * np.sqrt((whole**2).mean())
    assert np.abs(split - whole).max() <= bound


def test_a_ragged_batch_equals_its_sequences(engine):
    prompts = [s["tokens"][:n] for s, n in zip(SEQUENCES, (3, 40, 17, 1))]
    alone = [generated(engine("f32"), [p], 12)[0] for p in prompts]
    assert generated(engine("f32"), prompts, 12) == alone


def test_the_answer_names_paris(engine):
    answer = run(BIN / "fdpp-run", engine("bf16"), "--chat",
                 "What is the capital of France?", "-n", 64)
    assert "Paris" in answer


def test_the_demo_prints_the_share_of_recomputed_rows(model, tmp_path):
    """The commands of utils/demo.sh, whose phi.json is fdpp-calibrate's."""
    demo = (ROOT / "utils" / "demo.sh").read_text()
    flags = ["--dtype=bf16", "--async-softmax=on",
             "--phi=share/phi/smollm2-135m-instruct.json"]
    assert all(flag in demo for flag in flags) and "-n 64 --stats" in demo
    engine = tmp_path / "demo.fdpp"
    subprocess.run([BIN / "fdpp-compile", model, "-o", engine, *flags], cwd=ROOT, check=True,
                   capture_output=True)
    shared = (ROOT / flags[2].partition("=")[2]).read_bytes()
    assert (engine / "phi.json").read_bytes() == shared
    phi = json.loads(shared)
    assert phi["tokens"] >= 20000 and phi["layers"] == LAYERS
    done = subprocess.run([BIN / "fdpp-run", engine, "--chat", "What is the capital of France?",
                           "-n", "64", "--stats"], capture_output=True, text=True, check=True)
    assert "Paris" in done.stdout
    decoded = int(re.search(r"decode: (\d+) tokens", done.stderr)[1])
    rows = decoded * phi["layers"] * phi["query_heads"]
    assert decoded > 0
    assert (f"softmax rows recomputed exactly: 0 of {rows} (0.000 %); heads made exact: 0"
            in done.stderr)


@pytest.fixture(scope="session")
def f32_reference(engine, tmp_path_factory) -> Path:
    """All probabilities of the f32 engine over two windows of the text."""
    file = tmp_path_factory.mktemp("eval") / "f32.safetensors"
    run(BIN / "fdpp-eval", engine("f32"), "--text", HERE / "eval.txt", "--windows", 2,
        "--save", file)
    return file


@pytest.mark.parametrize("dtype, change", [("f32", 1e-4), ("bf16", 5e-3), ("f16", 5e-3)])
def test_perplexity_is_hugging_faces(dtype, change, engine):
    run(BIN / "fdpp-eval", engine(dtype), "--text", HERE / "eval.txt",
        "--reference", HERE / "reference" / "eval.safetensors",
        "--max-perplexity-change", change, "--min-same-top", 0.98)


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_probabilities_are_close_to_f32(dtype, engine, f32_reference):
    run(BIN / "fdpp-eval", engine(dtype), "--reference", f32_reference, "--max-kl", 0.01)
