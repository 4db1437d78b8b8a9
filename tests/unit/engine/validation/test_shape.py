from __future__ import annotations

from typing import Any

import pytest

from engine.validation import Severity
from tests.support.definitions import Raw, command, node, phase
from tests.unit.engine.validation.examples import one, validate


def schema(raw: object) -> dict[str, tuple[str, str | None]]:
    return {
        problem.pointer: (problem.message, problem.suggestion)
        for problem in validate(raw).problems
        if problem.code == "SCHEMA"
    }


def codes(raw: object) -> list[tuple[str, str]]:
    return [(problem.code, problem.pointer) for problem in validate(raw).errors]


@pytest.mark.parametrize("raw", [None, [], "text", 5])
def test_what_is_no_object_is_no_command(raw: object) -> None:
    found = validate(raw)
    assert [problem.message for problem in found.errors] == ["A command must be a JSON object"]
    assert found.definition is None


QUOTES = "Put it in double quotes."
NO_NULL = "Write a value, or leave the field out if it is not required."
MINUTES = "Write 120: the field is in seconds."


@pytest.mark.parametrize(
    ("fields", "pointer", "message", "suggestion"),
    [
        ({"version": "2.0"}, "/version", '"version" must be "2.0.0", not "2.0"', 'Write "2.0.0".'),
        (
            {"name": "Review Code"},
            "/name",
            (
                '"name" must be a slash followed by lower-case letters, digits and hyphens, such as "/review-code", '
                'not "Review Code"'
            ),
            'Write "/review-code".',
        ),
        ({"name": "///"}, "/name", None, 'Write something like "/review-code".'),
        ({"name": 5}, "/name", '"name" must be text, not a number', QUOTES),
        ({"description": ""}, "/description", '"description" must have at least 1 character, not 0', None),
        ({"description": "x" * 201}, "/description", '"description" must have at most 200 characters, not 201', None),
        ({"phases": []}, "/phases", '"phases" needs at least one phase', None),
        ({"phases": {}}, "/phases", '"phases" must be a list, not an object', None),
        ({"metadata": {"tags": "a"}}, "/metadata/tags", '"tags" must be a list, not text', 'Write ["a"].'),
        ({"metadata": {"tags": ["a", 5]}}, "/metadata/tags/1", '"tags[1]" must be text, not a number', QUOTES),
        ({"metadata": {"tags": ["a", []]}}, "/metadata/tags/1", '"tags[1]" must be text, not a list', None),
        ({"metadata": {"version": "1.2"}}, "/metadata/version", None, 'Write "1.2.0".'),
        ({"metadata": []}, "/metadata", '"metadata" must be an object, not a list', None),
        ({"metadata": None}, "/metadata", '"metadata" must be an object, not null', NO_NULL),
        ({"globalContext": {"initial": []}}, "/globalContext/initial", '"initial" must be an object, not a list', None),
        ({"globalContext": {"initial": {"": 1}}}, "/globalContext/initial/", None, None),
    ],
)
def test_the_command_itself(fields: Raw, pointer: str, message: str | None, suggestion: str | None) -> None:
    told = schema(command(phase("one", node("build"))) | fields)
    assert list(told) == [pointer]
    assert message is None or told[pointer][0] == message
    assert told[pointer][1] == suggestion


@pytest.mark.parametrize(
    ("field", "value", "message", "suggestion"),
    [
        ("priority", 1.5, "must be a whole number, not a number", "Write 2."),
        ("estimatedTime", "5000", "must be a whole number, not text", "Write 5000 without quotes."),
        ("estimatedTime", 0, "must be greater than 0, not 0", None),
        ("estimatedTime", 10**12, "must be at most 2592000000 (30 days), not 1000000000000", None),
        ("estimatedTime", True, "must be a whole number, not a boolean", None),
        ("estimatedTime", "5s", "must be a whole number, not text", "Write 5000: the field is in milliseconds."),
        ("timeout", "1.5 hours", "must be a whole number, not text", "Write 5400000: the field is in milliseconds."),
        ("estimatedTime", "250 MS", "must be a whole number, not text", "Write 250: the field is in milliseconds."),
        ("estimatedTime", "soon", "must be a whole number, not text", None),
        ("priority", "5s", "must be a whole number, not text", None),
        ("idempotent", "False", "must be true or false, not text", "Write false without quotes."),
        ("idempotent", "perhaps", "must be true or false, not text", None),
        ("dependencies", "a", "must be a list, not text", 'Write ["a"].'),
        ("dependencies", {"a": 1}, "must be a list, not an object", None),
        ("dependencies", None, "must be a list, not null", NO_NULL),
        ("idempotent", None, "must be true or false, not null", NO_NULL),
    ],
)
def test_a_field_of_a_node(field: str, value: object, message: str, suggestion: str | None) -> None:
    told = schema(one(node("build") | {field: value}))
    assert told == {f"/phases/0/agents/0/{field}": (f'"{field}" {message}', suggestion)}


STRATEGIES = "immediate, linear, exponential, fibonacci"
QUOTED = '"immediate", "linear", "exponential", "fibonacci"'


@pytest.mark.parametrize(
    ("field", "value", "message", "suggestion"),
    [
        ("maxAttempts", 11, "must be at most 10, not 11", None),
        ("initialDelay", -1, "must be at least 0, not -1", None),
        ("strategy", "exponental", f'must be one of {QUOTED}, not "exponental"', 'Write "exponential".'),
        ("strategy", 5, f"must be one of {QUOTED}, not 5", f"Write one of {STRATEGIES}."),
        ("strategy", ["x"], f"must be one of {QUOTED}, not a list", f"Write one of {STRATEGIES}."),
        ("backoffMultiplier", "two", "must be a number, not text", None),
        ("backoffMultiplier", {}, "must be a number, not an object", None),
        ("backoffMultiplier", float("inf"), "must be a finite number", None),
    ],
)
def test_a_field_of_a_retry_policy(field: str, value: object, message: str, suggestion: str | None) -> None:
    told = schema(one(node("build", retryPolicy={"maxAttempts": 1} | {field: value})))
    assert told == {f"/phases/0/agents/0/retryPolicy/{field}": (f'"{field}" {message}', suggestion)}


@pytest.mark.parametrize(
    ("fields", "place", "suggestion"),
    [
        ({"retryPolicy": {}}, "retryPolicy/maxAttempts", 'Add "maxAttempts".'),
        ({"context": {"outputs": [{"key": "a", "ttl": "2 min"}]}}, "context/outputs/0/ttl", MINUTES),
        ({"context": {"outputs": [{"key": "a", "schema": 5}]}}, "context/outputs/0/schema", None),
        ({"resources": {"locks": [{"resource": "a b"}]}}, "resources/locks/0/resource", 'Write "a-b".'),
        ({"approval": {"message": "x" * 20_001}}, "approval/message", None),
    ],
)
def test_parts_of_a_node(fields: Raw, place: str, suggestion: str | None) -> None:
    [(pointer, (_, told))] = schema(one(node("build") | fields)).items()
    assert pointer == f"/phases/0/agents/0/{place}"
    assert told == suggestion


def test_long_values_are_cut_in_messages() -> None:
    [(message, _)] = schema(one(node("build")) | {"name": "x" * 199 + "!"}).values()
    assert len(message) < 250


def test_items_that_cannot_be_read_do_not_make_their_list_look_empty() -> None:
    assert codes(one("junk")) == [("SCHEMA", "/phases/0/agents/0")]  # type: ignore[arg-type]


def test_other_rules_run_on_what_can_be_read_and_point_into_the_file() -> None:
    junk: Any = "junk"
    raw = command(
        junk,
        phase("one", {"task": 5}, junk, node("build") | {"dependencies": [7, "ghost"], "timeout": 5, "priority": "x"}),
        phase("two", node("ship", agent="nobody", context={"inputs": [5, {"key": "lost"}]}), node("build"))
        | {"name": 5},
    )
    assert codes(raw) == [
        ("SCHEMA", "/phases/0"),
        ("SCHEMA", "/phases/1/agents/0/id"),
        ("SCHEMA", "/phases/1/agents/0/task"),
        ("SCHEMA", "/phases/1/agents/1"),
        ("SCHEMA", "/phases/1/agents/2/dependencies/0"),
        ("SCHEMA", "/phases/1/agents/2/priority"),
        ("SCHEMA", "/phases/2/name"),
        ("SCHEMA", "/phases/2/agents/0/context/inputs/0"),
        ("SCHEMA", "/phases/1/agents/0/agentId"),
        ("DUPLICATE_NODE_ID", "/phases/2/agents/1/id"),
        ("UNKNOWN_DEPENDENCY", "/phases/1/agents/2/dependencies/1"),
        ("AGENT_NOT_FOUND", "/phases/2/agents/0/agentId"),
        ("INPUT_WITHOUT_PROVIDER", "/phases/2/agents/0/context/inputs/1/key"),
        ("TIMEOUT_NOT_ABOVE_ESTIMATE", "/phases/1/agents/2/timeout"),
    ]


def test_two_nodes_without_id_are_not_two_nodes_with_one() -> None:
    raw = one({"agentId": "worker", "task": "x"}, {"agentId": "worker", "task": "y"})
    assert codes(raw) == [("SCHEMA", "/phases/0/agents/0/id"), ("SCHEMA", "/phases/0/agents/1/id")]


def test_a_part_with_several_faults_is_left_out_once() -> None:
    policy: Raw = {"strategy": "x", "maxAttempts": 0, "maxDelay": "y", "retryableErrors": [1]}
    for fields in (policy, dict(reversed(policy.items()))):
        assert len(codes(one(node("build", retryPolicy=fields)))) == 4


def test_faults_inside_an_item_that_is_left_out_do_no_harm() -> None:
    inputs: list[Any] = [{"required": "x", "key": 5, "transform": 3}, {"key": "lost"}]
    found = codes(one(node("build", context={"inputs": inputs})))
    assert ("INPUT_WITHOUT_PROVIDER", "/phases/0/agents/0/context/inputs/1/key") in found
    assert len(found) == 4


def test_messages_use_the_name_of_the_file_even_where_it_is_none() -> None:
    raw = one(node("build", "build")) | {"name": "My Command"}
    message = next(problem.message for problem in validate(raw).errors if problem.code == "CIRCULAR_DEPENDENCY")
    assert message == "Circular dependency detected in command 'My Command'\n  build → build"


def test_a_file_with_shape_errors_has_no_definition_and_one_with_other_errors_has() -> None:
    assert validate(one(node("build", priority="x"))).definition is None
    assert validate(one(node("build", dependancies=[]))).definition is None
    assert validate(one(node("build", "ghost"))).definition is not None


def test_errors_and_warnings_come_apart_and_only_errors_make_invalid() -> None:
    found = validate(one(node("a1")))
    assert [problem.code for problem in found.warnings] == ["WEAK_ID"]
    assert found.errors == ()
    assert found.valid


def test_problems_beyond_the_limit_are_counted_errors_and_warnings_apart() -> None:
    raw = one(*(node(f"t{at}", agent="nobody") for at in range(250)))
    found = validate(raw)
    assert sum(problem.severity is Severity.ERROR for problem in found.problems) == 201
    assert sum(problem.severity is Severity.WARNING for problem in found.problems) == 200
    assert found.problems[-1].message == "There are more problems: 50 errors and 50 warnings"


def test_more_warnings_alone_are_a_warning() -> None:
    found = validate(one(*(node(f"t{at}") for at in range(201))))
    assert found.valid
    assert found.problems[-1].severity is Severity.WARNING


def test_a_single_problem_beyond_the_limit_is_counted_in_the_singular() -> None:
    found = validate(one(*(node(f"t{at}", agent="nobody") for at in range(201))))
    assert found.problems[-1].message == "There are more problems: 1 error and 1 warning"
