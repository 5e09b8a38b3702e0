# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-compare: a good engine agrees; mistakes of passes and kernels are found at
the right layer, node and pass."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiler import compile_model
from needs import BIN, ROOT, module, tools
from tiny_models import tiny_config, write_hf_folder

module("onnxruntime")
sys.path.append(str(ROOT / "test" / "forms"))
from forms import unpack  # noqa: E402
from fdpp.compare import main as compare  # noqa: E402
from fdpp.export import main as export  # noqa: E402
from fdpp.reference import Graph  # noqa: E402
from fdpp.stages import Compiler, Engine, ToolFailed, pass_name, split_passes  # noqa: E402
from fdpp.values import Difference, Spool, token_axes, token_rows  # noqa: E402

pytestmark = tools("fdpp-compile", "fdpp-opt", "fdpp-translate", "fdpp-run")
TOKENS = "5,17,80,3,41,95,2"
LAYERS = 3
HEADERS = ROOT / "runtime"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    write_hf_folder(folder / "hf", tiny_config(num_hidden_layers=LAYERS))
    assert export([str(folder / "hf"), "-o", str(folder / "onnx")]) == 0
    return folder / "onnx" / "model.onnx"


def compiled(model: Path, folder: Path, *options, environment=None) -> Path:
    done = compile_model(model, "-o", folder, "--dtype=f32", "--taps", "--page-tokens=16",
                         *options, environment=environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def engine(model) -> Path:
    return compiled(model, model.parent.parent / "engine")


def run(capsys, model, engine, *options) -> tuple[int, dict]:
    capsys.readouterr()
    code = compare([str(model), str(engine), "--tokens", TOKENS, "--bin", str(BIN), "--json",
                    *options])
    printed = capsys.readouterr()
    assert printed.err == ""
    return code, json.loads(printed.out)


def node(layer: int, part: str) -> str:
    return f"model/layers.{layer}/{part}"


@pytest.mark.parametrize("prefill", ["7", "4", "1"])
def test_a_good_engine_agrees(model, engine, capsys, prefill):
    code, result = run(capsys, model, engine, "--prefill", prefill)
    assert code == 0 and result["verdict"] == {"agree": True}
    values = {value["node"]: value for value in result["values"]}
    for layer in range(LAYERS):
        for part in ("attn/q_rope", "attn/k_rope", "attn/v_proj", "attn/attention",
                     "attn/residual", "mlp/product", "mlp/residual"):
            value = values[node(layer, part)]
            assert value["layer"] == layer
            stages = [stage["stage"] for stage in value["stages"]]
            assert stages == ["import", "recognised", "raised", "rolled", "fused", "planned",
                              "engine"]
            assert [stage["ok"] for stage in value["stages"]] == [True] * len(stages)
            assert 0 < value["max_abs"] < 1e-4 and value["cosine"] > 0.999999
        assert values[node(layer, "attn/q_proj")]["last"] == "rolled"
    assert values["model/embed_tokens"]["max_abs"] == 0
    assert values["logits"]["last"] == "engine"


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
def test_narrow_engines_agree_with_what_is_rounded(model, tmp_path, capsys, dtype):
    engine = tmp_path / "engine"
    done = compile_model(model, "-o", engine, f"--dtype={dtype}", "--taps")
    assert done.returncode == 0, done.stderr
    code, result = run(capsys, model, engine)
    assert code == 0
    stages = result["values"][-1]["stages"]
    assert stages[-1]["stage"] == "engine" and stages[-1]["against"] == "rounded"


# One without a cache, whose past the steps of an engine are; heads as many as
# tokens; nodes without a layer in their names.
@pytest.mark.parametrize("family,variant", [("torch18", "gqa"), ("optimum", "gqa")])
def test_other_peoples_graphs_agree(tmp_path, capsys, family, variant):
    form = next(form for form in unpack(tmp_path, [family]) if form.variant == variant)
    engine = compiled(form.model, tmp_path / "engine")
    code, result = run(capsys, form.model, engine)
    assert code == 0
    in_engine = [value for value in result["values"] if value["last"] == "engine"]
    assert [value["layer"] for value in in_engine] == [None] + [0] * 7 + [1] * 7 + [None]
    assert all(value["relative"] < 1e-5 for value in in_engine)
    assert len(result["values"]) > 100


# Behind which pass what mistake is made: the node, the phase, or what fails there.
PASS_FAULTS = [
    ("onnx-recognise=scale", node(2, "attn/attention"), "recognised"),
    ("onnx-recognise=activation", node(2, "mlp/product"), "recognised"),
    ("fdpp-to-step=eps", "model/norm", "raised"),
    ("fdpp-to-step=rotary-halves", node(2, "attn/k_rope"), "raised"),
    ("fdpp-to-step=gqa-group", node(2, "attn/attention"), "raised"),
    ("fdpp-to-step=transpose", node(2, "attn/o_proj"), "raised"),
    ("fdpp-roll-layers=bank", node(1, "mlp/down_proj"), "rolled"),
    ("fdpp-roll-layers=gate-up", node(0, "mlp/product"), "rolled"),
    ("fdpp-merge-linears=merge-order", node(0, "mlp/product"), "fused"),
    ("fdpp-fuse-prologues=eps", "logits", "fused"),
    ("fdpp-fuse-epilogues=stored-halves", node(0, "attn/q_rope"), "fused"),
    ("fdpp-fuse-epilogues=plane", node(0, "attn/attention"), "fused"),
    ("fdpp-pack-weights=merge-order", node(0, "mlp/product"), "planned"),
]


@pytest.mark.parametrize("fault,where,phase", PASS_FAULTS, ids=[f[0] for f in PASS_FAULTS])
def test_mistakes_of_passes_are_found(model, engine, capsys, fault, where, phase):
    code, result = run(capsys, model, engine, "--inject-fault", fault)
    verdict = result["verdict"]
    assert code == 1 and not verdict["agree"]
    assert (verdict["node"], verdict["stage"]) == (where, phase)
    assert verdict["pass"] == fault.partition("=")[0]
    assert verdict["layer"] == Graph.layer_in_name(where)
    assert verdict["covers"][-1] == where


def test_a_value_that_is_lost_is_covered_by_the_next(model, engine, capsys):
    """Without its last sum, which bufferisation refuses later."""
    code, result = run(capsys, model, engine, "--inject-fault", "fdpp-roll-layers=residual")
    verdict = result["verdict"]
    assert code == 1
    assert (verdict["node"], verdict["pass"]) == (node(1, "input_layernorm"), "fdpp-roll-layers")
    assert verdict["covers"] == [node(0, "mlp/residual"), node(1, "input_layernorm")]
    failed = verdict["failed"]
    assert (failed["stage"], failed["pass"]) == ("planned", "fdpp-bufferize")
    assert "not equivalent" in failed["message"]


# Header, text, what it becomes; the node where the engine first differs, and what
# the engine's value there covers.
KERNEL_FAULTS = [
    ("prologue.h", "1.0f / __builtin_sqrtf(mean + epsilon)", "1.0f / __builtin_sqrtf(mean)",
     node(0, "attn/v_proj"), "input_layernorm"),
    ("math.h", "return x / (1.0f + exp(-x)); }", "return x / (1.01f + exp(-x)); }",
     node(0, "mlp/product"), "mlp/silu"),
    ("tokens.h", "float(positions[i / Half]) * inv_freq", "float(positions[i / Half] + 1) * inv_freq",
     node(0, "attn/q_rope"), "model/rope/angles"),
    ("tokens.h", "table + int64_t(tokens[t]) * Width", "table + int64_t(tokens[0]) * Width",
     "model/embed_tokens", "model/embed_tokens"),
    ("tokens.h", "x + int64_t(rows[r]) * Width", "x + int64_t(rows[0]) * Width",
     "logits", "model/norm"),
    ("attention.h", "load(&scores[r][t]) * options.scale", "load(&scores[r][t]) * (1.01f * options.scale)",
     node(0, "attn/attention"), "attn/attention"),
    ("cache.h", "store(values + value_index(slot % PageTokens, dim, HeadDim), value, count);",
     "store(values + value_index(slot % PageTokens, dim, HeadDim), 1.01f * value, count);",
     node(0, "attn/v_proj"), "attn/v_proj"),
]


@pytest.mark.parametrize("header,text,wrong,where,covers", KERNEL_FAULTS,
                         ids=[f"{fault[0]}-{fault[3]}" for fault in KERNEL_FAULTS])
def test_mistakes_of_kernels_are_found(model, tmp_path, capsys, header, text, wrong, where,
                                       covers):
    folder = tmp_path / "include"
    for part in ("kernels", "include/fdpp-runtime"):
        shutil.copytree(HEADERS / part, folder / part)
    path = folder / "kernels" / "cpu" / header
    source = path.read_text()
    assert source.count(text) == 1
    path.write_text(source.replace(text, wrong))
    engine = compiled(model, tmp_path / "engine", environment={"FDPP_INCLUDE_DIR": str(folder)})
    code, result = run(capsys, model, engine)
    verdict = result["verdict"]
    assert code == 1
    assert (verdict["node"], verdict["stage"], verdict["against"]) == (where, "engine", "planned")
    assert verdict["pass"] is None and "kernel" in verdict["blame"]
    assert any(name.endswith(covers) for name in verdict["covers"])


def test_a_mistake_of_one_kind_of_step_is_found(model, tmp_path, capsys):
    """Prefill is right: only the decoded tokens differ."""
    folder = tmp_path / "include"
    for part in ("kernels", "include/fdpp-runtime"):
        shutil.copytree(HEADERS / part, folder / part)
    path = folder / "kernels" / "cpu" / "decode_attention.h"
    source = path.read_text()
    text = "visible_slots(batch, s, last - 1, options).end;"
    assert source.count(text) == 1
    path.write_text(source.replace(text, text.replace(";", " - 1;")))
    engine = compiled(model, tmp_path / "engine", environment={"FDPP_INCLUDE_DIR": str(folder)})
    assert run(capsys, model, engine, "--prefill", "7")[0] == 0
    code, result = run(capsys, model, engine, "--prefill", "5")
    assert code == 1
    assert result["verdict"]["node"] == node(0, "attn/attention")
    assert "fdpp.decode_attention" in result["verdict"]["blame"]


def with_phi(engine: Path, phi: float | None) -> None:
    """Gives every head of an engine this phi."""
    path = engine / "phi.json"
    text = json.loads(path.read_text())
    text["phi"] = [[phi] * text["query_heads"]] * text["layers"]
    path.write_text(json.dumps(text))
    manifest = json.loads((engine / "engine.json").read_text())
    next(f for f in manifest["files"] if f["name"] == "phi.json")["bytes"] = path.stat().st_size
    (engine / "engine.json").write_text(json.dumps(manifest))


# Nothing fails, everything fails, nothing is asynchronous.
@pytest.mark.parametrize("phi", [0.0, 0.5, 500.0, None])
def test_an_asynchronous_softmax_agrees(async_engine, model, tmp_path, capsys, phi):
    engine = shutil.copytree(async_engine, tmp_path / "a folder with spaces")
    with_phi(engine, phi)
    code, result = run(capsys, model, engine, "--prefill", "3")
    assert code == 0 and result["verdict"] == {"agree": True}


def test_the_interpreter_is_given_the_engines_phi(async_engine, model, tmp_path):
    engine = shutil.copytree(async_engine, tmp_path / "engine")
    compiler = Compiler(model, Engine.open(engine), [1, 2, 3], 1, True, str(BIN), tmp_path)
    assert any("async-softmax=on" in one for one in compiler.passes_to("fused"))
    (engine / "phi.json").write_text("[]")
    with pytest.raises(ToolFailed, match="is no phi.json"):
        list(compiler.phases(None))


@pytest.fixture(scope="module")
def async_engine(model) -> Path:
    return compiled(model, model.parent.parent / "async", "--async-softmax=on")


def test_a_mistake_of_the_asynchronous_softmax_is_found(model, tmp_path, capsys):
    """Rows that fail their test count as valid."""
    folder = tmp_path / "include"
    for part in ("kernels", "include/fdpp-runtime"):
        shutil.copytree(HEADERS / part, folder / part)
    path = folder / "kernels" / "cpu" / "attention.h"
    source = path.read_text()
    text = "return denominator >= least_sum && denominator < -minus_infinity && finite;"
    assert source.count(text) == 1
    path.write_text(source.replace(text, "return true;"))
    engine = compiled(model, tmp_path / "engine", "--async-softmax=on",
                      environment={"FDPP_INCLUDE_DIR": str(folder)})
    assert run(capsys, model, engine, "--prefill", "5")[0] == 0
    with_phi(engine, 500.0)
    code, result = run(capsys, model, engine, "--prefill", "5")
    assert code == 1
    assert result["verdict"]["node"] == node(0, "attn/attention")
    assert result["verdict"]["stage"] == "engine"


def test_lines_and_verdict(model, engine, capsys):
    arguments = [str(model), str(engine), "--tokens", TOKENS, "--bin", str(BIN)]
    assert compare(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "value", "in", "max", "abs", "relative", "cosine"]
    row = next(line.split() for line in lines if node(1, "attn/q_rope") in line)
    assert row[0] == "1" and row[2] == "engine" and float(row[3]) < 1e-4
    assert lines[-1].startswith("agree: ")
    assert compare([*arguments, "--quiet", "--inject-fault", "fdpp-roll-layers=bank"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("first difference: layer 1, model/layers.1/mlp/down_proj (MatMul): "
                               "rolled differs from raised by ")
    assert lines[1] == "to blame: pass fdpp-roll-layers, on the way to phase rolled"


def test_without_onnxruntime(model, engine, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    arguments = [str(model), str(engine), "--tokens", TOKENS, "--bin", str(BIN)]
    assert compare(arguments) == 1
    assert "onnxruntime is not installed" in capsys.readouterr().err
    code, result = run(capsys, model, engine, "--no-onnxruntime")
    assert code == 0
    stages = result["values"][-1]["stages"]
    assert (stages[0]["stage"], stages[0]["against"]) == ("recognised", "import")
    assert stages[-1]["stage"] == "engine"


ERRORS = [
    (["--tokens", "1,x"], "ids with commas"),
    (["--tokens", "1,97"], "token 97 is not in the vocabulary of 97"),
    (["--tokens", "1,2", "--prefill", "3"], "give 1 to 2"),
    (["--tokens", "1", "--bin", "/nowhere"], "not found"),
    ([], "--tokens"),
]


@pytest.mark.parametrize("options,text", ERRORS, ids=[text for _, text in ERRORS])
def test_wrong_options(model, engine, capsys, options, text):
    assert compare([str(model), str(engine), *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fdpp-compare: ") and error.count("\n") == 1
    assert text in error


def test_wrong_files(model, engine, tmp_path, capsys):
    options = ["--tokens", "1", "--bin", str(BIN)]
    assert compare([str(model), str(tmp_path), *options]) == 1
    assert "no engine" in capsys.readouterr().err
    assert compare([str(tmp_path / "no.onnx"), str(engine), *options]) == 1
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    assert compare([str(tmp_path / "bad.onnx"), str(engine), *options]) == 1
    assert "no ONNX model" in capsys.readouterr().err
    untapped = tmp_path / "untapped"
    done = compile_model(model, "-o", untapped, "--dtype=f32")
    assert done.returncode == 0, done.stderr
    assert compare([str(model), str(untapped), *options]) == 1
    assert "compile the model with --taps" in capsys.readouterr().err
    done = subprocess.run([BIN / "fdpp-run", untapped, "--tokens", "1", "--taps", "-"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "compile it with --taps" in done.stderr


def test_help_fits_a_page(capsys):
    with pytest.raises(SystemExit) as end:
        compare(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0 and "Examples:" in text and "inject" not in text
    assert len(text.splitlines()) <= 60


# What the pieces do by themselves.


def test_layouts_become_rows():
    data = np.arange(24.0)
    by_heads, by_tokens = data.reshape(1, 2, 3, 4), data.reshape(1, 3, 2, 4)
    assert token_axes(by_heads.shape, 3) == [2] and token_axes(by_tokens.shape, 3) == [1]
    assert (token_rows(by_heads, 2) == data.reshape(2, 3, 4).transpose(1, 0, 2).reshape(3, 8)).all()
    assert (token_rows(by_tokens, 1) == data.reshape(3, 8)).all()
    assert token_axes((1, 3, 8), 3) == [1] and token_axes((3, 8), 3) == [0]
    assert token_axes((1, 2, 2, 6), 2) == [1, 2]
    assert token_axes((2, 3, 4), 3) == [] and token_axes((24,), 24) == []
    assert (token_rows(data.reshape(1, 3, 8), 1) == data.reshape(3, 8)).all()


@pytest.mark.parametrize("axis", [1, 2])
def test_another_step_says_which_dimension_counts_tokens(tmp_path, axis):
    """Two heads and two tokens, then two heads and one."""
    rows = np.arange(24.0).reshape(3, 8)
    layout = [rows[:2].reshape(1, 2, 2, 4), rows[2:].reshape(1, 1, 2, 4)]
    if axis == 2:
        layout = [part.transpose(0, 2, 1, 3) for part in layout]
    axes = {}
    first, second = Spool(tmp_path / "1", axes), Spool(tmp_path / "2", axes)
    for step, (part, tokens) in enumerate(zip(layout, (2, 1))):
        first.add_value({"node": "n", "op": "x", "step": step}, part, tokens)
    assert (first.load("n") == rows).all() and axes == {"n": axis}
    # As onnxruntime has it, in one step.
    second.add_value({"node": "n", "op": "x", "step": 0}, layout[0], 2)
    assert (second.load("n") == rows[:2]).all()


def test_differences():
    a = np.array([[1.0, -4.0]])
    assert Difference.of(a, a) == Difference(0.0, 0.0, 1.0)
    difference = Difference.of(a, np.array([[1.0, -3.0]]))
    assert (difference.max_abs, difference.relative) == (1.0, 0.25)
    assert difference.cosine == pytest.approx(13 / np.sqrt(17 * 10))
    assert Difference.of(a, np.array([[1.0, np.nan]])).relative == np.inf
    assert Difference.of(np.zeros((1, 2)), np.array([[0.0, 1.0]])).relative == np.inf
    masked = np.array([[0.0, -np.inf]])
    assert Difference.of(masked, masked).max_abs == 0


def test_a_spool_joins_steps_and_takes_the_last_operation(tmp_path):
    spool = Spool(tmp_path / "s")
    row = np.ones((1, 2))
    spool.add({"node": "n", "op": "add", "step": 0}, row)
    spool.add({"node": "n", "op": "norm", "step": 0}, 2 * row)
    spool.add({"node": "n", "op": "norm", "step": 0}, 9 * row)
    spool.add({"node": "n", "op": "norm", "step": 1}, 3 * row)
    assert spool.load("n").tolist() == [[2, 2], [3, 3]]
    assert list(spool) == ["n"] and "m" not in spool


def test_pipelines_are_split():
    passes = split_passes("builtin.module(a{x=1,2 y=f(3)},func.func(b,c{d=1}),e)")
    assert passes == ["a{x=1,2 y=f(3)}", "func.func(b)", "func.func(c{d=1})", "e"]
    assert [pass_name(one) for one in passes] == ["a", "b", "c", "e"]
