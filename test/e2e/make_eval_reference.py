# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes what Hugging Face says of a text, as a reference for fdpp-eval.

    python test/e2e/make_eval_reference.py MODEL --text F -o R.safetensors
        [-c 512] [--windows N] [--store none|f16|f32]

MODEL is a folder of Hugging Face's or a .gguf file, which is dequantised. The
model runs in float32 with eager attention. A text is cut as fdpp-eval cuts it,
the format is docs/evaluating.md's. Needs torch, transformers, tokenizers,
safetensors and fdpp (pip install ./python).

test/e2e/reference/eval.safetensors was written by

    python test/e2e/make_eval_reference.py SmolLM2-135M-Instruct.Q4_1.gguf \\
        --text test/e2e/eval.txt --store none -o test/e2e/reference/eval.safetensors
"""

import argparse
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers
from gguf import GGUFReader
from safetensors.numpy import save_file

from fdpp.gguf_tokenizer import build_tokenizer

STORED = {"none": None, "f16": np.float16, "f32": np.float32}


def load(source: Path):
    """The tokenizer and the model."""
    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    if source.suffix != ".gguf":
        tokenizer = tokenizers.Tokenizer.from_file(str(source / "tokenizer.json"))
        return tokenizer, transformers.AutoModelForCausalLM.from_pretrained(source, **options)
    files = build_tokenizer(GGUFReader(source))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(source.parent), gguf_file=source.name, **options)
    return tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode()), model


def cut(tokenizer, text: str, length: int) -> list[tuple[list[int], int]]:
    """Windows, and how many of the last tokens of each are scored."""
    front = tokenizer.encode("").ids
    tokens = tokenizer.encode(text, add_special_tokens=False).ids
    step = length - len(front)
    pieces = [tokens[at : at + step] for at in range(0, len(tokens), step)]
    windows = [(front + piece, len(piece) - (not front)) for piece in pieces]
    return [window for window in windows if window[1] > 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-c", type=int, default=512)
    parser.add_argument("--windows", type=int, default=None)
    parser.add_argument("--store", choices=STORED, default="f16")
    args = parser.parse_args()
    tokenizer, model = load(args.model)
    windows = cut(tokenizer, args.text.read_text(encoding="utf-8"), args.c)[: args.windows]
    nll, top, rows = [], [], []
    with torch.inference_mode():
        for tokens, scored in windows:
            logits = model.eval()(torch.tensor([tokens[:-1]])).logits[0, -scored:].double()
            log_probs = logits.log_softmax(-1)
            targets = torch.tensor(tokens[-scored:])
            nll.append(-log_probs.gather(1, targets[:, None])[:, 0].numpy())
            top.append(logits.argmax(-1).numpy())
            if STORED[args.store]:
                rows.append(log_probs.numpy().astype(STORED[args.store]))
    tensors = {
        "windows": np.array([(len(tokens), scored) for tokens, scored in windows], np.int32),
        "tokens": np.concatenate([tokens for tokens, _ in windows]).astype(np.int32),
        "nll": np.concatenate(nll).astype(np.float32),
        "top": np.concatenate(top).astype(np.int32),
    }
    if rows:
        tensors["log_probs"] = np.concatenate(rows)
    source = f"{args.model.name} f32, transformers {transformers.__version__}"
    metadata = {"format": "fdpp-eval-reference", "version": "1", "source": source}
    save_file(tensors, args.output, metadata)
    print(f"{args.output}: {len(tensors['nll'])} tokens in {len(windows)} windows,",
          f"perplexity {np.exp(tensors['nll'].astype(np.float64).mean()):.4f}")


if __name__ == "__main__":
    main()
