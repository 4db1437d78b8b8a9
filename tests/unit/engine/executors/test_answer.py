from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.executors.answer import (
    ended_badly,
    failed,
    not_writable,
    parse_answer,
    parse_failure,
    parse_text,
    request_of,
    signal_name,
    upper_snake,
    with_stderr,
)
from engine.executors.port import OutputSpec
from engine.model.agent import Agent
from engine.model.policy import Failure, FailureKind, Usage
from tests.support.orders import order_for


def failure_of(answer: object) -> Failure:
    failure = parse_answer(answer).failure
    assert failure is not None
    return failure


def test_outputs_are_taken_as_they_are() -> None:
    usage = Usage(cost_usd=0.1)
    outcome = parse_answer({"outputs": {"a": [1, None]}, "note": "ignored", "failure": None}, usage=usage)
    assert outcome.outputs == {"a": [1, None]}
    assert outcome.failure is None
    assert outcome.usage is usage


def test_a_failure_wins_over_outputs_which_stay_as_partial_output() -> None:
    failure = failure_of({"outputs": {"a": 1}, "failure": {"kind": "timeout", "code": "too slow", "message": "Slow"}})
    assert failure == Failure(FailureKind.TIMEOUT, "TOO_SLOW", "Slow", partial='{"a": 1}')


@pytest.mark.parametrize(
    "answer", [None, True, 3, 1.5, "text", ["list"], {}, {"outputs": None}, {"outputs": [1]}, {"outputs": "x"}]
)
def test_anything_else_is_no_answer(answer: object) -> None:
    failure = failure_of(answer)
    assert failure.kind is FailureKind.VALIDATION
    assert failure.code == "INVALID_ANSWER"
    assert failure.hint is not None


@pytest.mark.parametrize(
    ("told", "kind", "code", "message"),
    [
        ({}, FailureKind.ERROR, "AGENT_ERROR", "the agent reported a failure without a message"),
        ("disk full", FailureKind.ERROR, "AGENT_ERROR", "disk full"),
        ({"kind": "nonsense", "code": 5, "message": "  m "}, FailureKind.ERROR, "AGENT_ERROR", "m"),
        ({"kind": ["error"], "code": "---", "message": 7}, FailureKind.ERROR, "AGENT_ERROR", None),
        ([1], FailureKind.ERROR, "AGENT_ERROR", "the agent reported a failure: [1]"),
        ({"kind": "cancel", "code": "STOPPED", "message": "m"}, FailureKind.CANCEL, "STOPPED", "m"),
    ],
)
def test_a_failure_stays_one_however_badly_it_is_told(
    told: object, kind: FailureKind, code: str, message: str | None
) -> None:
    failure = parse_failure(told)
    assert (failure.kind, failure.code) == (kind, code)
    assert message is None or failure.message == message


def test_a_failure_may_carry_a_hint_and_its_own_partial_output() -> None:
    failure = parse_failure({"message": "m", "hint": "try again", "partial": "half"}, partial="other")
    assert (failure.hint, failure.partial) == ("try again", "half")


def test_secrets_are_masked_and_long_texts_cut() -> None:
    outcome = failed(FailureKind.ERROR, "X", "password=hunter22 " + "m" * 5000, partial="p" * 9000)
    assert outcome.failure is not None
    assert "hunter22" not in outcome.failure.message
    assert len(outcome.failure.message) == 2000
    assert outcome.failure.partial is not None
    assert len(outcome.failure.partial) == 2001


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b"", "without an answer"),
        (b" \n", "without an answer"),
        (b"hello {", "not JSON"),
        (b'{"outputs": {"a": NaN}}', "NaN"),
        (b'{"outputs": {"a": 1, "b": 2, "a": 3}}', 'the key "a" occurs twice'),
        (b'{"failure": {"code": "NO_OVEN"}, "failure": null, "outputs": {}}', 'the key "failure" occurs twice'),
        (b'{"outputs": {"a": [{"x": 1, "x": 1}]}}', 'the key "x" occurs twice'),
        (b'{"outputs": {}} trailing', "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 200_000, "not JSON"),
        (b'{"outputs": {"a": "\\ud800"}}', "surrogate"),
    ],
)
def test_garbage_is_an_invalid_answer_that_says_what_is_wrong(raw: bytes, part: str) -> None:
    failure = parse_text(raw).failure
    assert failure is not None
    assert failure.code == "INVALID_ANSWER"
    assert part in failure.message


def test_an_answer_may_begin_with_a_byte_order_mark_and_hold_whole_surrogate_pairs() -> None:
    assert parse_text(b'\xef\xbb\xbf{"outputs": {"a": "\\ud83d\\ude00"}}').outputs == {"a": "😀"}


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise(raw: bytes) -> None:
    outcome = parse_text(raw)
    json.dumps([outcome.outputs, outcome.failure.message if outcome.failure else ""], ensure_ascii=False).encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.floats(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["outputs", "failure", "code", "a"]), inner),
    )
)
def test_every_answer_is_an_outcome_whose_texts_can_be_written(answer: Any) -> None:  # noqa: ANN401
    failure = parse_answer(answer).failure
    if failure is not None:
        f"{failure.message}{failure.partial}{failure.hint}{failure.code}".encode()
        assert failure.code


def test_a_program_that_says_why_it_failed_is_quoted() -> None:
    outcome = ended_badly(
        3,
        stdout=b"half",
        stderr=b'warning\n{"code": "NO_DB", "kind": "timeout", "message": "gone"}\n',
        what="x",
    )
    assert outcome.failure == Failure(FailureKind.TIMEOUT, "NO_DB", "gone", partial="half")


def test_a_program_may_also_tell_its_failure_on_stdout_and_exit_with_a_code() -> None:
    outcome = ended_badly(1, stdout=b'{"failure": {"code": "A", "message": "m"}}', stderr=b"noise", what="x")
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.partial) == ("A", "noise")


def test_what_a_program_logged_is_kept_beside_the_failure_that_it_tells() -> None:
    told = parse_text(b'{"failure": {"code": "A", "message": "m"}}')
    failure = with_stderr(told, "connecting\npassword=hunter22\n").failure
    assert failure is not None
    assert failure.partial == "connecting\npassword=[redacted]"
    last = b'{"code": "NO_DB", "message": "gone"}'
    failure = ended_badly(3, stdout=b"", stderr=b"connecting\n" + last, what="x").failure
    assert failure is not None
    assert failure.partial == "connecting"


def test_what_a_program_logged_takes_the_place_of_nothing() -> None:
    half = parse_text(b'{"failure": "gone", "outputs": {"n": 1}}')
    assert with_stderr(half, "connecting") == half
    done = parse_text(b'{"outputs": {}}')
    assert with_stderr(done, "connecting") == done


@pytest.mark.parametrize(
    ("returncode", "stdout", "stderr", "code", "part"),
    [
        (3, b"", b"", "EXIT_3", "nothing on stderr"),
        (1, b"[1]", b"Traceback\nValueError: x", "EXIT_1", "ValueError: x"),
        (1, b'{"outputs": {}}', b"{broken}", "EXIT_1", "{broken}"),
        (1, b"", b'{"other": 1}', "EXIT_1", "other"),
        (-9, b"", b"", "SIGNAL_SIGKILL", "killed by SIGKILL"),
        (-99, b"", b"", "SIGNAL_99", "killed by 99"),
    ],
)
def test_a_program_that_only_exits_badly_gets_its_code_from_the_way_it_ended(
    returncode: int, stdout: bytes, stderr: bytes, code: str, part: str
) -> None:
    failure = ended_badly(returncode, stdout=stdout, stderr=stderr, what="tool").failure
    assert failure is not None
    assert failure.kind is FailureKind.ERROR
    assert failure.code == code
    assert part in failure.message


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("HTTPStatusError", "HTTP_STATUS_ERROR"),
        ("ValueError", "VALUE_ERROR"),
        ("rate limit", "RATE_LIMIT"),
        ("ALREADY_GOOD", "ALREADY_GOOD"),
        ("---", ""),
    ],
)
def test_names_become_codes(name: str, code: str) -> None:
    assert upper_snake(name) == code


def test_an_unknown_signal_is_told_by_its_number() -> None:
    assert signal_name(15) == "SIGTERM"
    assert signal_name(1000) == "1000"


def test_what_json_cannot_hold_is_told() -> None:
    assert not_writable({"a": [1]}) is None
    assert not_writable({"a": {1, 2}}) is not None
    assert not_writable({"a": float("nan")}) is not None
    assert not_writable("\ud800") is not None


def test_a_request_names_the_outputs_with_their_schemas() -> None:
    order = order_for(
        Agent(id="a"),
        project=Path("/p"),
        inputs={"x": 1},
        outputs=(OutputSpec(key="n"), OutputSpec(key="m", schema={"type": "integer"})),
    )
    assert request_of(order) == {
        "runId": "r-1",
        "node": "check",
        "attempt": "r-1:check#1",
        "task": "Check the thing",
        "inputs": {"x": 1},
        "outputs": ["n", "m"],
        "outputSchemas": {"m": {"type": "integer"}},
    }


def test_a_request_says_what_the_run_cost_once_a_cost_is_known() -> None:
    order = order_for(Agent(id="a"), project=Path("/p"))
    assert "costUsd" not in request_of(order)
    assert request_of(structs.replace(order, cost_usd=0.25))["costUsd"] == 0.25


def test_the_request_of_a_compensation_tells_what_had_been_produced() -> None:
    order = order_for(Agent(id="a"), project=Path("/p"), role="compensate", produced={"n": 1})
    request = request_of(order)
    assert request["role"] == "compensate"
    assert request["produced"] == {"n": 1}


def test_a_failure_that_cannot_be_shown_as_json_is_still_a_failure() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "list" in parse_failure(loop).message
