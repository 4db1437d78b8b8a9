"""Policy with one thing wrong in it is noticed by the tests of policy, or decides the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.mutation.equivalent import EQUIVALENT
from tests.support.mutation.mutants import ALWAYS, CHOSEN, chosen, everything
from tests.support.node_tools import ROOT

PARTS = 30


def test_a_part_of_all_mutants_is_chosen_and_each_is_one_of_its_own() -> None:
    mutants = chosen()
    assert len({one.name for one in mutants}) == len(mutants) == CHOSEN
    assert {one.name for one in mutants} >= ALWAYS


@pytest.mark.nightly
@pytest.mark.timeout(3600)  # a mutant that survives takes all tests of policy
@pytest.mark.parametrize("part", range(PARTS))
def test_each_mutant_that_survives_is_known_to_decide_the_same(part: int) -> None:
    command = [sys.executable, "-m", "tests.support.mutation", str(part), str(PARTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_what_is_known_to_decide_the_same_is_one_of_all_mutants() -> None:
    """Which are chosen depends on their names; what was found out about one stays known."""
    assert EQUIVALENT.keys() <= {one.name for one in everything()}
