"""The rules about phases in place, and all other rules inside them."""

from __future__ import annotations

import pytest

from engine.validation import Severity
from tests.support.definitions import Raw, command, node, phase
from tests.unit.engine.validation.examples import call, one, place, reads, validate, writes


def found(raw: Raw, *commands: Raw) -> list[tuple[str, str]]:
    """Codes and places of the problems of *raw*."""
    return [(problem.code, problem.pointer) for problem in validate(raw, commands).problems]


def errors(raw: Raw, *commands: Raw) -> list[tuple[str, str]]:
    """Codes and places of the errors of *raw*."""
    problems = validate(raw, commands).problems
    return [(problem.code, problem.pointer) for problem in problems if problem.severity is Severity.ERROR]


INSIDE = "/phases/0/agents/0/phases/0/agents/0"


def test_a_group_of_phases_is_valid() -> None:
    assert found(one(place("deploy", node("build"), node("ship", "build", context=reads())))) != []
    assert errors(one(place("deploy", node("build")))) == []


@pytest.mark.parametrize(
    ("fields", "where"),
    [({"agentId": "worker"}, "/agentId"), ({"retryPolicy": {"maxAttempts": 1}}, "/retryPolicy")],
)
def test_what_belongs_to_an_agent_is_refused(fields: Raw, where: str) -> None:
    assert errors(one(place("deploy", node("build"), **fields))) == [("SCHEMA", f"/phases/0/agents/0{where}")]


def test_a_node_without_agent_and_phases_is_refused_at_any_depth() -> None:
    lazy = {"id": "lazy", "task": "Do nothing"}
    assert errors(one(place("deploy", lazy))) == [("SCHEMA", f"{INSIDE}/agentId")]


def test_phases_in_place_have_at_least_one_phase() -> None:
    assert errors(one(place("deploy", node("build")) | {"phases": []})) == [("SCHEMA", "/phases/0/agents/0/phases")]


@pytest.mark.parametrize(
    ("inner", "problem"),
    [
        (node("build", agent="nobody"), ("AGENT_NOT_FOUND", f"{INSIDE}/agentId")),
        (node("build", "outer"), ("UNKNOWN_DEPENDENCY", f"{INSIDE}/dependencies/0")),
        (node("build", context=reads("secret")), ("INPUT_WITHOUT_PROVIDER", f"{INSIDE}/context/inputs/0/key")),
        (
            node("build", compensation={"type": "cascade", "rollbackTo": "outer"}),
            ("UNKNOWN_ROLLBACK_TARGET", f"{INSIDE}/compensation/rollbackTo"),
        ),
        (call("build", "/lost"), ("UNKNOWN_COMMAND", f"{INSIDE}/task")),
        (node("build", priority="high"), ("SCHEMA", f"{INSIDE}/priority")),
    ],
)
def test_rules_hold_inside_and_names_of_outside_are_unknown_there(inner: Raw, problem: tuple[str, str]) -> None:
    assert errors(one(place("deploy", inner), node("outer", context=writes("secret")))) == [problem]


def test_ids_and_keys_inside_are_their_own() -> None:
    inner = node("build", context=writes("image"))
    assert errors(one(place("deploy", inner), node("build", context=writes("image")))) == []


def test_inputs_of_the_node_are_known_inside_and_all_with_passthrough() -> None:
    writer, reader = node("find", context=writes("files")), node("build", context=reads("files"))
    for context in (reads("files"), {"passthrough": True}):
        assert errors(one(writer, place("deploy", reader, needs=("find",), context=context))) == []
    assert [code for code, _ in errors(one(writer, place("deploy", reader, needs=("find",))))] == [
        "INPUT_WITHOUT_PROVIDER"
    ]


def test_an_output_of_the_node_comes_from_inside() -> None:
    inner = node("build", context=writes("image"))
    assert errors(one(place("deploy", inner, context=writes("image")))) == []
    at = "/phases/0/agents/0/context/outputs/0/key"
    assert errors(one(place("deploy", inner, context=writes("imgae")))) == [("OUTPUT_WITHOUT_PROVIDER", at)]


def test_an_output_that_the_node_hands_out_is_used() -> None:
    inner = node("build", context=writes("image", "log"))
    used = found(one(place("deploy", inner, context=writes("image", persist=True))))
    assert [where for code, where in used if code == "UNUSED_OUTPUT"] == [f"{INSIDE}/context/outputs/1"]


def test_a_condition_may_skip_the_only_writer_of_an_output() -> None:
    skip = {"type": "context", "expression": "files == 0"}
    inner = node("build", context=writes("image"), skipCondition=skip)
    codes = [code for code, _ in found(one(place("deploy", inner, context=writes("image"))))]
    assert "PROVIDER_MAY_BE_SKIPPED" in codes
    given = one(node("find", context=writes("image")), place("x", inner, needs=("find",), context=_both("image")))
    assert "PROVIDER_MAY_BE_SKIPPED" not in [code for code, _ in found(given)]


def test_a_writer_inside_phases_of_a_sub_command_counts_too() -> None:
    skip = {"type": "context", "expression": "files == 0"}
    inner = place("make", node("build", context=writes("image"), skipCondition=skip), context=writes("image"))
    deploy = command(phase("only", inner), name="/deploy")
    calls = call("deploy", "/deploy", context=writes("image", persist=True))
    assert ("PROVIDER_MAY_BE_SKIPPED", "/phases/0/agents/0/context/outputs/0/key") in found(one(calls), deploy)


def _both(key: str) -> Raw:
    return {"inputs": [{"key": key}], "outputs": [{"key": key, "ttl": 60}]}


def test_phases_cannot_undo_without_an_agent() -> None:
    undo = {"type": "rollback", "task": "Undo it"}
    at = "/phases/0/agents/0/compensation"
    assert errors(one(place("deploy", node("build"), compensation=undo))) == [("AGENT_NOT_FOUND", at)]
    assert errors(one(place("deploy", node("build"), compensation=undo | {"agentId": "worker"}))) == []


def test_a_command_that_runs_itself_from_within_phases_is_recursive() -> None:
    assert [code for code, _ in errors(one(place("deploy", call("again", "/test"))))] == ["RECURSIVE_COMMAND"]


def test_levels_of_phases_and_sub_commands_count_together() -> None:
    def nested(levels: int, leaf: Raw) -> Raw:
        return place(f"level-{levels}", nested(levels - 1, leaf) if levels > 1 else leaf)

    inner = command(phase("only", place("deep", node("leaf"))), name="/inner")
    assert errors(one(nested(20, node("leaf")))) == []
    assert [code for code, _ in errors(one(nested(21, node("leaf"))))] == ["TOO_MANY_NODES"]
    assert errors(one(nested(18, call("go", "/inner"))), inner) == []
    assert [code for code, _ in errors(one(nested(19, call("go", "/inner"))), inner)] == ["TOO_MANY_NODES"]
