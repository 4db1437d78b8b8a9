from __future__ import annotations

import pytest

from engine.validation import CODES, Severity
from tests.unit.engine.validation.examples import EXAMPLES, validate


def test_every_code_has_an_example_and_every_example_a_code() -> None:
    assert EXAMPLES.keys() == CODES.keys()


@pytest.mark.parametrize("code", CODES)
def test_the_failing_example_has_the_problem_at_its_place(code: str) -> None:
    example = EXAMPLES[code]
    found = validate(example.bad, example.commands, example.breakers)
    places = {problem.pointer: problem.severity for problem in found.problems if problem.code == code}
    assert places.get(example.pointer) is CODES[code].severity
    assert found.valid is (CODES[code].severity is Severity.WARNING)


@pytest.mark.parametrize("code", CODES)
def test_the_passing_neighbour_has_it_not(code: str) -> None:
    example = EXAMPLES[code]
    found = validate(example.good, example.commands, example.breakers)
    assert code not in {problem.code for problem in found.problems}
    if code != "MORE_PROBLEMS":
        assert found.errors == ()
        assert found.definition is not None


@pytest.mark.parametrize("code", CODES)
def test_every_code_says_what_it_means_where_it_comes_from_and_what_to_do(code: str) -> None:
    told = CODES[code]
    for text in (told.description, told.cause, told.fix):
        assert text[0].isupper()
        assert text.endswith(".")
