# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""benchmarks/flashdecoding_pp: its arithmetic, and a whole run on a tiny model."""

import csv
import json
import subprocess
import sys

import needs
import pytest

BENCHMARK = needs.ROOT / "benchmarks" / "flashdecoding_pp"
sys.path.insert(0, str(BENCHMARK))

import cells  # noqa: E402
import derive  # noqa: E402
from neighbours import Neighbours  # noqa: E402

built = needs.tools("fdpp-compile", "fdpp-bench", "fdpp-run", "fdpp-tune")


def run(*arguments):
    return subprocess.run(
        [sys.executable, BENCHMARK, "--bin", needs.BIN, *map(str, arguments)],
        capture_output=True, text=True)


def a_run(ms, empty=1.0, choosing=0.0, recomputed=0):
    return {"ms": ms, "empty_ms": empty, "empty_sample_ms": choosing, "phi_rows": 100,
            "recomputed": recomputed}


def a_result(layers, *rounds):
    return {"layers": layers, "model_layers": 10, "rounds": list(rounds),
            "runs": {key: "hash" for key in rounds[0]}}


def test_a_whole_model_from_two_counts_of_layers():
    # 5 ms beside the layers, of which each takes 2 ms; then all is twice as slow.
    result = a_result([1, 3], {"base/1": a_run(7), "base/3": a_run(11)},
                      {"base/1": a_run(14), "base/3": a_run(22)})
    assert derive.rounds_of(result, "base") == [25, 50]
    assert derive.rounds_of(result, "async") == []


def test_neither_attention_nor_choosing_is_padded():
    """Linears take 6 times as long with 64 rows; tokens are chosen in 3 and 1 ms."""
    padding = {"base/10": a_run(8, empty=8, choosing=1),
               "base/10@64": a_run(45, empty=45, choosing=3)}
    cell = {"base/10": a_run(20, empty=9, choosing=1),
            "async/10": a_run(18, empty=10, recomputed=25)}
    model = derive.Model({(0, 1): a_result([10], padding), (1024, 1): a_result([10], cell)})
    row = model.row(cells.Cell("smollm2-135m", 1024, 1))
    # 8 ms of linears become 48.
    assert row["padded_own"].median == (20 - 8 + 48) / 20
    assert row["attention_ms"].median == 11
    assert row["async_over_exact_step"].median == 0.9
    assert row["async_over_exact_attention"].median == 8 / 11
    assert row["rows_recomputed"] == 0.25
    assert row["padded_library"] is None and row["always_gemv"] is None
    # 64 sequences have nothing to be padded.
    assert cells.Cell("m", 0, 64) not in list(cells.wanted(["m"], (128,), (1, 64), ["padding"]))


def test_ratios_are_of_runs_in_turn():
    rounds = [{"base/10": a_run(a), "gemv/10": a_run(b)} for a, b in ((1, 2), (9, 9), (2, 3))]
    row = derive.Model({(128, 8): a_result([10], *rounds)}).row(cells.Cell("m", 128, 8))
    assert row["always_gemv"] == derive.Figure(1.5, 1, 2)
    assert row["step_ms"] == derive.Figure(2, 1, 9)


def test_what_others_took_of_the_processor(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu 100 0 0 100 0 0 0 0 0 0\n")
    with Neighbours(stat) as others:
        stat.write_text("cpu 130 0 0 150 10 0 0 10 0 0\n")  # 1 s, 0.4 busy or stolen
    assert others.share == pytest.approx(0.39)
    with Neighbours(tmp_path / "none") as others:
        pass
    assert others.share == 0


def test_every_published_geometry_is_measured():
    assert set(cells.GEOMETRIES) - {"tiny"} == {
        "llama-2-7b", "llama-2-13b", "codellama-34b", "llama-3-8b", "llama-3.2-1b", "yi-6b",
        "yi-34b", "smollm2-135m"}
    assert (min(cells.CONTEXTS), max(cells.CONTEXTS)) == (128, 65536)
    assert (min(cells.BATCHES), max(cells.BATCHES)) == (1, 64)
    # 2 x 6.74e9 parameters, less the embedding's rows.
    assert cells.weight_bytes("llama-2-7b") == pytest.approx(2 * 6.607e9, rel=1e-3)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    needs.module("matplotlib")
    folder = tmp_path_factory.mktemp("ablation")
    result = run("--quick", "--work", folder, "--keep-engines")
    assert result.returncode == 0, result.stderr
    return folder, result


@built
def test_a_run_writes_every_file(done):
    folder, result = done
    results = folder / "results"
    report = json.loads((results / "report.json").read_text())
    assert (results / "report.md").read_text() in result.stdout
    assert (results / "report.png").read_bytes().startswith(b"\x89PNG")
    assert [(c["context"], c["batch"]) for c in report["cells"]] == [
        (128, 1), (128, 4), (512, 1), (512, 4)]
    for cell in report["cells"]:
        assert cell["state"] == "measured" and cell["rows_recomputed"] == 0
        figures = ["step_ms", "async_over_exact_step", "padded_own", "extrapolated"]
        if cell["context"] == 128:
            figures += ["always_gemv", "always_flat", "always_roofline"]
        for name in figures:
            assert cell[name]["least"] <= cell[name]["median"] <= cell[name]["most"], name
        library = cell["always_library"] or cell["absent"].get("library")
        assert library or cell["context"] != 128
    with open(results / "report.csv") as stream:
        assert [row["state"] for row in csv.DictReader(stream)] == ["measured"] * 4


@built
def test_engines_differ_in_one_thing(done):
    folder, _ = done
    text = {variant: next((folder / "tiny" / f"{variant}-6.fdpp" / "source").glob("*.cpp"))
            .read_text() for variant in ("base", "async", "gemv", "flat")}
    assert "Otherwise<Variant<1," in text["gemv"] and "UpTo<" not in text["gemv"]
    assert "Otherwise<Variant<1," not in text["flat"] and "UpTo<" not in text["flat"]
    assert "UpTo<" in text["base"] and "UpTo<" in text["async"]
    assert (folder / "tiny" / "async-6.fdpp" / "phi.json").exists()
    # One copy of the weights.
    weights = [(folder / "tiny" / f"{variant}-6.fdpp" / "weights.safetensors").stat().st_ino
               for variant in text]
    assert len(set(weights)) == 1


@built
def test_what_was_measured_is_not_measured_again(done):
    folder, first = done
    files = sorted((folder / "results" / "tiny").iterdir(), key=lambda f: f.name != "128x1.json")
    before = [file.read_text() for file in files]
    again = run("--quick", "--work", folder, "--keep-engines")
    assert again.returncode == 0, again.stderr
    assert [file.read_text() for file in files] == before
    # A round that was cut off is made up for, and nothing else.
    result = json.loads(before[0])
    result["rounds"].pop()
    files[0].write_text(json.dumps(result))
    part = run("--quick", "--work", folder, "--stage", "report")
    assert "Fewer than 2 rounds: 128x1 (1)." in part.stdout
    assert run("--quick", "--work", folder, "--keep-engines").returncode == 0
    assert len(json.loads(files[0].read_text())["rounds"]) == 2
    assert [file.read_text() for file in files[1:]] == before[1:]


@built
def test_what_does_not_fit_says_so(done, tmp_path):
    folder, _ = done
    result = run("--quick", "--work", folder, "--results", tmp_path, "--memory", 0.001,
                 "--keep-engines")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("does not fit: needed 0.0 GiB of 0.0") == 4
    report = json.loads((tmp_path / "report.json").read_text())
    assert all(cell["step_ms"] is None for cell in report["cells"])


@built
def test_what_was_not_run_says_so(tmp_path):
    result = run("--quick", "--work", tmp_path, "--stage", "report")
    assert result.returncode == 0, result.stderr
    assert "Not run (context x batch): 128x1, 128x4, 512x1, 512x4." in result.stdout


@pytest.mark.parametrize("arguments, why", [
    (["--models", "gpt-2"], "no geometry 'gpt-2'"),
    (["--quick", "--ablations", "luck"], "there is no luck"),
    (["--quick", "--bin", "/nowhere"], "/nowhere/fdpp-run: no such program"),
])
def test_mistakes_take_a_line(tmp_path, arguments, why):
    result = run("--work", tmp_path, *arguments)
    assert result.returncode == 1
    assert why in result.stderr and result.stderr.count("\n") == 1
