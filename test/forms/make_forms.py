# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports tiny Llamas in the forms that other people's exporters write.

    VENV/bin/python test/forms/make_forms.py [FAMILY...]

Needs torch, onnxscript and transformers; makes the families that the installed
version of transformers (and optimum-onnx, if it is there) can make, into
test/forms/models/FAMILY.tar.xz, and lists them in test/forms/models/forms.json.
Nothing else in test/ needs torch: see forms.py for reading them."""

import argparse
import io
import json
import shutil
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
from torch.export import Dim
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

FOLDER = Path(__file__).parent / "models"
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
LENGTH = 16  # tokens of a form without a length of its own

LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
}
MHA, GQA, MQA = ({"num_key_value_heads": n} for n in (4, 2, 1))
TIED = {"tie_word_embeddings": True}
ONE = {"num_hidden_layers": 1}
ROPE = {"rope_scaling": LLAMA3}
# Tables of more than a kilobyte: what their graphs are computed from is not in
# them but as constants.
LONG = MQA | ONE | {"num_attention_heads": 2, "head_dim": 64}
BIASES = {"attention_bias": True, "mlp_bias": True}

# Name -> configuration, and how it is exported.
VARIANTS = {
    "gqa": (GQA, {}),
    "mha-tied": (MHA | TIED, {}),
    "mqa": (MQA, {}),
    "one-layer": (GQA | ONE, {}),
    "llama3": (GQA | ROPE, {}),
    "mqa-llama3": (MQA | ROPE, {}),
    "biases": (GQA | BIASES, {}),
    "f16": (GQA, {"dtype": "f16"}),
    "mha-tied-f16": (MHA | TIED, {"dtype": "f16"}),
    "bf16": (GQA, {"dtype": "bf16"}),
    "tied-bf16": (GQA | TIED, {"dtype": "bf16"}),
    "static": (GQA, {"static": 8}),
    "mqa-128": (LONG, {"static": 128}),
    "f16-128": (LONG, {"static": 128, "dtype": "f16"}),
    "bf16-128": (LONG, {"static": 128, "dtype": "bf16"}),
    "eager-128": (LONG, {"static": 128, "attention": "eager"}),
    "mask-128": (LONG, {"static": 128, "inputs": "mask"}),
    "cache-128": (LONG, {"static": 128, "inputs": "cache"}),
    "external": (GQA, {"external": True}),
    "eager": (GQA, {"attention": "eager"}),
    "mha-eager-f16": (MHA, {"attention": "eager", "dtype": "f16"}),
}

# Family -> transformers' major version, opset, inputs, options, variants.
PLAIN, MASK, CACHE = "input_ids", "mask", "cache"
FAMILIES = {
    "torch18": (5, 18, PLAIN, {}, "gqa mha-tied mqa llama3 f16 bf16 static external eager"),
    "torch23": (5, 23, PLAIN, {}, "gqa mha-tied mqa llama3 f16 bf16 static"),
    "torch24": (5, 24, PLAIN, {}, "gqa tied-bf16 mha-tied-f16 external biases"),
    "torch18-static": (5, 18, PLAIN, {}, "mqa-128 f16-128 eager-128 mask-128 cache-128"),
    "torch23-static": (5, 23, PLAIN, {}, "mqa-128 bf16-128 mask-128 cache-128"),
    "torch18-mask": (5, 18, MASK, {}, "gqa one-layer"),
    "torch23-mask": (5, 23, MASK, {}, "gqa mha-tied-f16"),
    "torch18-cache": (5, 18, CACHE, {},
                      "gqa mha-tied mqa-llama3 f16 bf16 static one-layer eager external"),
    "torch23-cache": (5, 23, CACHE, {}, "gqa mha-tied mqa-llama3 f16 bf16 static biases"),
    "torch24-cache": (5, 24, CACHE, {}, "gqa mqa tied-bf16 mha-tied-f16 one-layer"),
    "torch18-functions": (5, 18, PLAIN, {"optimize": False}, "gqa mha-tied-f16"),
    "torch23-functions": (5, 23, CACHE, {"optimize": False}, "gqa"),
    "hf4-torch18": (4, 18, PLAIN, {}, "gqa mha-tied-f16 llama3"),
    "hf4-torch23": (4, 23, PLAIN, {}, "mha-tied mqa bf16"),
    "hf4-torch18-cache": (4, 18, CACHE, {}, "gqa mha-tied eager mqa-llama3"),
    "hf4-torch23-cache": (4, 23, CACHE, {}, "gqa f16"),
    "hf4-torch24-cache": (4, 24, CACHE, {}, "mha-tied mqa"),
    "optimum": (4, 18, "optimum", {}, "gqa mha-tied mqa-llama3 one-layer"),
}


def make_model(changes: dict, options: dict) -> LlamaForCausalLM:
    """Weights depend on the name and shape of a tensor only, so that an archive
    of many models is small; every part of the model shows in the logits."""
    config = LlamaConfig(**{
        "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-2,
        "rope_theta": 1000.0, "tie_word_embeddings": False,
    } | changes)
    config._attn_implementation = options.get("attention", "sdpa")
    model = LlamaForCausalLM(config).eval()
    for name, parameter in model.named_parameters():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        values = rng.integers(-3, 4, parameter.shape)
        if "norm" in name:
            values = 1 + values / 8
        elif name.endswith(".bias"):
            values = values / 8
        elif "embed" in name:
            values = values / 4
        else:
            values = values / 8
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values))
    return model.to(DTYPES[options.get("dtype", "f32")])


#===----------------------------------------------------------------------===//
# Inputs
#===----------------------------------------------------------------------===//


class Plain(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids=input_ids, use_cache=False).logits


class Masked(Plain):
    def forward(self, input_ids, attention_mask):
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False
        ).logits


class Cached(Plain):
    def forward(self, input_ids, attention_mask, position_ids, *past):
        cache = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        result = self.model(
            input_ids=input_ids, attention_mask=attention_mask,
            position_ids=position_ids, past_key_values=cache, use_cache=True,
        )
        present = result.past_key_values
        return (result.logits, *(
            tensor for layer in range(len(past) // 2) for tensor in layer_of(present, layer)
        ))


def layer_of(cache, layer: int) -> tuple:
    if hasattr(cache, "layers"):
        return cache.layers[layer].keys, cache.layers[layer].values
    return cache.key_cache[layer], cache.value_cache[layer]


def names_of(kind: str, layers: int) -> tuple[list[str], list[str]]:
    inputs = {PLAIN: ["input_ids"], MASK: ["input_ids", "attention_mask"],
              CACHE: ["input_ids", "attention_mask", "position_ids"]}[kind]
    outputs = ["logits"]
    if kind == CACHE:
        for layer in range(layers):
            for part in ("key", "value"):
                inputs.append(f"past_key_values.{layer}.{part}")
                outputs.append(f"present.{layer}.{part}")
    return inputs, outputs


def example(kind: str, model, static: int) -> tuple[tuple, tuple]:
    """Arguments to export with, and their dynamic dimensions; `static` tokens and
    no such dimensions, unless it is 0."""
    config = model.config
    batch, queries, past = (1, 1, static - 1) if static else (2, 3, 4)
    if kind != CACHE:
        past, queries = 0, static or queries
    dims = {"batch": Dim("batch"), "sequence": Dim("sequence")}
    ids = torch.arange(batch * queries).reshape(batch, queries) % 96
    args, shapes = [ids], [{0: dims["batch"], 1: dims["sequence"]}]
    if kind != PLAIN:
        args.append(torch.ones(batch, past + queries, dtype=torch.int64))
        total = dims["sequence"] if kind == MASK else Dim("total")
        shapes.append({0: dims["batch"], 1: total})
    if kind == CACHE:
        args.append(torch.arange(past, past + queries).repeat(batch, 1))
        shapes.append(shapes[0])
        shape = (batch, config.num_key_value_heads, past, config.head_dim)
        shapes.append(tuple(
            {0: dims["batch"], 2: Dim("past")}
            for _ in range(2 * config.num_hidden_layers)
        ))
        # One tensor for all would be one input for all.
        args += [torch.zeros(shape, dtype=model.dtype)
                 for _ in range(2 * config.num_hidden_layers)]
    return tuple(args), None if static else tuple(shapes)


#===----------------------------------------------------------------------===//
# Exporters
#===----------------------------------------------------------------------===//


def export_with_torch(model, opset: int, kind: str, options: dict, file: Path) -> None:
    static, external = (options.get(key, 0) for key in ("static", "external"))
    args, shapes = example(kind, model, static)
    inputs, outputs = names_of(kind, model.config.num_hidden_layers)
    wrapper = {PLAIN: Plain, MASK: Masked, CACHE: Cached}[kind](model).eval()
    # Dimensions of which torch finds that they hang together (total is past +
    # sequence) want no name of their own.
    if shapes and kind == CACHE:
        auto = torch.export.Dim.DYNAMIC
        shapes = (shapes[0], {0: auto, 1: auto}, shapes[2], shapes[3])
        shapes = torch.utils._pytree.tree_map(
            lambda dim: auto, shapes, is_leaf=lambda x: not isinstance(x, (dict, tuple)))
    program = torch.onnx.export(
        wrapper, args, dynamo=True, opset_version=opset, dynamic_shapes=shapes,
        input_names=inputs, output_names=outputs, verbose=False,
        optimize=options.get("optimize", True),
    )
    program.save(str(file), external_data=bool(external))


def export_with_optimum(model, _opset, _kind, _options, file: Path) -> None:
    from optimum.exporters.onnx import main_export

    with tempfile.TemporaryDirectory() as source:
        model.save_pretrained(source)
        main_export(source, output=file.parent, task="text-generation-with-past",
                    do_validation=False, no_post_process=True)


def strip(file: Path) -> None:
    """Drops what torch notes about its own source lines: most of the bytes."""
    model = onnx.load(file, load_external_data=False)
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        for node in graph.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        for value in graph.value_info:
            value.ClearField("metadata_props")
        graph.ClearField("metadata_props")
    for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]:
        value.ClearField("metadata_props")
    onnx.save(model, file)


def tokens_of(static: int) -> list[int]:
    return [(7 * i * i + 3 * i + 5) % 96 for i in range(static or LENGTH)]


def expected_logits(model, tokens: list[int]) -> np.ndarray:
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), use_cache=False).logits
    return logits[0].float().numpy()


def versions(family: str) -> dict:
    import onnxscript

    found = {"torch": torch.__version__, "onnxscript": onnxscript.__version__,
             "transformers": transformers.__version__, "onnx": onnx.__version__}
    if family == "optimum":
        from importlib.metadata import version

        found["optimum-onnx"] = version("optimum-onnx")
    return found


def make_form(family: str, variant: str, folder: Path) -> dict:
    _, opset, kind, options, _ = FAMILIES[family]
    changes, own = VARIANTS[variant]
    options = options | own
    kind = options.get("inputs", kind)
    model = make_model(changes, options)
    folder.mkdir()
    file = folder / "model.onnx"
    exporter = export_with_optimum if kind == "optimum" else export_with_torch
    exporter(model, opset, kind, options, file)
    for other in folder.iterdir():
        if not other.name.startswith("model.onnx"):
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    strip(file)
    tokens = tokens_of(options.get("static", 0))
    np.save(folder / "logits.npy", expected_logits(model, tokens))
    graph = onnx.load(file, load_external_data=False)
    config = model.config
    return {
        "family": family, "variant": variant, "file": f"{family}/{variant}/model.onnx",
        "dtype": options.get("dtype", "f32"), "static": bool(options.get("static")),
        "opset": max(o.version for o in graph.opset_import if o.domain == ""),
        "inputs": [value.name for value in graph.graph.input],
        "outputs": [value.name for value in graph.graph.output],
        "nodes": len(graph.graph.node), "functions": len(graph.functions),
        "model": {"layers": config.num_hidden_layers, "hidden": config.hidden_size,
                  "heads": config.num_attention_heads,
                  "kv_heads": config.num_key_value_heads,
                  "head_dim": config.head_dim,
                  "vocab": config.vocab_size, "tied": config.tie_word_embeddings,
                  "rms_norm_eps": config.rms_norm_eps},
        "tokens": tokens,
        "logits": f"{family}/{variant}/logits.npy",
    }


def pack(folder: Path, archive: Path) -> None:
    """The same files make the same archive."""
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(path.relative_to(folder.parent).as_posix())
            info.size = path.stat().st_size
            tar.addfile(info, io.BytesIO(path.read_bytes()))


def make_family(family: str) -> dict:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / family
        folder.mkdir()
        forms = []
        for variant in FAMILIES[family][4].split():
            print(f"{family}/{variant}", flush=True)
            forms.append(make_form(family, variant, folder / variant))
        pack(folder, FOLDER / f"{family}.tar.xz")
    return {"versions": versions(family), "forms": forms}


def can_make(family: str) -> bool:
    major = int(transformers.__version__.split(".")[0])
    if FAMILIES[family][0] != major:
        return False
    if family != "optimum":
        return True
    try:
        import optimum.exporters.onnx  # noqa: F401
    except ImportError:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(FAMILIES))
    wanted = parser.parse_args().families or [f for f in FAMILIES if can_make(f)]
    FOLDER.mkdir(exist_ok=True)
    listing = FOLDER / "forms.json"
    for family in wanted:
        if not can_make(family):
            parser.error(f"{family} needs another transformers or optimum-onnx than "
                         f"this python's ({transformers.__version__})")
        made = make_family(family)
        known = json.loads(listing.read_text()) if listing.exists() else {}
        known[family] = made
        ordered = {name: known[name] for name in FAMILIES if name in known}
        listing.write_text(json.dumps(ordered, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
