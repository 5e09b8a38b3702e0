# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Prints which exports are understood, form by variant.

    .venv/bin/python test/forms/matrix.py [--engine] [FAMILY[/VARIANT]...]

Every committed export is raised and run in the interpreter, or compiled and run
with --engine, and compared with onnxruntime. A cell is 'ok' with the largest
error relative to the largest logit, 'refused' with the compiler's reason, or
'WRONG'. Exits with 1 if a cell is wrong."""

import argparse
import sys
import tempfile
from pathlib import Path

import forms


def cell(form: forms.Form, engine: bool) -> tuple[bool, str]:
    """Whether the cell may stand, and its text."""
    expected, _ = forms.reference(form)
    work = form.folder / "work"
    try:
        run = forms.run_engine if engine else forms.run_raised
        found = run(form.model, form.tokens, work)
    except forms.Refused as reason:
        return True, f"refused: {reason}"
    except AssertionError as failure:
        return False, f"WRONG: {str(failure).strip()[:200]}"
    error = forms.error_of(found, expected)
    good = error <= forms.BOUNDS[form.info["dtype"]]
    return good, f"{'ok' if good else 'WRONG'} ({error:.0e})"


def print_matrix(cells: dict[tuple[str, str], str]) -> None:
    """Families beside each other, six at a time; reasons below."""
    families = list(dict.fromkeys(family for family, _ in cells))
    variants = list(dict.fromkeys(variant for _, variant in cells))
    reasons: dict[str, int] = {}

    def text(family: str, variant: str) -> str:
        cell = cells.get((family, variant), "")
        if not cell.startswith(("refused", "WRONG: ")):
            return cell
        number = reasons.setdefault(cell, len(reasons) + 1)
        return f"{cell.split(':')[0]} [{number}]"

    for part in (families[i : i + 6] for i in range(0, len(families), 6)):
        own = [v for v in variants if any((f, v) in cells for f in part)]
        rows = [["", *part]]
        rows += [[variant, *(text(family, variant) for family in part)] for variant in own]
        widths = [max(len(row[i]) for row in rows) for i in range(len(part) + 1)]
        for row in rows:
            print(" | ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())
        print()
    for reason, number in reasons.items():
        print(f"[{number}] {reason if len(reason) < 400 else reason[:400] + ' ...'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", metavar="FAMILY[/VARIANT]")
    parser.add_argument("--engine", action="store_true",
                        help="compile and run engines (f32) instead of interpreting")
    parser.add_argument("--list", action="store_true", help="one line a cell as they end")
    args = parser.parse_args()
    families = {cell.partition("/")[0] for cell in args.cells} or None
    found, bad = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for form in forms.unpack(Path(folder), families and list(families)):
            if args.cells and form.family not in args.cells and form.name not in args.cells:
                continue
            good, text = cell(form, args.engine)
            found[form.family, form.variant] = text
            bad += not good
            if args.list:
                print(f"{form.name}: {text}", flush=True)
    print_matrix(found)
    ok = sum(text.startswith("ok") for text in found.values())
    refused = sum(text.startswith("refused") for text in found.values())
    print(f"{len(found)} cells: {ok} ok, {refused} refused, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
