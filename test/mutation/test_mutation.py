# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A slice of the mutants; `python test/mutation/mutate.py` runs all."""

import os

import pytest

from families import FAMILIES  # finds the other folders' modules
import needs
from judge import difference
from mutate import Family, run_engines, run_family

SEED = int(os.environ.get("FDPP_MUTATION_SEED", 1))
COUNT = 60

pytestmark = needs.tools("fdpp-raise-graphs", "fdpp-compile", "fdpp-run")
needs.onnxruntime_after("1.23", "is no judge of opset 24 and of rows that see no key")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    family = Family(request.param, tmp_path_factory.mktemp("mutation"))
    yield family
    family.raiser.close()


def test_no_mutant_becomes_another_model(family):
    if not family.judges:
        pytest.fail(f"no form is taken: {'; '.join(family.others)[:300]}")
    tally = run_family(family, SEED, COUNT, log=None)
    print(f"seed {SEED}")
    print(tally.line(family.name))
    assert not tally.kinds["wrong"]
    assert tally.kinds["followed"] >= COUNT // 10, "refuses almost everything"


def test_a_mutant_taken_for_the_original_is_found(family):
    """The bound tells every mutant that counts from the original."""
    if not family.judges:
        pytest.fail("no form is taken")
    seen = 0
    for index in range(20):
        who, model, _ = family.mutant(SEED, index)
        verdict = who.mutant(model)
        if verdict.kind != "followed" or verdict.same:
            continue
        seen += 1
        logits = who.compile(model)["logits"]
        assert difference(who.expected, logits) > 3 * who.form.bound
        assert who.compare({"raised": "", "logits": logits}, who.expected).kind == "wrong"
    assert seen


def test_engines_of_mutants_follow(tmp_path):
    """Two of them here; `mutate.py --engines 20` makes more."""
    family = Family("fdpp", tmp_path)
    followed, wrong = run_engines(family, SEED, 2, tmp_path)
    family.raiser.close()
    assert followed == 2 and wrong == 0
