# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The model of docs/how-a-model-flows.md is what fdpp-export writes."""
import json
from pathlib import Path

import onnx
from google.protobuf import text_format

from fdpp.export import main as export

PAGE_MODEL = Path(__file__).parents[2] / "docs" / "one-layer.onnxtxt"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_act": "silu", "hidden_size": 8, "intermediate_size": 24,
    "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
    "vocab_size": 32, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def test_is_what_export_writes(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert export([str(tmp_path / "config.json"), "-o", str(tmp_path / "out"),
                   "--no-weights"]) == 0
    written = onnx.load(tmp_path / "out" / "model.onnx", load_external_data=False)
    committed = text_format.Parse(PAGE_MODEL.read_text(), onnx.ModelProto())
    written.producer_version = committed.producer_version
    assert written == committed
