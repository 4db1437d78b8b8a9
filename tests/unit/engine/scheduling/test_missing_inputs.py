"""A node that lacks an input says who should have written it, and why nothing came."""

from __future__ import annotations

from typing import Any

import pytest

from engine.executors.simulate import parse_fault, parse_value, values_by_node
from engine.ids import NodeId
from engine.simulation import Scenario, simulate
from tests.support.definitions import command, node, phase, plan

SKIP = {"type": "context", "expression": "true", "skipMessage": "nothing to fix"}


def message_of(first: dict[str, Any], wanted: dict[str, Any], scenario: Scenario | None = None, **fields: Any) -> str:  # noqa: ANN401
    """Why the node fails that wants an input of the node before it."""
    writer = node("fix", context={"outputs": [{"key": "patch"}]}, **first)
    reader = node("verify", context={"inputs": [{"key": "patch", **wanted}]})
    raw = command(phase("one", writer, **fields), phase("two", reader))
    failure = simulate(plan(raw), scenario or Scenario()).run.nodes[NodeId("verify")].failure
    assert failure is not None
    assert failure.code == "MISSING_INPUT"
    assert failure.message.startswith('Required input "patch" not found for node "verify"\nAvailable context keys: [')
    return failure.message.splitlines()[-1]


def test_a_skipped_writer_is_named_with_its_reason() -> None:
    assert message_of({"skipCondition": SKIP}, {}) == 'Node "fix", which writes "patch", was skipped: nothing to fix'


def test_a_writer_that_has_not_run_yet_is_not_named() -> None:
    output = {"outputs": [{"key": "patch"}]}
    reader = node("verify", context={"inputs": [{"key": "patch"}]})
    phases = [phase("one", node("fix", context=output, skipCondition=SKIP)), phase("two", reader)]
    later = phase("three", node("fix-again", context=output))
    failure = simulate(plan(command(*phases, later)), Scenario()).run.nodes[NodeId("verify")].failure
    assert failure is not None
    assert "fix-again" not in failure.message


def test_a_failed_writer_is_named_with_its_failure() -> None:
    asked = Scenario(faults=dict([parse_fault("fix=error/BUSY")]))
    told = message_of({}, {}, asked, continueOnError=True)
    assert told == 'Node "fix", which writes "patch", failed with BUSY: simulated failure of fix'


@pytest.mark.parametrize("value", ['"a text"', "5", '{"files": 3}'])
def test_a_wildcard_that_finds_nothing_is_told_as_such(value: str) -> None:
    values = values_by_node([parse_value(f"fix.patch={value}")])
    told = message_of({}, {"transform": "$.files[*].name"}, Scenario(values=values))
    assert told == 'The transform $.files[*].name finds nothing in the value of "patch"'


def test_a_sub_command_that_gave_no_output_says_which_node_in_it_was_skipped() -> None:
    inner = command(phase("a", node("fix", skipCondition=SKIP, context={"outputs": [{"key": "patch"}]})), name="/inner")
    call = node("call-it", agent="command", task="/inner", context={"outputs": [{"key": "patch"}]})
    failure = simulate(plan(command(phase("one", call)), inner), Scenario()).run.nodes[NodeId("call-it")].failure
    assert failure is not None
    assert failure.message.splitlines() == [
        'Sub-command "call-it" produced no output "patch"',
        'Node "call-it/fix", which writes "patch", was skipped: nothing to fix',
    ]
