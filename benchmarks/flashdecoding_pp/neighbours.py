# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What others took of the processor while a command ran."""

import resource
from pathlib import Path

TICK = 0.01  # of /proc/stat, in seconds


class Neighbours:
    """From /proc/stat, in seconds: all that ran, less this process's children."""

    def __init__(self, path=Path("/proc/stat")):
        self.path = path

    def __enter__(self):
        self.before = self._now()
        return self

    def __exit__(self, *_):
        busy, total, own = (b - a for a, b in zip(self.before, self._now()))
        # The share of all processors' time, 0 where /proc tells nothing.
        self.share = max(0.0, busy - own - TICK) / total if total > 0 else 0.0

    def _now(self):
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = children.ru_utime + children.ru_stime
        try:
            words = self.path.read_text().splitlines()[0].split()[1:9]
        except OSError:
            return 0.0, 0.0, own
        ticks = [int(word) * TICK for word in words]
        idle = ticks[3] + ticks[4]
        # Stolen by other machines of the host counts as busy.
        return sum(ticks) - idle, sum(ticks), own
