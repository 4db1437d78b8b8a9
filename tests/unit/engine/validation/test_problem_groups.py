"""Warnings that are alike are one with their number."""

from __future__ import annotations

from engine.validation import Problem, Severity, grouped, validate_definition
from tests.support.definitions import command, node, phase


def warnings(code: str, count: int) -> list[Problem]:
    return [Problem(code, Severity.WARNING, f"number {number}", f"/{number}") for number in range(count)]


def test_more_than_three_warnings_of_one_code_are_one_and_errors_stay_alone() -> None:
    errors = [Problem("SCHEMA", Severity.ERROR, f"number {number}", f"/{number}") for number in range(5)]
    found = grouped([*errors, *warnings("WEAK_ID", 60), *warnings("LONG_ESTIMATE", 3)])
    assert [one.code for one in found] == ["SCHEMA"] * 5 + ["WEAK_ID"] + ["LONG_ESTIMATE"] * 3
    assert [other.pointer for other in found[5].more] == [f"/{number}" for number in range(1, 60)]


def test_warnings_of_one_code_that_say_different_things_are_told_each() -> None:
    said = [f"`{name}` is not carried over" for name in ("a", "b", "c", "d")]
    same = [f"Step {number} (\"Bake {number}\") has no time, as has 'it {number}'" for number in range(4)]
    found = grouped([Problem("V1_NOT_CARRIED", Severity.WARNING, text) for text in (*said, *same)])
    assert [(one.message, len(one.more)) for one in found] == [*((text, 0) for text in said), (same[0], 3)]


def test_hints_of_weak_ids_never_propose_one_id_twice() -> None:
    nodes = [{**node(f"a{number}"), "task": "Check the links"} for number in range(1, 5)]
    found = validate_definition(command(phase("p", *nodes)), agents=()).problems
    hints = [one.suggestion for one in found if one.code == "WEAK_ID"]
    assert len(set(hints)) == len(hints) == 4
