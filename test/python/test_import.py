# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From fdpp-export's files to one @step, for every tiny model."""
import os
import re
import subprocess
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

import tiny_models
from fdpp.export import main as export

BUILD = Path(os.environ.get("FDPP_BUILD_DIR",
                            Path(__file__).parents[2] / "build/release"))
TO_STEP = ("--pass-pipeline=builtin.module(onnx-inline-functions,"
           "func.func(onnx-fold-constants,onnx-lift-shapes,onnx-lift-masks),"
           "onnx-recognise,fdpp-to-step)")


def run(tool, *arguments, stdin=None):
    done = subprocess.run([BUILD / "bin" / tool, *arguments], input=stdin,
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module", params=list(tiny_models.MODELS))
def exported(request, tmp_path_factory):
    base = tmp_path_factory.mktemp(request.param)
    tiny_models.write_model(request.param, base / "hf")
    assert export([str(base / "hf"), "-o", str(base / "onnx")]) == 0
    return request.param, base / "onnx"


def test_weights_are_where_the_import_says(exported):
    _, folder = exported
    text = run("fdpp-translate", "--import-onnx", folder / "model.onnx").decode()
    model = onnx.load(folder / "model.onnx")
    wanted = {t.name: numpy_helper.to_array(t, str(folder)).tobytes()
              for t in model.graph.initializer}
    found = re.findall(r'fdpp\.weight @"?([^ "]+)"? '
                       r'\[#fdpp\.file<"([^"]+)", (\d+), (\d+)>\]', text)
    assert found
    for name, path, offset, size in found:
        data = (folder / path).read_bytes()[int(offset):int(offset) + int(size)]
        assert data == wanted[name], name


def test_becomes_a_step(exported):
    name, folder = exported
    config = tiny_models.MODELS[name][0]
    imported = run("fdpp-translate", "--import-onnx", folder / "model.onnx")
    step = run("fdpp-opt", TO_STEP, stdin=imported).decode()
    layers = config["num_hidden_layers"]
    assert f"layers = {layers}, hidden = {config['hidden_size']}, " \
           f"queryHeads = {config['num_attention_heads']}, " \
           f"kvHeads = {config['num_key_value_heads']}," in step
    assert not re.search(r"= onnx\.", step)
    assert len(re.findall(r"fdpp\.attention ", step)) == layers
    assert len(re.findall(r"fdpp\.linear ", step)) == 7 * layers + 1
    assert len(re.findall(r"fdpp\.rms_norm ", step)) == 2 * layers + 1
    assert len(re.findall(r"fdpp\.glu ", step)) == layers
