# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Import each file; each must fail with exit code 1 and one line of error."""
import subprocess
import sys

for path in sys.argv[1:]:
    run = subprocess.run(["fdpp-translate", "--import-onnx", path],
                         capture_output=True, text=True)
    lines = [x for x in run.stderr.splitlines() if x.strip()]
    if run.returncode != 1 or run.stdout or len(lines) != 1 \
            or "error: " not in lines[0]:
        sys.exit(f"{path}: exit {run.returncode}: {run.stderr}")
