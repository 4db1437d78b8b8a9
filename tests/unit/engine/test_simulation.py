"""What is made to fail or given by name must be there, so that a slip proves nothing that did not happen."""

from __future__ import annotations

import pytest

from engine.errors import InputError
from engine.executors.simulate import parse_fault, parse_value, values_by_node
from engine.model.agent import Agent, AgentKind
from engine.run.events import RunStatus
from engine.simulation import Scenario, Simulated, simulate
from tests.support.definitions import command, node, phase, plan

UNDO = {"type": "rollback", "task": "Undo it"}
REPORT = {"outputs": [{"key": "report"}]}
RAW = command(phase("work", node("first-node", context=REPORT), node("other-thing", agent="program")))
PROGRAM = Agent(id="program", kind=AgentKind.PROCESS, command=("true",))


def scenario(fail: str | None, given: str | None) -> Scenario:
    return Scenario(
        faults=dict([parse_fault(fail)]) if fail else {},
        values=values_by_node([parse_value(given)]) if given else {},
    )


@pytest.mark.parametrize(
    ("fail", "given", "code", "message", "hint"),
    [
        ("frist-node=error", None, "INVALID_FAULT", 'no node "frist-node"', 'Did you mean "first-node"?'),
        ("zzz:2=error", None, "INVALID_FAULT", 'no node "zzz"', "Its nodes are first-node, other-thing."),
        (None, "frist-node.report=1", "INVALID_VALUE", 'no node "frist-node"', 'Did you mean "first-node"?'),
        (None, "first-node.reprot=1", "INVALID_VALUE", 'no output "reprot"', 'Did you mean "report"?'),
        (None, "first-node.zzz=1", "INVALID_VALUE", 'no output "zzz"', "Its outputs are report."),
        (None, "other-thing.zzz=1", "INVALID_VALUE", 'no output "zzz"', "It declares none."),
    ],
)
def test_a_name_that_the_plan_does_not_have_is_an_error_with_the_nearest_one(
    fail: str | None, given: str | None, code: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        simulate(plan(RAW, agents=(PROGRAM,)), scenario(fail, given))
    assert (caught.value.code, caught.value.hint) == (code, hint)


@pytest.mark.parametrize(("fail", "given"), [("call=error", None), (None, "call.report=1")])
def test_a_sub_command_does_no_work_that_could_fail_or_be_given(fail: str | None, given: str | None) -> None:
    outer = command(phase("work", node("call", agent="command", task="/inner")))
    inner = command(phase("work", node("deep-node", context=REPORT)), name="/inner")
    with pytest.raises(InputError, match='"call" is a sub-command') as caught:
        simulate(plan(outer, inner), scenario(fail, given))
    assert caught.value.hint == "Name a node inside it: call/deep-node."


def test_undoing_a_sub_command_can_be_made_to_fail() -> None:
    call = node("call", agent="command", task="/inner", compensation={**UNDO, "agentId": "undoer"})
    outer = command(phase("work", call, node("last-node", "call")))
    inner = command(phase("work", node("deep-node")), name="/inner")
    faults = dict(parse_fault(text) for text in ("last-node=error", "call:2=error"))
    done = simulate(plan(outer, inner), Scenario(faults=faults))
    assert done.run.status is RunStatus.COMPENSATION_FAILED


def test_the_result_of_a_simulation_is_never_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Simulated] = []

    def write(result: Simulated) -> str:
        written.append(result)
        return ""

    monkeypatch.setattr(Simulated, "__repr__", write)
    assert simulate(plan(command(phase("one", node("a")))), Scenario()).run.status is RunStatus.COMPLETED
    assert written == []  # it is as long as the run: asyncio would write it to compare a signal handler
