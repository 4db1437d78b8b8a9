from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.executors.claude.result import action_of, judge, parse_line
from engine.executors.claude.session import Session
from engine.executors.port import OutputSpec
from engine.model.policy import Failure, FailureKind

RECORDED = Path(__file__).parents[4] / "support" / "claude_results"


def recorded(name: str) -> list[dict[str, Any]]:
    lines = (RECORDED / f"{name}.jsonl").read_bytes().splitlines()
    return [message for message in map(parse_line, lines) if message is not None]


def result(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of a result
    return {"type": "result", "subtype": "success", "is_error": False, "permission_denials": [], **fields}


def failure_of(*messages: dict[str, Any], exit_code: int = 0, stderr: str = "") -> Failure:
    failure = judge(Session(messages=messages), exit_code=exit_code, stderr=stderr).failure
    assert failure is not None
    return failure


@pytest.mark.parametrize(
    ("name", "exit_code", "kind", "code"),
    [
        ("budget", 1, FailureKind.ERROR, "BUDGET_EXCEEDED"),
        ("denied_tool", 0, FailureKind.ERROR, "PERMISSION_DENIED"),
        ("max_turns", 1, FailureKind.ERROR, "MAX_TURNS"),
        ("overloaded", 1, FailureKind.ERROR, "OVERLOADED"),
        ("rate_limited", 1, FailureKind.ERROR, "RATE_LIMIT"),
        ("unauthorized", 1, FailureKind.ERROR, "AUTHENTICATION"),
        ("structured_invalid", 1, FailureKind.VALIDATION, "NO_STRUCTURED_OUTPUT"),
        ("structured_missing", 0, FailureKind.VALIDATION, "NO_STRUCTURED_OUTPUT"),
        ("text", 0, FailureKind.VALIDATION, "NO_STRUCTURED_OUTPUT"),
    ],
)
def test_a_recorded_failure_of_the_real_program_is_told_by_its_cause(
    name: str, exit_code: int, kind: FailureKind, code: str
) -> None:
    outcome = judge(Session(messages=recorded(name)), exit_code=exit_code, stderr="")
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.code) == (kind, code)
    assert outcome.failure.message
    assert outcome.usage is not None


@pytest.mark.parametrize("name", ["structured", "structured_second_try"])
def test_a_recorded_structured_answer_is_read_as_an_answer(name: str) -> None:
    messages = recorded(name)
    given = messages[-1]["structured_output"]
    messages[-1]["structured_output"] = {"outputs": given}
    outcome = judge(Session(messages=messages), exit_code=0, stderr="")
    assert outcome.failure is None
    assert outcome.outputs == given
    assert outcome.usage is not None
    assert outcome.usage.cost_usd == messages[-1]["total_cost_usd"]
    assert outcome.usage.input_tokens
    assert outcome.usage.output_tokens


def test_a_denial_names_each_tool_once_and_keeps_what_the_agent_said() -> None:
    denials = [{"tool_name": "Bash"}, {"tool_name": "Write"}, {"tool_name": "Bash"}, "odd"]
    failure = failure_of(result(permission_denials=denials, result="I could not"))
    assert "Bash, Write, a tool" in failure.message
    assert failure.partial == "I could not"


def test_a_denial_counts_even_if_an_answer_came_after_it() -> None:
    denied = result(permission_denials=[{"tool_name": "Bash"}], structured_output={"outputs": {"n": 1}})
    assert failure_of(denied).code == "PERMISSION_DENIED"
    assert failure_of(denied, result(structured_output={"outputs": {"n": 2}})).code == "PERMISSION_DENIED"


def test_an_agent_may_say_that_it_failed() -> None:
    told = {"failure": {"kind": "validation", "code": "TESTS_FAILED", "message": "3 tests fail"}}
    assert failure_of(result(structured_output=told)) == Failure(FailureKind.VALIDATION, "TESTS_FAILED", "3 tests fail")


def test_the_last_result_counts() -> None:
    first = result(structured_output={"outputs": {"n": 1}}, total_cost_usd=0.1)
    last = result(structured_output={"outputs": {"n": 2}}, total_cost_usd=0.3)
    outcome = judge(Session(messages=[first, last]), exit_code=0, stderr="")
    assert outcome.outputs == {"n": 2}
    assert outcome.usage is not None
    assert outcome.usage.cost_usd == 0.3  # a total already


def test_an_answer_stays_when_a_later_result_only_reports_that_background_work_ended() -> None:
    first = result(structured_output={"outputs": {"n": 1}})
    assert judge(Session(messages=[first, result(result="noted")]), exit_code=0, stderr="").outputs == {"n": 1}


def test_an_answer_is_not_lost_by_an_error_or_a_denial_of_a_later_turn() -> None:
    first = result(structured_output={"outputs": {"n": 1}}, total_cost_usd=0.1)
    later = [
        result(is_error=True, api_error_status=500, result="API Error: 500", total_cost_usd=0.3),
        result(is_error=True, subtype="error_max_turns"),
        result(permission_denials=[{"tool_name": "Bash"}], total_cost_usd=0.4),
    ]
    outcome = judge(Session(messages=[first, *later]), exit_code=1, stderr="")
    assert outcome.outputs == {"n": 1}
    assert outcome.usage is not None
    assert outcome.usage.cost_usd == 0.4


def test_an_error_after_an_answer_that_has_not_the_form_is_an_error() -> None:
    wrong = result(structured_output={"outputs": {"n": "one"}})
    error = result(is_error=True, api_error_status=500, result="API Error: 500")
    for asked in (OutputSpec(key="n", schema={"type": "integer"}), OutputSpec(key="m")):
        outcome = judge(Session([asked], [wrong, error]), exit_code=1, stderr="")
        assert outcome.failure is not None
        assert outcome.failure.code == "API_ERROR"
        assert judge(Session([asked], [wrong]), exit_code=0, stderr="").outputs == {"n": "one"}, "the engine tells why"
    assert failure_of(result(structured_output={"n": 1}), error).code == "API_ERROR"


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (429, "API Error: Request rejected (429)", "RATE_LIMIT"),
        (429, "You've hit your session limit · resets 3pm", "QUOTA_EXHAUSTED"),
        (None, "Claude AI usage limit reached|1699999999", "QUOTA_EXHAUSTED"),
        (400, "Credit balance is too low", "QUOTA_EXHAUSTED"),
        (529, "overloaded", "OVERLOADED"),
        (503, "unavailable", "API_ERROR"),
        (403, "forbidden", "AUTHENTICATION"),
        (408, "timeout", "CONNECTION_RESET"),
        (404, "no such model", "API_REJECTED"),
        (None, "Not logged in · Please run /login", "AUTHENTICATION"),
        (None, "API Error: Connection refused (ECONNREFUSED)", "CONNECTION_RESET"),
        (None, "API Error: Request timed out.", "CONNECTION_RESET"),
        (None, "something else", "AGENT_ERROR"),
        (None, "", "AGENT_ERROR"),
    ],
)
def test_an_error_is_told_by_status_or_else_by_its_words(status: int | None, text: str, code: str) -> None:
    failure = failure_of(result(is_error=True, api_error_status=status, result=text))
    assert failure.code == code
    assert failure.message


def test_a_result_without_is_error_is_an_error() -> None:
    assert failure_of({"type": "result", "errors": ["a", "b"]}).message == "a; b"


@pytest.mark.parametrize(
    ("exit_code", "stderr", "code", "part"),
    [
        (1, "boom\n", "AGENT_CRASHED", "exited with code 1 before it returned a result: boom"),
        (0, "", "AGENT_CRASHED", "nothing on stderr"),
        (-9, "", "AGENT_CRASHED", "killed by SIGKILL"),
        (1, "--agent 'x' not found. Available agents: claude", "AGENT_NOT_FOUND", "Available agents"),
    ],
)
def test_without_a_result_the_end_of_the_program_tells(exit_code: int, stderr: str, code: str, part: str) -> None:
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": "half way"}]}}
    failure = failure_of(said, {"type": "system"}, exit_code=exit_code, stderr=stderr)
    assert failure.code == code
    assert part in failure.message
    assert code == "AGENT_NOT_FOUND" or failure.partial == "half way"


def test_a_program_that_does_not_know_an_option_is_to_be_updated() -> None:
    failure = failure_of({"type": "system"}, exit_code=1, stderr="error: unknown option '--json-schema={}'\n")
    assert failure.code == "AGENT_CRASHED"
    assert "Update Claude Code" in (failure.hint or "")
    assert failure_of({"type": "system"}, exit_code=1, stderr="boom").hint is None


def test_odd_shapes_of_usage_and_messages_do_not_matter() -> None:
    odd = result(
        structured_output={"outputs": {}},
        total_cost_usd="free",
        modelUsage={"m": {"inputTokens": "x", "outputTokens": 3}, "k": 1},
        permission_denials=None,
    )
    outcome = judge(Session(messages=[{"type": "assistant", "message": "x"}, odd]), exit_code=0, stderr="")
    assert outcome.failure is None
    assert outcome.usage is not None
    assert outcome.usage.cost_usd is None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (0, 3)


def test_without_model_usage_tokens_are_unknown() -> None:
    outcome = judge(
        Session(messages=[result(structured_output={"outputs": {}}, modelUsage=[])]), exit_code=0, stderr=""
    )
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (None, None)


@pytest.mark.parametrize("line", [b"", b"text", b"[1]", b"{broken", b"{" * 100_000, b'{"a":' * 100_000])
def test_a_line_that_is_no_message_is_none(line: bytes) -> None:
    assert parse_line(line) is None


def test_a_line_is_a_message() -> None:
    assert parse_line(b' {"type": "result"}\r') == {"type": "result"}


def using(tool: str, **given: object) -> dict[str, Any]:
    blocks = [{"type": "text", "text": "now"}, {"type": "tool_use", "name": tool, "input": given}]
    return {"type": "assistant", "message": {"content": blocks}}


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (using("Read", file_path="/p/src/app.py"), "Reading src/app.py"),
        (using("Edit", file_path="/elsewhere/app.py"), "Editing /elsewhere/app.py"),
        (using("Bash", command="pytest -q\nrm x"), "Running pytest -q"),
        (using("Bash", command="curl -H 'Authorization: Bearer abcdefghijklmnop'"), None),
        (using("Grep", pattern="TODO"), "Searching for TODO"),
        (using("mcp__db__query", sql="x"), "Calling db query"),
        (using("StructuredOutput", outputs={}), "Answering"),
        (using("TodoWrite"), "Using TodoWrite"),
    ],
)
def test_what_an_agent_does_is_told_in_a_line(message: dict[str, Any], action: str | None) -> None:
    told = action_of(message, project="/p")
    assert told is not None
    assert "abcdefghijklmnop" not in told
    assert action is None or told == action


def test_a_line_about_a_long_command_fits_the_display() -> None:
    told = action_of(using("Bash", command="x" * 500), project="/p")
    assert told is not None
    assert len(told) == 80


@pytest.mark.parametrize(
    "message",
    [
        {"type": "user"},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "hm"}]}},
        {"type": "assistant", "message": {"content": "hm"}},
        {"type": "system", "subtype": "init"},
    ],
)
def test_a_message_that_does_nothing_tells_nothing(message: dict[str, Any]) -> None:
    assert action_of(message, project="/p") is None


def test_a_retry_inside_claude_code_is_told() -> None:
    retry = {"type": "system", "subtype": "api_retry", "error": "overloaded", "attempt": 2}
    assert action_of(retry, project="/p") == "Waiting for the API (overloaded), try 2"


def test_a_tool_use_without_input_is_told_by_its_name() -> None:
    message = {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "Bash", "input": None}]}}
    assert json.dumps(action_of(message, project="/p")) == '"Running"'
