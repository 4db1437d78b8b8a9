from __future__ import annotations

from typing import Any

import pytest

from engine.validation import Problem, Severity
from engine.validation.problem import pointer
from tests.support.definitions import Raw, command, node, phase
from tests.unit.engine.validation.examples import one, validate


def unknown(raw: Raw) -> list[Problem]:
    return [problem for problem in validate(raw).problems if problem.code == "UNKNOWN_FIELD"]


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("dependancies", "dependencies"),
        ("dependency", "dependencies"),
        ("dependsOn", "dependencies"),
        ("agent_id", "agentId"),
        ("AgentID", "agentId"),
        ("timeOut", "timeout"),
        ("timeoutMs", "timeout"),
        ("estimate", "estimatedTime"),
        ("retry", "retryPolicy"),
        ("contexts", "context"),
    ],
)
def test_a_slip_is_an_error_that_names_the_field(slip: str, meant: str) -> None:
    [problem] = unknown(one(node("build") | {slip: None}))
    assert problem.severity is Severity.ERROR
    assert problem.message == f'Unknown field "{slip}"; did you mean "{meant}"?'
    assert problem.suggestion == f'Rename it to "{meant}".'
    assert problem.pointer == f"/phases/0/agents/0/{slip}"


def test_a_slip_is_read_as_what_was_meant_and_pointed_to_as_it_was_written() -> None:
    raw = command({"id": "one", "name": "One", "agnets": [node("ship", dependancies=["ghost"], minutes=1)]})
    del raw["phases"][0]["agnets"][0]["dependencies"]
    assert [(problem.code, problem.pointer) for problem in validate(raw).errors] == [
        ("UNKNOWN_FIELD", "/phases/0/agnets"),
        ("UNKNOWN_FIELD", "/phases/0/agnets/0/dependancies"),
        ("UNKNOWN_DEPENDENCY", "/phases/0/agnets/0/dependancies/0"),
    ]


def test_a_fault_in_a_slip_points_to_what_was_written() -> None:
    pointers = {problem.code: problem.pointer for problem in validate(one(node("build", pririty="x"))).errors}
    assert pointers == {"UNKNOWN_FIELD": "/phases/0/agents/0/pririty", "SCHEMA": "/phases/0/agents/0/pririty"}


def test_a_slip_beside_the_field_does_not_replace_it() -> None:
    found = validate(one(node("build", dependancies=["ghost"])))
    assert [problem.code for problem in found.errors] == ["UNKNOWN_FIELD"]


@pytest.mark.parametrize(
    "name", ["requiredAgents", "requirementsFile", "deprecatedSince", "examplesUrl", "tagsRequired"]
)
def test_a_longer_name_with_a_word_of_its_own_is_no_slip(name: str) -> None:
    [problem] = unknown(one(node("build")) | {"metadata": {name: ["senior-reviewer"]}})
    assert problem.severity is Severity.WARNING
    assert "is ignored" in problem.message


@pytest.mark.parametrize("name", ["reviewer", "icon", "", "~", "a/b"])
def test_any_other_field_is_a_warning(name: str) -> None:
    [problem] = unknown(one(node("build") | {name: 1}))
    assert problem.severity is Severity.WARNING
    assert problem.suggestion == 'Remove it, or start its name with "x-".'
    assert problem.pointer == "/phases/0/agents/0" + pointer(name)


def test_a_field_of_another_object_is_told_where_it_belongs() -> None:
    [problem] = unknown(one(node("build", maxAttempts=3)))
    assert problem.suggestion == '"maxAttempts" belongs to "retryPolicy".'
    [problem] = unknown(one(node("build", arguments=[])))
    assert problem.suggestion == '"arguments" belongs to the command itself.'


def test_notes_are_fine_everywhere() -> None:
    notes = {"$comment": "why", "x-owner": "us"}
    raw = command(phase("one", node("build", retryPolicy={"maxAttempts": 1} | notes) | notes, **notes), **notes)
    assert unknown(raw | {"$schema": "https://example.org/command-v2.json"}) == []


def test_values_of_ones_own_are_not_looked_into() -> None:
    inputs = [{"key": "a", "required": False, "default": {"dependancies": 1}}]
    raw = one(node("build", context={"inputs": inputs})) | {"globalContext": {"initial": {"agentid": 1}}}
    assert unknown(raw) == []


def test_names_that_are_no_text_are_told_and_do_no_harm() -> None:
    build: dict[Any, Any] = node("build")
    raw = one(build | {5: "x"})
    [problem] = unknown(raw)
    assert problem.pointer == "/phases/0/agents/0/5"


def test_lists_in_lists_are_left_to_the_model() -> None:
    nested: Any = []
    for _ in range(3000):
        nested = [nested]
    assert {problem.code for problem in validate(one(nested)).errors} == {"SCHEMA"}
