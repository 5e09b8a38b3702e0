# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Threads where there are fewer processors than threads: one core, neighbours,
a container's quota. Times are the best of several runs in turn."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))
import needs  # noqa: E402
import tiny_models  # noqa: E402
from fdpp.export import main as export  # noqa: E402

pytestmark = [needs.tools("fdpp-compile", "fdpp-run"), pytest.mark.alone]

RUN = needs.BIN / "fdpp-run"
CPUS = sorted(os.sched_getaffinity(0))
TOKENS = 24


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Path:
    """SmolLM2's layers, fewer of them, with random weights: a step of some
    milliseconds and, as in every Llama, a dozen barriers a layer."""
    base = tmp_path_factory.mktemp("threads")
    config = tiny_models.tiny_config(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=10,
        num_attention_heads=9, num_key_value_heads=3, vocab_size=8192)
    (base / "config.json").write_text(json.dumps(config))
    assert export([str(base / "config.json"), "-o", str(base / "onnx"), "--no-weights"]) == 0
    subprocess.run([needs.BIN / "fdpp-compile", base / "onnx" / "model.onnx",
                    "-o", base / "engine"], check=True, capture_output=True)
    return base / "engine"


def start(engine: Path, threads: int, cpus: list, all_threads: bool = False):
    return subprocess.Popen(
        [RUN, engine, "--tokens", "1,2,3", "-n", str(TOKENS), "-t", str(threads), "--json",
         "--stats"],
        env=os.environ | ({"FDPP_ALL_THREADS": "1"} if all_threads else {}),
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process) -> tuple[float, list]:
    """Milliseconds a decode step, and the tokens."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    result = json.loads(out)
    stats = result["stats"]
    assert stats["decode_steps"] == TOKENS - 1
    return stats["decode_ms"] / stats["decode_steps"], result["results"][0]["tokens"]


def best(engine, *settings) -> list[float]:
    """The least time of each (threads, cpus, all_threads), and equal tokens."""
    times = [float("inf")] * len(settings)
    tokens = set()
    for _ in range(5):
        for i, setting in enumerate(settings):
            ms, generated = finish(start(engine, *setting))
            times[i] = min(times[i], ms)
            tokens.add(tuple(generated))
    assert len(tokens) == 1
    return times


def test_four_threads_on_one_core(engine):
    one, four = best(engine, (1, CPUS[:1]), (4, CPUS[:1]))
    print(f"one core: 1 thread {one:.2f} ms, 4 threads {four:.2f} ms, {four / one:.2f} times")
    assert four <= 1.3 * one


def test_all_four_threads_on_one_core(engine):
    """Where the team does not know that it has one core: barriers must sleep.
    Before they did, this took more than three times as long."""
    one, four = best(engine, (1, CPUS[:1]), (4, CPUS[:1], True))
    print(f"one core: 1 thread {one:.2f} ms, 4 at work {four:.2f} ms, {four / one:.2f} times")
    assert four <= 2.2 * one


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two processors")
def test_two_processes_share_two_cores(engine):
    """Each has half of what it has alone, give or take the switches."""
    alone, together = float("inf"), float("inf")
    for _ in range(5):
        alone = min(alone, finish(start(engine, 2, CPUS[:2]))[0])
        both = [start(engine, 2, CPUS[:2]) for _ in range(2)]
        together = min(together, max(finish(process)[0] for process in both))
    print(f"2 threads: alone {alone:.2f} ms, beside another {together:.2f} ms")
    assert together <= 3 * alone


def make_cgroup() -> tuple[Path, dict] | None:
    """A new cgroup with a quota of one CPU, and the file that takes processes."""
    name = f"fdpp-test-{os.getpid()}"
    kinds = [("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"}),
             (".", {"cpu.max": "100000 100000"})]
    for place, limits in kinds:
        folder = Path("/sys/fs/cgroup") / place / name
        try:
            folder.mkdir()
            for file, text in limits.items():
                (folder / file).write_text(text)
            return folder
        except OSError:
            if folder.is_dir():
                folder.rmdir()
    return None


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two processors")
def test_a_quota_of_one_cpu():
    folder = make_cgroup()
    if folder is None:
        pytest.skip("cgroups cannot be made here")
    devices = [RUN, "--list-devices", "--json"]
    join = lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
    try:
        inside = subprocess.run(devices, check=True, capture_output=True, preexec_fn=join)
    finally:
        folder.rmdir()
    outside = subprocess.run(devices, check=True, capture_output=True)
    assert json.loads(inside.stdout)["default_threads"] == 1
    assert json.loads(outside.stdout)["default_threads"] >= 1
    assert json.loads(inside.stdout)["cores"] == json.loads(outside.stdout)["cores"]
