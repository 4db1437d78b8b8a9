from __future__ import annotations

from typing import Any

import pytest

from engine.executors.claude.result import judge
from engine.executors.claude.session import Session
from engine.executors.port import OutputSpec

INIT = {"type": "system", "subtype": "init"}
ANSWER = {"outputs": {"n": 3}}
DONE = {"type": "result", "is_error": False, "structured_output": ANSWER}
OVER_BUDGET = {"type": "result", "subtype": "error_max_budget_usd", "is_error": True, "errors": ["Reached it"]}
COUNT = [OutputSpec(key="n", schema={"type": "integer"})]


def uses(*tools: tuple[str, str, object], parent: str | None = None) -> dict[str, Any]:
    """The model asks for *tools*: id, name and input of each."""
    content = [{"type": "tool_use", "id": key, "name": name, "input": given} for key, name, given in tools]
    return {"type": "assistant", "parent_tool_use_id": parent, "message": {"content": content}}


def answers(*keys: str, parent: str | None = None) -> dict[str, Any]:
    """The tools of these ids have run."""
    content = [{"type": "tool_result", "tool_use_id": key} for key in keys]
    return {"type": "user", "parent_tool_use_id": parent, "message": {"content": content}}


def code(*messages: dict[str, Any]) -> str | None:
    failure = judge(Session(COUNT, messages), exit_code=1, stderr="").failure
    return None if failure is None else failure.code


def test_a_session_is_over_with_an_answer_and_no_turn_under_way() -> None:
    session = Session(COUNT)
    seen = []
    other = {"type": "system", "subtype": "task_updated"}
    subagent = uses(("z", "Read", {}), parent="a")
    later = {"type": "result", "is_error": True}
    for message in (INIT, uses(("a", "StructuredOutput", ANSWER)), answers("a"), DONE, other, subagent, INIT, later):
        session.take(message)
        seen.append(session.is_over)
    assert seen == [False, False, False, True, True, True, False, True]
    assert session.has_answer


@pytest.mark.parametrize("given", [{"outputs": {"n": "3"}}, {"outputs": {}}, {"n": 3}, [3], None])
def test_a_session_goes_on_while_its_answer_has_not_the_form(given: object) -> None:
    session = Session(COUNT, [INIT, {**DONE, "structured_output": given}])
    assert not session.is_over
    assert not session.has_answer


def test_a_failure_that_the_agent_tells_is_an_answer() -> None:
    told = {"failure": {"kind": "error", "code": "NO_BEANS", "message": "none"}}
    session = Session(COUNT, [INIT, {**DONE, "structured_output": told}])
    assert session.is_over
    assert code(INIT, {**DONE, "structured_output": told}, OVER_BUDGET) == "NO_BEANS"


def test_an_answer_that_was_not_asked_for_with_a_schema_has_the_form() -> None:
    assert Session([OutputSpec(key="n"), OutputSpec(key="m", required=False)], [DONE]).is_over


def test_an_answer_in_the_turn_that_crosses_the_budget_counts() -> None:
    outcome = judge(
        Session(
            COUNT, [INIT, uses(("a", "Bash", {})), answers("a"), uses(("b", "StructuredOutput", ANSWER)), OVER_BUDGET]
        ),
        exit_code=1,
        stderr="",
    )
    assert outcome.outputs == {"n": 3}


@pytest.mark.parametrize(
    "turn",
    [
        [uses(("a", "StructuredOutput", {"outputs": {"n": "x"}}))],
        [uses(("a", "StructuredOutput", ANSWER)), answers("a"), uses(("b", "Read", {}))],
        [uses(("a", "Bash", {"command": "make it true"})), uses(("b", "StructuredOutput", ANSWER))],
        [uses(("a", "StructuredOutput", ANSWER), parent="sub")],
        [uses(("a", "Bash", ANSWER))],
        [],
    ],
)
def test_what_is_no_answer_to_the_whole_work_does_not_count_in_the_turn_that_crosses_the_budget(
    turn: list[dict[str, Any]],
) -> None:
    assert code(INIT, *turn, OVER_BUDGET) == "BUDGET_EXCEEDED"


def test_an_answer_that_was_asked_for_but_not_taken_counts_after_no_other_error() -> None:
    error = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 500}
    assert code(INIT, uses(("a", "StructuredOutput", ANSWER)), error) == "API_ERROR"
