# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Time and memory that compiling and starting may take, on 2 cores."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "python"))
from smollm2 import smollm2_gguf  # noqa: E402

pytestmark = pytest.mark.alone
BIN = Path(os.environ.get("FDPP_BUILD_DIR", ROOT / "build" / "release")) / "bin"


def export(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "fdpp.export", *map(str, arguments)], check=True)


def descendants(root: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def anonymous_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it ended meanwhile
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))


def measured(*command: object) -> tuple[float, int]:
    """Seconds and peak anonymous bytes of the whole process tree."""
    start = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(anonymous_bytes(p) for p in descendants(process.pid)))
        time.sleep(0.02)
    assert process.returncode == 0
    return time.monotonic() - start, peak


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    export(smollm2_gguf(), "-o", folder / "onnx")
    return folder


def test_compile_takes_a_minute_and_a_gibibyte(smollm2):
    seconds, peak = measured(BIN / "fdpp-compile", smollm2 / "onnx" / "model.onnx",
                             "-o", smollm2 / "model.fdpp", "--no-cache")
    print(f"SmolLM2: {seconds:.1f} s, {peak / 2**20:.0f} MiB anonymous")
    assert seconds <= 60
    assert 0 < peak <= 2**30


def test_compare_takes_two_minutes_and_two_gibibytes(smollm2, tmp_path):
    engine = tmp_path / "taps.fdpp"
    model = smollm2 / "onnx" / "model.onnx"
    subprocess.run([BIN / "fdpp-compile", model, "-o", engine, "--dtype=f32", "--taps"],
                   check=True, capture_output=True)
    seconds, peak = measured(sys.executable, "-m", "fdpp.compare", model, engine,
                             "--tokens", "504,3575,282,4649,314", "--bin", BIN)
    print(f"SmolLM2: {seconds:.1f} s, {peak / 2**20:.0f} MiB anonymous")
    assert seconds <= 120
    assert 0 < peak <= 2**31


def test_start_to_first_token(smollm2):
    """With a warm cache: the best of five runs, process start included."""
    engine = smollm2 / "model.fdpp"
    seconds = []
    for _ in range(5):
        start = time.monotonic()
        subprocess.run([BIN / "fdpp-run", engine, "-p", "The capital of France is", "-n", "1"],
                       check=True, capture_output=True)
        seconds.append(time.monotonic() - start)
    print(f"first token after {min(seconds):.3f} s")
    assert min(seconds) < 0.3


def emitted(model: Path, phase: str) -> tuple[str, float]:
    start = time.monotonic()
    done = subprocess.run([BIN / "fdpp-compile", model, f"--emit={phase}"],
                          check=True, capture_output=True, text=True)
    return done.stdout, time.monotonic() - start


def test_size_does_not_grow_with_depth(tmp_path):
    models = {}
    for layers in (2, 32):
        export("llama-2-7b", "-o", tmp_path / str(layers), "--no-weights", "--layers", layers)
        models[layers] = tmp_path / str(layers) / "model.onnx"
    for phase in ("planned", "emittable", "source"):
        two, _ = emitted(models[2], phase)
        thirty_two, seconds = emitted(models[32], phase)
        print(f"{phase}: {len(thirty_two.splitlines())} lines in {seconds:.2f} s")
        assert len(two.splitlines()) == len(thirty_two.splitlines())
        if phase == "source":  # IR also lists where each layer's weights lie
            assert abs(len(thirty_two) / len(two) - 1) < 0.01
        assert seconds <= 10
