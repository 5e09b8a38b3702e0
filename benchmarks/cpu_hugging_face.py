# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Decode beside Hugging Face: the same geometry and threads, runs in turn.

usage: cpu_hugging_face.py [--model smollm2-135m] [--contexts 128,1024]
       [--batches 1,8] [--dtype bf16] [--their-dtypes bf16,f32] [--runs 5]

Both decode from a cache of random keys and values with random weights, which
change no time: LlamaForCausalLM of transformers as `generate` drives it
(attention by torch's scaled_dot_product_attention, greedy), and an engine of
the same geometry. Prints a Markdown table of milliseconds a step. Needs torch
and transformers; build beforehand:

  ninja -C build/release fdpp-compile fdpp-bench
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python/src"))

from fdpp.geometry import TEMPLATES  # noqa: E402

TORCH = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def command(words):
    """Its standard output; its errors end this program."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cpu_hugging_face: {done.stderr.strip()}")
    return done.stdout


def engine_of(options):
    onnx = options.work / options.model
    if not (onnx / "model.onnx").exists():
        command([options.export, options.model, "-o", onnx, "--no-weights"])
    engine = options.work / f"{options.model}-{options.dtype}.fdpp"
    command([options.bin / "fdpp-compile", onnx / "model.onnx", "-o", engine,
             f"--dtype={options.dtype}"])
    return engine


def ours(options, engine, context, batch):
    """Milliseconds a step."""
    text = command([options.bin / "fdpp-bench", engine, "-p", 0, "-n", options.steps, "-r", 1,
                    "-d", context, "-s", batch, "-t", options.threads, "--random-cache",
                    "--no-ceiling", "-o", "jsonl"])
    return json.loads(text)["ms_per_step"]


def random_cache(model, config, context, batch):
    cache = transformers.DynamicCache(config=config)
    head = config.hidden_size // config.num_attention_heads
    shape = (batch, config.num_key_value_heads, context, head)
    for layer in range(config.num_hidden_layers):
        cache.update(*(torch.randn(shape).to(model.dtype) for _ in range(2)), layer)
    return cache


@torch.inference_mode()
def theirs(options, model, context, batch):
    """The same, with a step to warm up as fdpp-bench has."""
    cache = random_cache(model, model.config, context, batch)
    tokens = torch.zeros((batch, 1), dtype=torch.long)
    begin = 0.0
    for step in range(options.steps + 1):
        if step == 1:
            begin = time.perf_counter()
        out = model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        tokens = out.logits[:, -1].argmax(-1, keepdim=True)
    return 1000 * (time.perf_counter() - begin) / options.steps


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def measure(options, engine, models, context, batch):
    times = {"fdpp": []} | {dtype: [] for dtype in models}
    for _ in range(options.runs):
        times["fdpp"].append(ours(options, engine, context, batch))
        for dtype, model in models.items():
            times[dtype].append(theirs(options, model, context, batch))
    best = min(models, key=lambda dtype: statistics.median(times[dtype]))
    ratios = [a / b for a, b in zip(times[best], times["fdpp"])]
    return (f"| {context} | {batch} | {spread(times['fdpp'])} | "
            + " | ".join(spread(times[dtype]) for dtype in models)
            + f" | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")


def numbers(text):
    return [int(word) for word in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", choices=TEMPLATES, default="smollm2-135m")
    add("--contexts", type=numbers, default=[128, 1024])
    add("--batches", type=numbers, default=[1, 8])
    add("--dtype", choices=TORCH, default="bf16", help="of the engine")
    add("--their-dtypes", type=lambda text: text.split(","), default=["bf16", "f32"],
        help="of Hugging Face's model; the faster one is compared")
    add("--runs", type=int, default=5)
    add("--steps", type=int, default=8)
    add("--threads", type=int, default=2)
    add("--bin", type=Path, default=ROOT / "build/release/bin")
    add("--export", type=Path, default=ROOT / ".venv/bin/fdpp-export")
    add("--work", type=Path, default=ROOT / "build/hugging-face")
    return parser.parse_args()


def main():
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    engine = engine_of(options)
    config = transformers.LlamaConfig(**TEMPLATES[options.model])
    models = {dtype: transformers.LlamaForCausalLM(config).to(TORCH[dtype]).eval()
              for dtype in options.their_dtypes}
    print(f"{options.model}, {platform.machine()}, {options.threads} threads, "
          f"{options.runs} runs in turn, torch {torch.__version__}, transformers "
          f"{transformers.__version__}, {time.strftime('%Y-%m-%d', time.gmtime())}; ms a step\n")
    heads = [f"Hugging Face {dtype}" for dtype in models]
    print("| context | batch | fdpp " + options.dtype + " | " + " | ".join(heads)
          + " | the faster / fdpp |\n|" + "---|" * (4 + len(heads)))
    for context in options.contexts:
        for batch in options.batches:
            print(measure(options, engine, models, context, batch), flush=True)


if __name__ == "__main__":
    main()
