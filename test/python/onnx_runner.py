# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs an exported model in onnxruntime, whole or in pieces."""

from pathlib import Path

import numpy as np
import onnxruntime


class OnnxModel:
    """One session; the cache is passed around by the caller."""

    def __init__(self, folder: Path):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        caches = [v for v in self.session.get_inputs() if v.name.startswith("past_")]
        self.cache_names = [value.name for value in caches]
        self.cache_shape = (caches[0].shape[1], caches[0].shape[3])

    def empty_cache(self, batch: int) -> list[np.ndarray]:
        heads, dim = self.cache_shape
        return [np.zeros((batch, heads, 0, dim), np.float32) for _ in self.cache_names]

    def step(self, ids, mask, positions, cache):
        """Logits [B, S, V] and the longer cache."""
        feeds = dict(zip(self.cache_names, cache))
        feeds["input_ids"] = np.asarray(ids, np.int64)
        feeds["attention_mask"] = np.asarray(mask, np.int64)
        feeds["position_ids"] = np.asarray(positions, np.int64)
        logits, *cache = self.session.run(None, feeds)
        return logits, cache

    def logits(self, tokens: list[int], chunks: list[int] | None = None) -> np.ndarray:
        """Logits [T, V] of one sequence, fed in chunks of these sizes."""
        cache = self.empty_cache(1)
        done, parts = 0, []
        for size in chunks or [len(tokens)]:
            ids = [tokens[done : done + size]]
            positions = [range(done, done + size)]
            done += size
            logits, cache = self.step(ids, np.ones((1, done)), positions, cache)
            parts.append(logits[0])
        assert done == len(tokens)
        return np.concatenate(parts)
