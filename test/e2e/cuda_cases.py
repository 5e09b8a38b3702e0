# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""CUDA engines of tiny models beside what the interpreter says of them.

    cuda_cases.py make FOLDER           compiles them; needs nvcc and no GPU
    cuda_cases.py run FOLDER FDPP-RUN   runs and compares them; needs a GPU

Both halves stand alone: engines are made where the compiler is and run where a
device is. The bounds are those of docs/numerics.md.
"""
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("FDPP_BUILD_DIR", ROOT / "build" / "release")) / "bin"
TOKENS = 37  # crosses two pages
LONG = 150   # is cut into pieces
ROUNDOFF = {"bf16": 2.0**-9, "f16": 2.0**-12}
PHASES = ("recognised", "raised", "rolled", "fused", "planned")
CASES = [(name, ("bf16", "f16")[i % 2], ("off", "all")[i // 2 % 2]) for i, name in
         enumerate(("gqa", "mha", "mqa", "tied-bf16", "f16", "biases", "llama3-rope",
                    "linear-rope", "window", "one-layer"))]
# Heads that attention multiplies by mma, in one pass and in two.
WIDE = {"wide-64": {"head_dim": 64, "num_attention_heads": 8, "num_key_value_heads": 2},
        "wide-32": {"head_dim": 32, "num_attention_heads": 3, "num_key_value_heads": 3},
        "wide-128": {"head_dim": 128, "num_attention_heads": 12, "num_key_value_heads": 1},
        "wide-window": {"architectures": ["MistralForCausalLM"], "model_type": "mistral",
                        "head_dim": 64, "sliding_window": 70}}
CASES += [("wide-64", "bf16", "all"), ("wide-64", "f16", "off"), ("wide-32", "bf16", "off"),
          ("wide-128", "bf16", "all"), ("wide-window", "f16", "all")]


def call(*arguments, environment=None):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True,
                          env=os.environ | (environment or {}))
    assert done.returncode == 0, done.stderr
    return done


def make(folder, environment, arch="sm_90a", cases=CASES):
    """FOLDER/CASE: an engine, its tokens and the interpreter's logits."""
    sys.path[:0] = [str(ROOT / "test" / "python"), str(ROOT / "python" / "src")]
    import tiny_models
    from fdpp.export import main as export

    for name, changes in WIDE.items():
        tiny_models.MODELS[name] = (tiny_models.tiny_config(**changes), "f32", 1)
    for name, dtype, softmax in cases:
        place = folder / f"{name}-{dtype}-{softmax}"
        place.mkdir(parents=True)
        config = tiny_models.write_model(name, place / "hf")[0]
        assert export([str(place / "hf"), "-o", str(place / "onnx")]) == 0
        model = place / "onnx" / "model.onnx"
        draw = random.Random(f"cuda {name}")
        count = LONG if name in WIDE else TOKENS
        ids = ",".join(str(draw.randrange(config["vocab_size"])) for _ in range(count))
        call(BIN / "fdpp-translate", "--import-onnx", model, "-o", place / "import.mlir")
        passes = [f"--fdpp-to-{phase}" for phase in PHASES]
        passes[3] += f"=dtype={dtype} target=cuda"
        call(BIN / "fdpp-opt", place / "import.mlir", *passes, "-o", os.devnull,
             f"--fdpp-interpret=tokens={ids} round={dtype} weights={model.parent} "
             f"logits={place / 'expected.npy'}")
        call(BIN / "fdpp-compile", model, "-o", place / "engine", "--target=cuda",
             f"--arch={arch}", f"--dtype={dtype}", "--page-tokens=16",
             f"--async-softmax={softmax}", environment=environment)
        (place / "case.json").write_text(json.dumps({"ids": ids, "dtype": dtype}))


def logits_of(fdpp_run, place, ids, prefill, environment):
    call(fdpp_run, place / "engine", "--tokens", ids, "-n", 0, "--prefill", prefill, "--logits",
         place / "logits.npy", environment=environment)
    return np.load(place / "logits.npy")


def generated(fdpp_run, place, prompts, environment, *options, count=12):
    done = call(fdpp_run, place / "engine", *(f"--tokens={','.join(p)}" for p in prompts), "-n",
                count, "--json", *options, environment=environment)
    return [answer["tokens"] for answer in json.loads(done.stdout)["results"]]


def check_decode(fdpp_run, place, ids):
    """A step as one kernel and as a chain of them: the same bits, for one sequence and for up to
    twelve of different lengths; what the device picks is what the host does."""
    chain = {"FDPP_NO_GRID": "1"}
    assert np.array_equal(logits_of(fdpp_run, place, ids, 1, {}),
                          logits_of(fdpp_run, place, ids, 1, chain)), "one kernel and a chain"
    tokens = ids.split(",")
    for count in (1, 3, 8, 12):
        prompts = [tokens[i:i + 1 + 5 * i % 31] for i in range(count)]
        first = generated(fdpp_run, place, prompts, {})
        assert first == generated(fdpp_run, place, prompts, chain), f"{count} sequences"
        on_host = generated(fdpp_run, place, prompts, {}, "--repeat-penalty=1.0000001")
        assert first == on_host, "picks"


def run(folder, fdpp_run):
    """A line for each case; the number of those that are wrong."""
    wrong = 0
    for place in sorted(folder.iterdir()):
        if not (place / "case.json").exists():
            continue
        case = json.loads((place / "case.json").read_text())
        expected = np.load(place / "expected.npy")
        worst = 0.0
        for prefill, environment in ((len(expected), {}), (1, {}), (9, {}),
                                     (9, {"FDPP_NO_PDL": "1"}), (1, {"FDPP_NO_GRID": "1"})):
            logits = logits_of(fdpp_run, place, case["ids"], prefill, environment)
            assert logits.shape == expected.shape
            worst = max(worst, float(np.abs(logits - expected).max() / np.abs(expected).max()))
        check_decode(fdpp_run, place, case["ids"])
        for options in ([], ["--batch-invariant"]):
            done = call(Path(fdpp_run).with_name("fdpp-soak"), place / "engine", 10000, *options)
            print(done.stdout.strip())
        bound = 8 * ROUNDOFF[case["dtype"]]
        wrong += not worst <= bound
        print(f"{place.name}: {worst:.2e} of {bound:.2e}{'' if worst <= bound else ' WRONG'}")
    return wrong


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), {})
    else:
        sys.exit(run(Path(sys.argv[2]), sys.argv[3]) != 0)
