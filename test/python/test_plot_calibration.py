# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""fdpp-plot-calibration: a picture, or one line that says why not."""

import json

import needs
import pytest
from fdpp import plot_calibration


def some_counts() -> dict:
    def head(layer, number, phi):
        return {"layer": layer, "head": number, "phi": phi, "logits": [-3, 4],
                "log_sum_exp": [0, 5], "logit_histogram": [[0, 3], [1, 5]],
                "row_maximum_histogram": [[1, 2]], "log_sum_exp_histogram": [[1, 2]]}

    return {
        "magic": "fdpp-calibration", "version": 1, "engine": "a model", "texts": "a.txt",
        "tokens": 2, "layers": 2, "query_heads": 2, "format": "fp32",
        "bins": {"low": -4, "width": 2, "count": 4},
        "formats": {"fp32": {"least": -58, "most": 70}, "fp16": {"least": 0, "most": 11}},
        "heads": [head(0, 0, 0), head(0, 1, 1), head(1, 0, None), head(1, 1, 0)],
    }


def run(tmp_path, counts, *more) -> int:
    path = tmp_path / "calibration.json"
    path.write_text(counts if isinstance(counts, str) else json.dumps(counts))
    return plot_calibration.main([str(path), *more])


def test_values_are_relative_to_phi():
    values, numbers = plot_calibration.relative(some_counts(), "logit_histogram")
    # Bins -4..-2 and -2..0; two heads with phi 0, one with 1, one without.
    assert values == [-4, -3, -2, -1]
    assert numbers == [3, 6, 5, 10]


def test_a_picture(tmp_path, capsys):
    needs.module("matplotlib")
    assert run(tmp_path, some_counts()) == 0
    picture = (tmp_path / "calibration.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    assert capsys.readouterr().out == f"wrote {tmp_path / 'calibration.png'}\n"


@pytest.mark.parametrize("counts, why", [
    ("{", "no calibration: not json"),
    ({"magic": "fdpp-tuning"}, "give the calibration.json"),
    (some_counts() | {"version": 2}, "of another version"),
    (some_counts() | {"heads": []}, "holds no heads"),
])
def test_what_is_no_calibration(tmp_path, capsys, counts, why):
    assert run(tmp_path, counts) == 1
    error = capsys.readouterr().err
    assert error.startswith("fdpp-plot-calibration: ") and error.count("\n") == 1
    assert why in error


def test_where_no_picture_can_be_written(tmp_path, capsys):
    needs.module("matplotlib")
    assert run(tmp_path, some_counts(), "-o", str(tmp_path / "none" / "x.png")) == 1
    assert "cannot write the picture" in capsys.readouterr().err
