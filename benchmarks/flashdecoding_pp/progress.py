# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is done and how long the rest takes, on a terminal; the end of a slice."""

import sys
import time


class Progress:
    def __init__(self, budget=None, stream=None):
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.begin = time.monotonic()
        self.budget = budget
        self.done = self.total = 0
        self.first = None  # when the first run began

    def expect(self, runs):
        self.total = runs

    def stopped(self):
        """Whether the slice of time is used up."""
        return self.budget is not None and time.monotonic() - self.begin > self.budget

    def stop(self):
        """Ends the slice now."""
        self.budget = 0.0

    def say(self, text):
        if self.terminal:
            self.stream.write(f"\r\x1b[K{text}")
            self.stream.flush()

    def step(self, text):
        """One more run is done."""
        now = time.monotonic()
        self.first = self.first or now
        self.done += 1
        left = (now - self.first) / self.done * max(0, self.total - self.done)
        self.say(f"{self.done}/{self.total}, {left / 60:.0f} min left: {text}")

    def end(self):
        self.say("")
