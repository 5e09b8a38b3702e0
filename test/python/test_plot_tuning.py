# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-plot-tuning: a picture for each shape, or one line that says why not."""

import json

import needs
import pytest
from fdpp import plot_tuning


def a_table() -> dict:
    def variant(kind, tokens, us):
        return {"kind": kind, "tokens": tokens, "prefetch": 0, "us": us, "min": 0.9 * us,
                "max": 1.2 * us, "samples": 3}

    points = [
        {"m": 1, "chosen": 0, "variants": [variant("gemv", 1, 10)]},
        {"m": 4, "chosen": 1, "variants": [variant("flat", 6, 12), variant("flat", 6, 11),
                                           variant("gemv", 1, 30)]},
        {"m": 8, "chosen": 1, "variants": [variant("large", 6, 20), variant("large", 4, 18)]},
    ]
    return {
        "magic": "fdpp-tuning", "format": 1,
        "device": {"cpu": "A CPU", "kernels": "avx2", "threads": 2},
        "shapes": [{"n": 64, "k": 48, "dtype": "bf16", "m1": 1, "m2": 4, "points": points}],
    }


def with_library() -> dict:
    """As fdpp-tune --library writes it: one variant more, which has no tile."""
    table = a_table() | {"format": 2}
    for point in table["shapes"][0]["points"]:
        point["variants"].append({"kind": "library", "us": 40, "min": 39, "max": 44,
                                  "samples": 3})
    return table


def run(tmp_path, table, *more) -> int:
    path = tmp_path / "t.json"
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    return plot_tuning.main([str(path), *more])


def test_the_best_of_a_kind():
    shape = a_table()["shapes"][0]
    assert plot_tuning.best_of_kind(shape, "gemv") == ([1, 4], [10, 30])
    assert plot_tuning.best_of_kind(shape, "flat") == ([4], [11])
    assert plot_tuning.best_of_kind(shape, "large") == ([8], [18])


def test_a_library_is_a_kind():
    shape = with_library()["shapes"][0]
    assert plot_tuning.best_of_kind(shape, "library") == ([1, 4, 8], [40, 40, 40])


@pytest.mark.parametrize("make", [a_table, with_library])
def test_a_picture_for_each_shape(tmp_path, capsys, make):
    needs.module("matplotlib")
    assert run(tmp_path, make()) == 0
    picture = (tmp_path / "t" / "64x48-bf16.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    assert "1 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("table, why", [
    ("{", "t.json: no tuning table: not json"),
    ({"magic": "fdpp-engine"}, "t.json: no tuning table; give"),
    (a_table() | {"format": 9}, "t.json: a tuning table of another format"),
    (a_table() | {"shapes": [{"n": 1}]}, "t.json: holds no measurements"),
])
def test_what_is_no_table(tmp_path, capsys, table, why):
    assert run(tmp_path, table) == 1
    error = capsys.readouterr().err
    assert error.startswith("fdpp-plot-tuning: ") and error.count("\n") == 1
    assert why in error
