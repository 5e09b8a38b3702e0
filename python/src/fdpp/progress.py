# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Progress with elapsed time on a terminal; nothing in a pipe."""

import sys
import time

_INTERVAL_S = 0.1


class Progress:
    """One line on stderr that is written over itself."""

    def __init__(self, total_bytes: int, stream=None):
        self.stream = stream or sys.stderr
        self.active = self.stream.isatty()
        self.total = max(1, total_bytes)
        self.done = 0
        self.begin = time.monotonic()
        self.shown = 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self.active and self.shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def advance(self, nbytes: int, what: str) -> None:
        """`nbytes` more are done, of `what`."""
        self.done += nbytes
        now = time.monotonic()
        if not self.active or now - self.shown < _INTERVAL_S:
            return
        self.shown = now
        percent = 100 * self.done // self.total
        elapsed = now - self.begin
        self.stream.write(f"\r\x1b[K[{elapsed:6.1f} s] {percent:3d} % {what}")
        self.stream.flush()
