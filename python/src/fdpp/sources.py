# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where models come from: Hugging Face folders, GGUF files, templates."""

import dataclasses
import json
import re
from pathlib import Path

from . import companions, gguf_source, safetensors_reader
from .config import LlamaConfig, config_from_hf, read_json
from .errors import UserError
from .geometry import TEMPLATES
from .tensors import Tensor, expected_shapes

# Tensors that checkpoints may hold although the graph computes them.
_DERIVED = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")
_LAYER = re.compile(r"model\.layers\.(\d+)\.")


@dataclasses.dataclass(frozen=True)
class Source:
    """A model ready to be written."""

    config: LlamaConfig
    tensors: list[Tensor]  # in the order of expected_shapes
    files: dict[str, bytes]  # name in the output folder -> contents
    description: str  # what it was made from, for the model's metadata
    name: str = ""  # the model's, for people; empty if nothing says it
    warnings: list[str] = dataclasses.field(default_factory=list)


def open_source(name: str, layers: int | None, weights: bool) -> Source:
    """Find out what `name` is and read all of it but the weights' bytes."""
    path = Path(name)
    if path.is_dir():
        return _from_folder(path, layers, weights)
    if path.suffix == ".gguf":
        return _from_gguf(path, layers, weights)
    if path.is_file() and path.suffix == ".json":
        if weights:
            raise UserError(f"{path} holds no weights, give --no-weights or the folder")
        return _from_config(path, layers)
    if name in TEMPLATES:
        if weights:
            raise UserError(f"template {name} has no weights, give --no-weights")
        config = _cut(config_from_hf(TEMPLATES[name], f"template {name}"), layers)
        return _seeded(config, {}, f"template {name}", name)
    raise UserError(
        f"{name} is no Hugging Face folder, .gguf file, config.json or template"
        f" ({', '.join(TEMPLATES)})"
    )


def _cut(config: LlamaConfig, layers: int | None) -> LlamaConfig:
    return config if layers is None else config.with_layers(layers)


def _seeded(
    config: LlamaConfig, files: dict[str, bytes], description: str, name: str = ""
) -> Source:
    """A source whose weights have names and shapes but no bytes."""
    tensors = [
        Tensor(tensor, shape, config.dtype, None)
        for tensor, shape in expected_shapes(config).items()
    ]
    return Source(config, tensors, _with_config(files, config), description, name)


def _with_config(files: dict[str, bytes], config: LlamaConfig) -> dict[str, bytes]:
    """The files with a config.json, if they do not bring one that is right."""
    if "config.json" in files:
        values = json.loads(files["config.json"])
        if values.get("num_hidden_layers") == config.num_layers:
            return files
        values["num_hidden_layers"] = config.num_layers
    else:
        values = config.to_hf()
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    return {**files, "config.json": text.encode()}


def _from_config(path: Path, layers: int | None) -> Source:
    config = _cut(config_from_hf(read_json(path), str(path)), layers)
    return _seeded(config, {"config.json": path.read_bytes()}, path.name)


def _from_folder(folder: Path, layers: int | None, weights: bool) -> Source:
    config_path = folder / "config.json"
    config = _cut(config_from_hf(read_json(config_path), str(config_path)), layers)
    files = companions.read_folder(folder)
    name = folder.resolve().name
    description = f"Hugging Face folder {name}"
    if not weights:
        return _seeded(config, files, description, name)
    tensors = _matched(safetensors_reader.read_folder(folder), config, str(folder))
    return Source(config, tensors, _with_config(files, config), description, name)


def _from_gguf(path: Path, layers: int | None, weights: bool) -> Source:
    model = gguf_source.read(path)
    config = _cut(model.config, layers)
    description = f"GGUF file {path.name}"
    if not weights:
        source = _seeded(config, model.files, description, path.stem)
    else:
        tensors = _matched(model.tensors, config, str(path))
        files = _with_config(model.files, config)
        source = Source(config, tensors, files, description, path.stem)
    return dataclasses.replace(source, warnings=model.warnings)


def _matched(tensors: dict[str, Tensor], config: LlamaConfig, where: str) -> list[Tensor]:
    """The tensors the graph needs, checked; what it does not know is refused,
    because a model with more parts computes something else."""
    shapes = expected_shapes(config)
    result = []
    for name, shape in shapes.items():
        if name not in tensors:
            raise UserError(f"{where}: tensor {name} is missing")
        if tensors[name].shape != shape:
            raise UserError(
                f"{where}: tensor {name} has shape {list(tensors[name].shape)},"
                f" the configuration asks for {list(shape)}"
            )
        result.append(tensors[name])
    for name in tensors:
        layer = _LAYER.match(name)
        cut_off = layer is not None and int(layer[1]) >= config.num_layers
        tied = config.tie_word_embeddings and name == "lm_head.weight"
        if name in shapes or cut_off or tied or _DERIVED.fullmatch(name):
            continue
        raise UserError(
            f"{where}: tensor {name} is no part of a Llama model of this configuration"
        )
    return result
