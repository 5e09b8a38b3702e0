# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes an export as a whole or not at all.

Everything goes to a hidden folder beside the target, is synced, and takes the
target's name at the end. A killed export leaves the old folder or none; the
next export to the same place removes what was left."""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from .companions import is_companion
from .errors import UserError
from .graph import DATA_FILE, PRODUCER, Placed
from .progress import Progress

MODEL_FILE = "model.onnx"


def is_export(folder: Path) -> bool:
    """Whether the folder holds a model that this program wrote: the producer
    is the second field of the file, right behind the IR version."""
    try:
        with (folder / MODEL_FILE).open("rb") as file:
            head = file.read(64)
    except OSError:
        return False
    return b"\x12" + bytes([len(PRODUCER)]) + PRODUCER.encode() in head


def check_target(target: Path) -> None:
    """Refuse a target that is something else than a former export."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UserError(f"{target} exists and is no folder, choose another -o")
    if target.is_dir() and any(target.iterdir()) and not is_export(target):
        raise UserError(
            f"{target} exists and is no former export, choose another -o or remove it"
        )
    if not target.absolute().parent.is_dir():
        raise UserError(f"{target.absolute().parent} does not exist, create it first")


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A folder to write into; it becomes `target` if the block succeeds."""
    target = target.absolute()
    stage = target.with_name(f".{target.name}.partial")
    old = target.with_name(f".{target.name}.old")
    lock = None
    try:
        with _one_line_errors(target):
            stage.mkdir(exist_ok=True)
            lock = _locked(stage)
            _empty(stage)
            yield stage
            _sync(stage)
            _replace(target, stage, old)
            lock = _unlocked(lock)
    finally:
        if lock is not None:
            shutil.rmtree(stage, ignore_errors=True)
            _unlocked(lock)


def _replace(target: Path, stage: Path, old: Path) -> None:
    """Give the stage the target's name. What others put into a former export,
    such as an engine compiled from it, stays."""
    if not target.exists():
        stage.rename(target)
    else:
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        stage.rename(target)
        for entry in old.iterdir():
            if not _is_own(entry.name) and not (target / entry.name).exists():
                entry.rename(target / entry.name)
        shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent)


def _is_own(name: str) -> bool:
    return name in (MODEL_FILE, DATA_FILE) or is_companion(name)


@contextlib.contextmanager
def _one_line_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or target
        raise UserError(f"cannot write {where}: {error.strerror}") from None


def _locked(folder: Path) -> int:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno == errno.EWOULDBLOCK:
            raise UserError(f"another export is writing {folder}, wait for it") from None
        raise
    return handle


def _unlocked(handle: int) -> None:
    os.close(handle)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, contents: bytes) -> None:
    with path.open("wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())


def write_model(folder: Path, model: onnx.ModelProto) -> None:
    write_file(folder / MODEL_FILE, model.SerializeToString(deterministic=True))


def write_data(folder: Path, placed: list[Placed], progress: Progress) -> None:
    """The external file: each weight at its offset, holes between are zero."""
    with (folder / DATA_FILE).open("wb") as file:
        for item in placed:
            file.seek(item.offset)
            written = 0
            for chunk in item.tensor.chunks():
                written += file.write(memoryview(_bytes(chunk)))
                progress.advance(chunk.nbytes, item.tensor.name)
            if written != item.tensor.nbytes:
                raise AssertionError(f"{item.tensor.name}: {written} bytes written")
        file.flush()
        os.fsync(file.fileno())


def _bytes(chunk: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
