# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tables (docs/tuning.md) that leave nothing to choose: one kind for every M.

What kinds there are, and with which numbers, is what fdpp-tune says on this
device: it measures one small shape, whose table is the model of all others."""

import json

SMALL = "64 64 bf16\n"


class Tables:
    def __init__(self, folder, tools):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.tools = tools
        self._sample = None

    def sample(self):
        """A table of this device, whatever shape it is of."""
        if self._sample is None:
            shapes = self.folder / "small.txt"
            table = self.folder / "small.tuning.json"
            tune = self.tools.bin / "fdpp-tune"
            if not (table.exists() and tune.exists()
                    and table.stat().st_mtime > tune.stat().st_mtime):
                shapes.write_text(SMALL)
                self.tools.call("fdpp-tune", shapes, "-o", table, "--budget", 2)
            self._sample = json.loads(table.read_text())
        return self._sample

    def widest(self, kind):
        """The range of `kind` that holds most tokens; None: there is no such
        kind."""
        found = [
            variant
            for shape in self.sample()["shapes"]
            for point in shape["points"]
            for variant in point["variants"]
            if variant["kind"] == kind
        ]
        if not found:
            return None
        best = max(found, key=lambda variant: variant.get("tokens", 0))
        keys = ("kind", "tokens", "prefetch")
        return {key: best[key] for key in keys if key in best}

    def forced(self, kind, shapes, folder):
        """A file with a table of `shapes` (n, k, dtype)."""
        only, sample = self.widest(kind), self.sample()
        table = {key: sample[key] for key in ("magic", "format", "versions", "device")}
        table["shapes"] = [
            {"n": n, "k": k, "dtype": dtype, "ranges": [only]}
            for n, k, dtype in sorted(shapes)
        ]
        path = folder / f"always-{kind}.json"
        path.write_text(json.dumps(table, indent=1))
        return path
