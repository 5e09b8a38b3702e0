# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-compile when something goes wrong: full disks, kills, defects."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import needs
import pytest
from compiler import COMPILE, RUN, check_engine, compile_model, fails, leftovers

pytestmark = needs.tools("fdpp-compile", "fdpp-opt", "fdpp-run")

# Kills of compiles that run the real clang++ (50 in a whole run).
KILLS = int(os.environ.get("FDPP_KILLS", "3"))


@pytest.mark.parametrize("limit, text", [(20000, "clang++"), (500000, "LICENSE.big")])
def test_full_disk(model, quick, tmp_path, limit, text):
    """A limit on file sizes stands for the disk: first model.so hits it, then a
    file that fdpp-compile writes itself."""
    import resource

    def limits():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    shutil.copytree(model.parent, tmp_path / "model")
    (tmp_path / "model" / "LICENSE.big").write_bytes(bytes(1 << 20))
    result = compile_model(
        tmp_path / "model" / "model.mlir", "-o", tmp_path / "out",
        environment=quick, limits=limits,
    )
    fails(result, text)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


SMALL_DISK = """
mount -t tmpfs -o size=$1 none "$2" || exit 99
disk=$2 listing=$3
shift 3
"$@"
code=$?
ls -A "$disk" >"$listing"
exit $code
"""


@pytest.fixture
def small_disk(tmp_path):
    """Runs commands beside a file system of a few pages, which only they see."""
    disk, listing = tmp_path / "disk", tmp_path / "listing"
    disk.mkdir()
    spaces = ["unshare", "--mount", "--map-root-user"]
    probe = subprocess.run(
        [*spaces, "mount", "-t", "tmpfs", "none", disk], capture_output=True
    )
    if probe.returncode != 0:
        pytest.skip(f"cannot mount here: {probe.stderr.decode()}")

    def run(pages, *command, environment=None):
        result = subprocess.run(
            [*spaces, "sh", "-c", SMALL_DISK, "sh", str(4096 * pages), disk, listing,
             *map(str, command)],
            env=os.environ | {"TMPDIR": str(disk)} | (environment or {}),
            capture_output=True, text=True,
        )
        assert result.returncode != 99, result.stderr
        return result, listing.read_text().split()

    run.path = disk
    return run


def test_a_disk_that_is_full_at_any_moment(model, quick, small_disk):
    """With every size of the disk the engine is whole, or not there at all."""
    said = set()
    for pages in range(4, 400, 2):
        result, files = small_disk(
            pages, COMPILE, model, "-o", small_disk.path / "out", environment=quick
        )
        if result.returncode == 0:
            assert files == ["out"]
            break
        fails(result, "No space left")
        assert files == []
        said.add(re.sub(r"[.]fdpp-\w+", "", result.stderr))
    assert result.returncode == 0
    assert len(said) >= 3, said  # model.so, and files that it writes itself


def test_a_disk_too_small_for_clang(model, small_disk):
    result, files = small_disk(8, COMPILE, model, "-o", small_disk.path / "out", "--no-cache")
    fails(result, "No space left")
    assert files == []


def test_a_disk_too_small_for_logits(tiny_engine, small_disk):
    run = (RUN, tiny_engine, "--tokens", ",".join(["1"] * 64), "-n", "0",
           "--logits", small_disk.path / "logits.npy")
    result, _ = small_disk(2, *run)
    assert result.returncode == 1
    assert result.stderr == (
        f"fdpp-run: {small_disk.path}/logits.npy: cannot write the logits "
        "(No space left on device)\n"
    )
    assert small_disk(20, *run)[0].returncode == 0


def test_emitted_source_that_does_not_compile(model, tmp_path):
    program = tmp_path / "clang++"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "clang version 22"; exit;; esac\n'
        'echo "model.cpp:1:1: error: what is this" >&2; exit 1\n'
    )
    program.chmod(0o755)
    out = tmp_path / "out"
    result = compile_model(model, "-o", out, f"--cxx={program}")
    fails(result, "refuses the emitted source: what is this", code=70)
    kept = Path(re.search(r"kept in (\S+)", result.stderr)[1])
    assert "fdpp_model_query" in kept.read_text()
    kept.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clang++"]


def test_a_defect_leaves_a_reproducer(exported, tmp_path):
    """An operation of the graph comes back before the phase 'fused'."""
    result = compile_model(
        exported, "-o", tmp_path / "out", "--inject-fault=fused",
        environment={"TMPDIR": str(tmp_path)},
    )
    fails(result, "internal error on the way to phase 'fused'", code=70)
    assert "'onnx.Identity' has no place in phase 'fused'" in result.stderr
    reproducer = Path(re.search(r"reproducer: (\S+)", result.stderr)[1])
    assert [path.name for path in tmp_path.iterdir()] == [reproducer.name]
    again = subprocess.run(
        [needs.BIN / "fdpp-opt", "--run-reproducer", reproducer],
        capture_output=True, text=True,
    )
    assert again.returncode == 1
    assert "'onnx.Identity' has no place in phase 'fused'" in again.stderr


def test_interrupt_leaves_nothing(model, tmp_path):
    """At the first moment that there is something to leave."""
    program = tmp_path / "clang++"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "clang version 22"; exit;; esac\n'
        "exec sleep 30\n"
    )
    program.chmod(0o755)
    for _ in range(5):
        process = subprocess.Popen(
            [COMPILE, model, "-o", tmp_path / "out", f"--cxx={program}"],
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )
        while not leftovers(tmp_path):
            pass
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "interrupted" in stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["clang++"]


@pytest.mark.parametrize("number, name", [
    (signal.SIGSEGV, "segmentation fault"), (signal.SIGBUS, "bus error"),
    (signal.SIGFPE, "arithmetic fault"), (signal.SIGILL, "illegal instruction"),
    (signal.SIGABRT, "aborted")])
def test_a_crash_outside_of_the_passes(model, tmp_path, number, name):
    program = tmp_path / "clang++"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "clang version 22"; exit;; esac\n'
        f"touch {tmp_path}/started; exec sleep 30\n"
    )
    program.chmod(0o755)
    process = subprocess.Popen(
        [COMPILE, model, "-o", tmp_path / "out", f"--cxx={program}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(timeout=20) == 70
    os.killpg(process.pid, signal.SIGKILL)  # the compiler it had started
    assert process.stderr.read() == (
        f"fdpp-compile: internal error: {name} while compiling the kernels; "
        "report it with the command and the graph\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clang++", "started"]


def killed_at_random(command, out, environment, times):
    """Kills compiles, with or without the clang++ they started; the place holds
    the old engine, none, or a whole one, every time."""
    start = time.monotonic()
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    whole = time.monotonic() - start
    seed = random.randrange(1 << 32)
    print("seed", seed)
    moments = random.Random(seed)
    for _ in range(times):
        if moments.random() < 0.2:
            shutil.rmtree(out, ignore_errors=True)
        process = subprocess.Popen(
            command, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0, 1.1 * whole))
        if moments.random() < 0.5:
            process.kill()
        else:
            kill_group(process)
        process.wait()
        if out.exists():
            check_engine(out)
            verified = subprocess.run([RUN, out, "--verify", "--plan"], capture_output=True)
            assert verified.returncode == 0, verified.stderr
        kill_group(process)
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    check_engine(out)
    assert leftovers(out.parent) == []


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def test_kill_at_any_moment(model, quick, tmp_path):
    """Most moments are those of fdpp-compile itself."""
    command = [COMPILE, model, "-o", tmp_path / "out", "--force"]
    killed_at_random(command, tmp_path / "out", os.environ | quick, 50)


def test_kill_while_clang_compiles(model, tmp_path):
    command = [COMPILE, model, "-o", tmp_path / "out", "--force", "--no-cache"]
    killed_at_random(command, tmp_path / "out", os.environ, KILLS)
