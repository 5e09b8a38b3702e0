# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tables (docs/tuning.md) that leave nothing to choose: one kind for every M."""

from engines import ToolError

SMALL = "64 64 bf16\n"


class Tables:
    def __init__(self, folder, tools):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.tools = folder, tools
        self._why = None

    def missing(self, kind):
        """Why there is no such kind on this machine; None: there is. Of all
        kinds the library alone can be missing."""
        if kind != "library":
            return None
        if self._why is None:
            shapes = self.folder / "small.txt"
            shapes.write_text(SMALL)
            try:
                self.tools.call("fdpp-tune", shapes, "--library", "--budget", 1,
                                "-o", self.folder / "small.tuning.json")
                self._why = ""
            except ToolError as error:
                self._why = f"no library: {error}"
        return self._why or None

    def forced(self, kind, engine, folder):
        """A file with a table of the engine's shapes."""
        path = folder / f"always-{kind}.json"
        self.tools.call("fdpp-tune", engine, "--always", kind, "-o", path)
        return path
