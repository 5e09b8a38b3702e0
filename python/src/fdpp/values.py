# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Intermediate values of a model: streams of them, and how two differ.

A stream is what `fdpp-run --taps` and `fdpp-opt --fdpp-interpret=values=` write:
for each value a line of JSON, which says the node of the ONNX graph and the size
of the .npy file behind it.
"""

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Iterator

import numpy as np

from fdpp.errors import UserError


def read_stream(stream: BinaryIO) -> Iterator[tuple[dict, np.ndarray]]:
    """Each value's facts and elements."""
    while line := stream.readline():
        try:
            facts = json.loads(line)
            array = np.load(io.BytesIO(stream.read(facts["npy_bytes"])), allow_pickle=False)
        except (ValueError, KeyError, EOFError) as error:
            raise UserError(f"a stream of values breaks off ({error})") from error
        yield facts, array


def token_axes(shape: tuple[int, ...], tokens: int) -> list[int]:
    """The dimensions that may count the tokens, in the layouts that graphs use:
    [T, C], [1, T, C], [1, heads, T, C], [1, T, heads, C]."""
    if len(shape) == 2:
        return [0] if shape[0] == tokens else []
    if len(shape) not in (3, 4) or shape[0] != 1:
        return []
    return [axis for axis in range(1, len(shape) - 1) if shape[axis] == tokens]


def token_rows(array: np.ndarray, axis: int) -> np.ndarray:
    """The value as [tokens, columns]; `axis` counts the tokens."""
    rows = np.moveaxis(array, axis, 0)
    return rows.reshape(rows.shape[0], -1)


@dataclass(frozen=True)
class Difference:
    """How far `actual` is from `expected`, for all tokens together."""

    max_abs: float
    relative: float  # max_abs over the largest expected magnitude
    cosine: float

    @staticmethod
    def of(expected: np.ndarray, actual: np.ndarray) -> "Difference":
        with np.errstate(invalid="ignore", over="ignore"):
            same = expected == actual  # infinities of masks too
            gap = np.where(same, 0.0, np.abs(expected - actual))
        gap = np.where(np.isnan(gap), math.inf, gap)
        largest = float(gap.max(initial=0.0))
        if largest == 0:
            return Difference(0.0, 0.0, 1.0)
        scale = float(np.abs(expected).max())
        relative = largest / scale if scale > 0 else math.inf
        if not (np.isfinite(expected).all() and np.isfinite(actual).all()):
            return Difference(largest, math.inf, math.nan)
        norms = float(np.linalg.norm(expected) * np.linalg.norm(actual))
        cosine = float(np.vdot(expected, actual)) / norms if norms > 0 else math.nan
        return Difference(largest, relative, cosine)


class Spool:
    """The values of one stage on disk, so that memory holds one of them at a
    time. Rows of later steps are appended to those of earlier ones."""

    def __init__(self, folder: Path, axes: dict[str, int] | None = None):
        """`axes`: which dimension of a value counts the tokens, as far as another
        stage with the same layouts has found out; this one adds what it finds."""
        folder.mkdir()
        self._axes = {} if axes is None else axes
        self._waiting: dict[str, list[tuple[dict, np.ndarray]]] = {}
        self._folder = folder
        self._columns: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._seen: dict[tuple[str, int], str] = {}
        self.facts: dict[str, dict] = {}

    def __contains__(self, node: str) -> bool:
        return node in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def add_value(self, facts: dict, array: np.ndarray, tokens: int) -> None:
        """A value in the layout it has. As many heads as tokens: then a step of
        another size says which is which, and the value waits for it."""
        node = facts["node"]
        axes = token_axes(array.shape, tokens)
        if not node or not axes or array.dtype.kind != "f":
            return
        if len(axes) == 1 or array.shape[axes[0]] == 1:
            known = self._axes.setdefault(node, axes[-1])
            if array.ndim != 4 or known not in axes:
                known = axes[-1]
        elif node in self._axes:
            known = self._axes[node]
        else:
            self._waiting.setdefault(node, []).append((facts, array))
            return
        for former, waiting in self._waiting.pop(node, ()):
            self.add(former, token_rows(waiting, known))
        self.add(facts, token_rows(array, known))

    def add(self, facts: dict, rows: np.ndarray) -> None:
        """Of several operations for one node the last computes its value; of
        several equal operations (copies for a branch) the first is it."""
        node, step = facts["node"], facts.get("step", 0)
        former = self._seen.get((node, step))
        if former is not None and former == facts.get("op"):
            return
        self._seen[node, step] = facts.get("op", "")
        if self._columns.setdefault(node, rows.shape[1]) != rows.shape[1]:
            return
        self.facts[node] = facts
        data = np.ascontiguousarray(rows, np.float64).tobytes()
        path = self._path(node)
        if former is not None:
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size - len(data))
        with path.open("ab") as file:
            file.write(data)

    def _path(self, node: str) -> Path:
        return self._folder / f"{self._numbers.setdefault(node, len(self._numbers))}.f64"

    def columns_of(self, node: str) -> int:
        return self._columns[node]

    def load(self, node: str) -> np.ndarray:
        return np.fromfile(self._path(node)).reshape(-1, self._columns[node])
