# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Seeds for the fuzzers, made from the inputs of the other tests.

    python test/fuzz/make_corpus.py OUT      # OUT/onnx, OUT/mlir, OUT/engine, ...

Small on purpose: a fuzzer spends its time on mutations. fdpp-compile is that
of FDPP_BUILD_DIR (default build/release)."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "test" / "python"), str(ROOT / "python" / "src")]

import onnx  # noqa: E402
from google.protobuf import text_format  # noqa: E402

import chat_templates  # noqa: E402
import test_gguf  # noqa: E402
import tiny_models  # noqa: E402
import tokenizer_families  # noqa: E402
from fdpp.chat import derive_chat_form  # noqa: E402
from fdpp.export import main as export  # noqa: E402
from compiler import COMPILE, FUSED  # noqa: E402

_MODELS = ("gqa", "biases", "llama3-rope", "window")
_PHASES = ("import", "recognised", "raised", "rolled", "fused", "planned", "emittable")


class Corpus:
    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, fuzzer: str, name: str, content: bytes | str) -> None:
        target = self.folder / fuzzer
        target.mkdir(parents=True, exist_ok=True)
        content = content.encode() if isinstance(content, str) else content
        (target / name).write_bytes(content)


def _compile(*arguments) -> str:
    done = subprocess.run([COMPILE, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"make_corpus.py: {done.stderr}")
    return done.stdout


def _write_small_model(name: str, folder: Path) -> dict:
    """One of the tiny models with one layer: a Hugging Face folder."""
    config, dtype, _ = tiny_models.MODELS[name]
    config = config | {"num_hidden_layers": 1}
    tiny_models.write_hf_folder(folder, config, dtype)
    return config


def _split_parts(path: Path) -> list[str]:
    """The cases of one lit test, without the lines for FileCheck."""
    text = "\n".join(line for line in path.read_text().splitlines()
                     if not line.lstrip().startswith(("//", "#")) or "-----" in line)
    parts = text.split("// -----") if path.suffix == ".mlir" else text.split("//---")
    return [part for part in parts if part.strip()]


def onnx_and_mlir(corpus: Corpus, scratch: Path) -> None:
    for name in _MODELS:
        _write_small_model(name, scratch / name)
        out = scratch / f"{name}.onnx"
        assert export([str(scratch / name), "-o", str(out), "--no-weights"]) == 0
        model = out / "model.onnx"
        corpus.add("onnx", f"{name}.onnx", model.read_bytes())
        text = text_format.MessageToString(onnx.load(model, load_external_data=False))
        corpus.add("onnx", f"{name}.txt", text)
        for phase in _PHASES if name == "biases" else ("import", "raised"):
            corpus.add("mlir", f"{name}-{phase}", _compile(model, f"--emit={phase}"))
    for path in sorted((ROOT / "test" / "Import" / "ONNX").glob("*.onnxtxt")):
        corpus.add("onnx", path.name, path.read_text())
    for path in sorted((ROOT / "test").rglob("*.mlir")):
        if path.is_relative_to(ROOT / "test" / "fuzz"):  # tried by themselves
            continue
        for index, part in enumerate(_split_parts(path)):
            corpus.add("mlir", f"{path.stem}-{index}", part)


def engine(corpus: Corpus, scratch: Path) -> None:
    shutil.copy(FUSED, scratch / "model.mlir")
    _compile(scratch / "model.mlir", "-o", scratch / "engine", "--arch=x86-64-v3")
    for name in ("engine.json", "phi.json"):
        if (scratch / "engine" / name).exists():
            corpus.add("engine", name, (scratch / "engine" / name).read_bytes())
    phi = {"magic": "fdpp-phi", "layers": 2, "query_heads": 3,
           "phi": [[0.5, None, -1e9], [1, 2, 3]]}
    corpus.add("engine", "small-phi.json", json.dumps(phi))


def safetensors(corpus: Corpus) -> None:
    entries = {"a": ("F32", [2, 16], 0, 128), "b": ("BF16", [64], 128, 256),
               "c": ("U8", [0], 256, 256)}
    header = {name: {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
              for name, (dtype, shape, begin, end) in entries.items()}
    text = json.dumps({"__metadata__": {"a": "b"}} | header).encode()
    text = text.ljust((len(text) + 8 + 63) // 64 * 64 - 8)
    corpus.add("safetensors", "three", len(text).to_bytes(8, "little") + text + bytes(256))


def tokenizer(corpus: Corpus) -> None:
    tokenizer_families._VOCABULARY = 300  # the alphabet and a few merges
    for name, maker in tokenizer_families.FAMILIES.items():
        made = tokenizer_families.with_added_tokens(maker())
        corpus.add("tokenizer", f"{name}.json", made.to_str())
    for name, (template, config, *_) in chat_templates.FAMILIES.items():
        form, reason = derive_chat_form(template, config)
        assert form, reason
        corpus.add("tokenizer", f"chat-{name}.json", json.dumps(form))


def python_sources(corpus: Corpus, scratch: Path) -> None:
    """What fdpp-export reads: GGUF files, and Hugging Face folders as one file
    (config.json in a line, then model.safetensors)."""
    config = tiny_models.tiny_config(
        hidden_size=32, intermediate_size=32, num_attention_heads=2,
        num_key_value_heads=1, num_hidden_layers=1, vocab_size=8)
    vocabulary = {
        "add_tokenizer_model": "gpt2", "add_tokenizer_pre": "smollm",
        "add_token_list": [*"abcdef", "ab", "<s>"], "add_token_merges": ["a b"],
        "add_token_types": [1] * 7 + [3], "add_bos_token_id": 7, "add_eos_token_id": 7,
        "add_chat_template": chat_templates.ZEPHYR}
    pieces = vocabulary | {
        "add_tokenizer_model": "llama", "add_token_scores": [-float(i) for i in range(8)]}
    del pieces["add_token_merges"], pieces["add_tokenizer_pre"]
    types = test_gguf.TYPES
    for kind, words in ((types.F32, {}), (types.F16, pieces), (types.Q8_0, vocabulary),
                        (types.BF16, {"add_rope_scaling_factor": 2.0})):
        tensors, _ = test_gguf.quantised(config, kind)
        path = scratch / "model.gguf"
        test_gguf.write_gguf(path, config, tensors, **words)
        corpus.add("gguf", kind.name, path.read_bytes())
    for name in _MODELS:
        model = scratch / f"hf-{name}"
        sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 8,
                 "num_attention_heads": 2, "num_key_value_heads": 1,
                 "num_hidden_layers": 1}
        small, dtype, _ = tiny_models.MODELS[name]
        tiny_models.write_hf_folder(model, small | sizes, dtype)
        line = json.dumps(json.loads((model / "config.json").read_text()))
        weights = (model / "model.safetensors").read_bytes()
        corpus.add("checkpoint", name, line.encode() + b"\n" + weights)


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit("usage: make_corpus.py OUT")
    corpus = Corpus(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as scratch:
        onnx_and_mlir(corpus, Path(scratch))
        engine(corpus, Path(scratch))
        safetensors(corpus)
        tokenizer(corpus)
        python_sources(corpus, Path(scratch))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
