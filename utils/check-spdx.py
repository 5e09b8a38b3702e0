# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fails where a file has neither an SPDX line nor an entry in REUSE.toml.

    python3 utils/check-spdx.py

Looks at what git knows and has not yet been told to ignore, or at every file
where there is no git."""

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINE = b"SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception"
_UNTRACKED = {"build", ".git", ".venv", ".cache", "__pycache__", ".pytest_cache"}


def files() -> list[str]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True).stdout.decode()
        names = [name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")
                 if not _UNTRACKED & set(path.relative_to(ROOT).parts)]
    return sorted(name for name in names if (ROOT / name).is_file())


def annotated() -> list[str]:
    """The paths of REUSE.toml (read without a TOML parser: Python 3.10 has none)."""
    text = (ROOT / "REUSE.toml").read_text()
    return re.findall(r'"([^"]+)"', re.search(r"path = \[(.*?)\]", text, re.S)[1])


def main() -> int:
    # In REUSE.toml '**' crosses folders, which is what fnmatch's '*' does.
    patterns = [pattern.replace("**", "*") for pattern in annotated()]
    bare = []
    for name in files():
        head = b"\n".join((ROOT / name).read_bytes()[:2000].split(b"\n")[:4])
        if LINE in head:
            continue
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            bare.append(name)
    for name in bare:
        print(f"check-spdx.py: {name}: no SPDX line, and not in REUSE.toml", file=sys.stderr)
    return 1 if bare else 0


if __name__ == "__main__":
    sys.exit(main())
