# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Engines of test/engines, as they were written when their format was new, on
the runtime of today: they load and give the logits recorded beside them."""

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))
import needs  # noqa: E402

ENGINES = sorted(path.parent for path in (HERE.parent / "engines").glob("*/engine"))

pytestmark = [
    needs.tools("fdpp-run"),
    pytest.mark.skipif(platform.machine() != "x86_64",
                       reason="the kept engines are for x86-64; their model is tiny_models' gqa"),
]


def test_there_is_one_of_the_format_that_is_written():
    title = (needs.ROOT / "docs" / "engine-format.md").read_text().splitlines()[0]
    written = re.fullmatch(r"# Engine format (\d+\.\d+)", title)[1]
    assert written in [path.name for path in ENGINES]


def run(folder: Path, *options: object) -> str:
    done = subprocess.run([needs.BIN / "fdpp-run", folder / "engine", *map(str, options)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def prompt(folder: Path) -> str:
    (result,) = json.loads((folder / "tokens.json").read_text())["results"]
    return ",".join(map(str, result["prompt"]))


@pytest.mark.parametrize("folder", ENGINES, ids=lambda path: path.name)
def test_the_engine_is_portable(folder):
    manifest = json.loads((folder / "engine" / "engine.json").read_text())
    form = manifest["format"]
    assert f"{form['major']}.{form['minor']}" == folder.name
    assert manifest["target"]["arch"] == ["x86-64"]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size < 1 << 20
    text = (folder / "engine" / "source" / "model.cpp").read_text()
    assert "fdpp_model_query" in text  # for whoever has another CPU


@pytest.mark.parametrize("options", [[], ["-t", 2], ["--prefill", 1], ["--prefill", 5, "-t", 3]],
                         ids=lambda options: " ".join(map(str, options)) or "whole")
@pytest.mark.parametrize("folder", ENGINES, ids=lambda path: path.name)
def test_it_gives_the_recorded_logits(folder, options, tmp_path):
    expected = np.load(folder / "logits.npy")
    run(folder, "--verify", "--tokens", prompt(folder), "-n", 0, "--logits",
        tmp_path / "logits.npy", *options)
    logits = np.load(tmp_path / "logits.npy")
    assert logits.shape == expected.shape and expected.std() > 0.1
    # The code is the same; libm's functions may be another machine's.
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("folder", ENGINES, ids=lambda path: path.name)
def test_it_gives_the_recorded_tokens(folder):
    (recorded,) = json.loads((folder / "tokens.json").read_text())["results"]
    (result,) = json.loads(run(folder, "--tokens", prompt(folder), "-n", 24, "--json"))["results"]
    assert result == recorded
    assert len(set(recorded["tokens"])) > 3
