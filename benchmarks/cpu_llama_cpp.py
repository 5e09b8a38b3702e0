# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares CPU engines with llama.cpp: same weights, same threads, runs in turn.

usage: cpu_llama_cpp.py GGUF --llama-bench PATH [--dtype bf16] [--runs 5]

GGUF, of any type that gguf-py dequantises, is both exported and compiled to an
engine and rewritten as a GGUF whose matrices have the engine's type. Then
fdpp-bench, llama-bench with -fa 0 and llama-bench with -fa 1 run in turn. What
is printed is a Markdown table of medians and ranges; llama.cpp's column is the
better -fa of each row. What the machine allows is measured beside them: the
read ceiling by fdpp-bench, the multiply peak by bench_kernels. Build beforehand:

  ninja -C build/release fdpp-compile fdpp-bench bench_kernels
  cmake -DGGML_NATIVE=ON ... && ninja llama-bench    # in llama.cpp
"""

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType as Type
from gguf.constants import LlamaFileType

ROOT = Path(__file__).resolve().parents[1]
FILE_TYPES = {"bf16": LlamaFileType.MOSTLY_BF16, "f16": LlamaFileType.MOSTLY_F16}


def command(arguments):
    """Its standard output; its errors end this program."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cpu_llama_cpp: {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def rewrite_gguf(source, target, dtype):
    """The same model with matrices of `dtype` and vectors in f32."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        own = ("GGUF.", "general.architecture", "general.file_type")
        if name.startswith(own) or name == "general.quantization_version":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, inner)
    writer.add_file_type(FILE_TYPES[dtype])
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        values = np.ascontiguousarray(values, dtype=np.float32)
        kind = Type[dtype.upper()] if values.ndim > 1 else Type.F32
        packed = gguf.quants.quantize(values, kind)
        writer.add_tensor(tensor.name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prepare(options, dtype):
    """The engine and the GGUF of `dtype`, made if they are not there."""
    folder = options.work
    folder.mkdir(parents=True, exist_ok=True)
    onnx = folder / "onnx"
    if not (onnx / "model.onnx").exists():
        command([options.export, options.gguf, "-o", onnx])
    engine = folder / f"{dtype}.fdpp"
    command([options.bin / "fdpp-compile", onnx / "model.onnx", "-o", engine,
             f"--dtype={dtype}"])
    other = folder / f"{dtype}.gguf"
    if not other.exists():
        rewrite_gguf(options.gguf, other, dtype)
    return engine, other


class Rates:
    """Tokens a second of each run, by test and program."""

    def __init__(self):
        self.samples = {}
        self.ceilings = []  # bytes a second, before and after each decode row
        self.shares = []  # of the higher of both

    def add(self, program, rows):
        for row in rows:
            test = f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}"
            rate = statistics.median(row["samples_ts"])
            self.samples.setdefault((test, program), []).append(rate)
            if program == "fdpp" and row["n_gen"]:
                self.ceilings += [row["ceiling_before"], row["ceiling_after"]]
                self.shares.append(row["ceiling_share"])

    def median(self, test, program):
        return statistics.median(self.samples[test, program])

    def best_llama(self, test):
        return max(("-fa 0", "-fa 1"), key=lambda fa: self.median(test, fa))


def one_round(options, engine, other, rates):
    common = ["-p", 512, "-n", 128, "-t", options.threads, "-o", "json", "-r", 1]
    ours = command([options.bin / "fdpp-bench", engine, *common])
    rates.add("fdpp", json.loads(ours))
    for fa in (0, 1):
        theirs = command([options.llama_bench, "-m", other, "-fa", fa, *common])
        rates.add(f"-fa {fa}", json.loads(theirs))


def multiply_peak(options, dtype):
    """FLOP a second of the unit that the linears of `dtype` use."""
    text = command([options.bin / "bench_kernels", "-t", options.threads, "-m"])
    unit = "bf16 unit" if dtype == "bf16" else "f32 FMA peak"
    return float(re.search(unit + r" ([\d.]+) GF/s", text)[1]) * 1e9


def prefill_flops(path, tokens):
    """2 T (the layers' linears) + 2 (one row of logits) + causal attention."""
    reader = gguf.GGUFReader(path)
    name = reader.fields["general.architecture"].contents()
    get = lambda key: reader.fields[f"{name}.{key}"].contents()
    matrices = {t.name: int(np.prod(t.shape)) for t in reader.tensors
                if len(t.shape) == 2}
    layers = sum(size for key, size in matrices.items() if key.startswith("blk."))
    head = matrices.get("output.weight", matrices["token_embd.weight"])
    # The heads' dimensions together make up the embedding's.
    attention = 2 * get("block_count") * get("embedding_length") * tokens**2
    return 2 * tokens * layers + 2 * head + attention


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def table(dtype, rates, peak, flops):
    for test in ("pp512", "tg128"):
        fa = rates.best_llama(test)
        ratio = rates.median(test, "fdpp") / rates.median(test, fa)
        if test == "pp512":
            share = rates.median(test, "fdpp") / 512 * flops / peak
            limit = f"{peak / 1e9:.0f} GFLOP/s"
        else:
            # The ceiling moves; a run is held against what it was just then.
            share = statistics.median(rates.shares)
            least, most = (f(rates.ceilings) / 1e9 for f in (min, max))
            limit = f"{least:.1f} to {most:.1f} GB/s"
        yield (f"| {dtype} | {test} | {spread(rates.samples[test, 'fdpp'])} | "
               f"{spread(rates.samples[test, fa])} | {fa} | {ratio:.2f} | "
               f"{share:.2f} of {limit} |")


def measure(options, dtype):
    engine, other = prepare(options, dtype)
    rates, peak = Rates(), multiply_peak(options, dtype)
    for _ in range(options.runs):
        one_round(options, engine, other, rates)
    peak = max(peak, multiply_peak(options, dtype))
    return table(dtype, rates, peak, prefill_flops(other, 512))


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--llama-bench", type=Path, required=True)
    parser.add_argument("--dtype", action="append", choices=FILE_TYPES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--export", type=Path, default=ROOT / ".venv/bin/fdpp-export")
    parser.add_argument("--work", type=Path, default=ROOT / "build/llama-cpp",
                        help="where engines and GGUFs are made")
    options = parser.parse_args()
    dtypes = options.dtype or list(FILE_TYPES)
    for dtype in dtypes:
        prepare(options, dtype)
    rows = [row for dtype in dtypes for row in measure(options, dtype)]
    print(f"{processor()}, {options.threads} threads, {options.runs} runs each in "
          f"turn, {time.strftime('%Y-%m-%d', time.gmtime())}; {options.gguf.stem}.\n")
    print("| dtype | test | fdpp, tokens/s (median, range) | llama.cpp | its best | "
          "ratio | fdpp's share |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
