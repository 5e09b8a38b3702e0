# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every form, written in another way, is found to be the same model."""

import os

import pytest

from families import FAMILIES  # finds the other folders' modules
import needs
from metamorphic import REWRITINGS, Family, is_good

SEED = int(os.environ.get("FDPP_MUTATION_SEED", 1))

pytestmark = needs.tools("fdpp-raise-graphs")
needs.onnxruntime_after("1.23", "is no judge of opset 24 and of rows that see no key")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    family = Family(request.param, tmp_path_factory.mktemp("metamorphic"))
    if not family.judges:
        pytest.fail(f"no form is taken: {'; '.join(family.others)[:300]}")
    yield family
    family.raiser.close()


@pytest.mark.parametrize("name", REWRITINGS)
def test_the_model_is_the_same(family, name):
    print(f"seed {SEED}")
    for form, who in enumerate(family.judges):
        verdict = family.verdict(form, name, SEED)
        assert is_good(name, verdict), f"{who.form.name}: {verdict}"


def test_another_model_is_not_identical(family):
    """The normal form tells models apart by their weights alone."""
    who = family.judges[0]
    model = who.form.load()
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 2)
    tensor.raw_data = tensor.raw_data[:-4] + b"\0\0\0\0"
    assert who.compile(model)["raised"] != family.raised[0]
