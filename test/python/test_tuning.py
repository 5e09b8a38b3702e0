# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-compile --tuning: a measured table decides, or says why it does not."""

import json
import re
from pathlib import Path

import needs
import pytest
from compiler import FUSED, check_engine, compile_model, fails

pytestmark = needs.tools("fdpp-compile")

# Made for the code of --arch=x86-64-v3: a processor that has it, and more.
V3 = (
    "avx avx2 bmi bmi2 cmov crc32 cx16 cx8 f16c fma fxsr lzcnt mmx movbe popcnt sahf "
    "sse sse2 sse3 sse4.1 sse4.2 ssse3 x87 xsave"
).split()


def write_table(path, weights, **device):
    """A table with three ranges for each shape of a report's linears."""
    shapes = {(*w["shape"], w["dtype"]) for w in weights if w["packed"]}
    ranges = [
        {"to": 1, "kind": "gemv", "tokens": 1, "prefetch": 3072},
        {"to": 5, "kind": "flat", "tokens": 5, "prefetch": 7168},
        {"kind": "large", "tokens": 4, "prefetch": 512},
    ]
    table = {
        "magic": "fdpp-tuning",
        "format": 1,
        "versions": {"product": "0.1.0", "kernels": 1},
        "device": {
            "cpu": "A CPU", "vendor": "AuthenticAMD", "family": 25, "model": 1,
            "kernels": "avx2", "features": V3, "threads": 2,
        } | device,
        "shapes": [
            {"n": n, "k": k, "dtype": dtype, "m1": 1, "m2": 5, "ranges": ranges}
            for n, k, dtype in sorted(shapes)
        ],
    }
    path.write_text(json.dumps(table))
    return path


def compile_with(table, tmp_path, *more):
    arguments = (FUSED, "-o", tmp_path / "out", f"--tuning={table}", *more)
    return compile_model(*arguments, "--arch=x86-64-v3")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuning") / "plain"
    result = compile_model(FUSED, "-o", folder, "--arch=x86-64-v3")
    assert result.returncode == 0, result.stderr
    assert check_engine(folder)["versions"]["tuning"] == 0
    assert "roofline" in (folder / "report.md").read_text()
    return json.loads((folder / "report.json").read_text())["weights"]


def test_the_table_decides(weights, tmp_path):
    table = write_table(tmp_path / "t.json", weights)
    result = compile_with(table, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    manifest = check_engine(tmp_path / "out")
    assert manifest["versions"]["tuning"] == 1
    assert manifest["tuning"]["name"] == "t.json"
    assert re.fullmatch("[0-9a-f]{64}", manifest["tuning"]["blake3"])
    assert "--tuning=t.json" in manifest["command"]
    source = (tmp_path / "out" / "source" / "model.cpp").read_text()
    # What @decode cannot reach is left out, so the last range may be any.
    assert set(re.findall(r"Variant<\d+, \d+>", source)) == {
        "Variant<1, 3072>", "Variant<5, 7168>", "Variant<4, 512>"}
    report = (tmp_path / "out" / "report.md").read_text()
    assert "flat<5, 7168> to M = 5, large<4, 512>; measured, table t.json" in report
    assert "roofline" not in report


def test_another_table_is_another_request(weights, tmp_path):
    table = write_table(tmp_path / "t.json", weights)
    assert compile_with(table, tmp_path).returncode == 0
    assert "up to date" in compile_with(table, tmp_path).stdout
    table.write_text(table.read_text().replace("7168", "6144"))
    assert "up to date" not in compile_with(table, tmp_path).stdout
    source = (tmp_path / "out" / "source" / "model.cpp").read_text()
    assert "Variant<5, 6144>" in source


@pytest.mark.parametrize("device, why", [
    ({"kernels": "avx512"}, "t.json is for avx512 kernels, not for avx2 ones"),
    ({"features": V3[:-1]}, "t.json is for A CPU, which has no xsave"),
])
def test_a_foreign_table_does_not(weights, tmp_path, device, why):
    table = write_table(tmp_path / "t.json", weights, **device)
    result = compile_with(table, tmp_path)
    assert result.returncode == 0
    assert result.stderr == (
        f"fdpp-compile: the tuning table is not used: {why}; the roofline decides\n")
    manifest = check_engine(tmp_path / "out")
    assert manifest["versions"]["tuning"] == 0
    assert "tuning" not in manifest
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"**missed** the tuning table is not used: {why}" in report
    assert f"; {why}" in report


def test_native_wants_the_very_processor(weights, tmp_path):
    table = write_table(tmp_path / "t.json", weights, vendor="NoSuchVendor")
    result = compile_model(
        FUSED, "-o", tmp_path / "out", f"--tuning={table}", "--arch=native")
    assert result.returncode == 0
    assert "t.json is for A CPU (NoSuchVendor-25-1), not for " in result.stderr


def test_a_shape_it_has_not(weights, tmp_path):
    table = write_table(tmp_path / "t.json", weights[:1] + weights[-1:])
    document = json.loads(table.read_text())
    document["shapes"] = [document["shapes"][0] | {"n": 7}]
    table.write_text(json.dumps(document))
    assert compile_with(table, tmp_path).returncode == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert "roofline" in report
    assert "; table t.json has no such shape" in report


SHIPPED = sorted(path.name for path in (needs.ROOT / "share" / "tuning").glob("*.json"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_tables_are_found_by_name(tmp_path, name):
    """And are whole. For --arch=native the one of the processor is taken unasked."""
    device = json.loads((needs.ROOT / "share" / "tuning" / name).read_text())["device"]
    arch = {"avx2": "x86-64-v3", "avx512": "x86-64-v4", "avx512bf16": "znver4"}[device["kernels"]]
    result = compile_model(
        FUSED, "-o", tmp_path / "out", f"--tuning={name}", f"--arch={arch}", "--emit=planned")
    assert (result.returncode, result.stderr) == (0, "")
    assert compile_model(FUSED, "-o", tmp_path / "out", "--tuning=none").returncode == 0
    assert "tuning" not in check_engine(tmp_path / "out")
    assert compile_model(FUSED, "-o", tmp_path / "out").returncode == 0
    family = "-".join(str(device[key]) for key in ("vendor", "family", "model"))
    used = check_engine(tmp_path / "out").get("tuning", {}).get("name")
    assert (used == name) == (family == this_processor())


def this_processor() -> str:
    text = Path("/proc/cpuinfo").read_text()
    fields = (r"vendor_id", r"cpu family", r"model")
    return "-".join(re.search(rf"^{f}\s*: (\S+)$", text, re.M)[1] for f in fields)


@pytest.mark.parametrize("content, why", [
    (None, "cannot read the tuning table"),
    ("{", "no tuning table: not json"),
    ("{}", "no tuning table: 'magic' is not \"fdpp-tuning\""),
    ('{"magic": "fdpp-tuning", "format": 7}', "a tuning table of a newer fdpp"),
    ('{"magic": "fdpp-tuning", "format": 1, "versions": {"kernels": 1}}',
     "damaged tuning table: 'device' must be an object"),
])
def test_no_table_at_all(tmp_path, content, why):
    if content is not None:
        (tmp_path / "t.json").write_text(content)
    fails(compile_with(tmp_path / "t.json", tmp_path), f"t.json: {why}")
    assert not (tmp_path / "out").exists()
