from __future__ import annotations

import json
from typing import Any

import pytest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from mcp_server.door.conversation import LEGACY, MODERN, Conversation
from tests.support.door.conversations import (
    CLIENT,
    READY,
    TALKS,
    ask,
    envelope,
    hello,
    listen,
    lists,
    modern,
    modern_lists,
)


def heard(*messages: Any) -> list[str | None]:  # noqa: ANN401 - any JSON, or text
    """The name of the question in each of *messages*; None for a doubt."""
    conversation = Conversation()
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in messages]
    questions = [conversation.hear(line) for line in lines]
    assert conversation.doubted or None not in [
        one for one, said in zip(questions, messages, strict=True) if said != READY
    ]
    return [None if question is None else question.name for question in questions]


def test_the_versions_are_those_of_the_sdk() -> None:
    assert set(HANDSHAKE_PROTOCOL_VERSIONS) >= LEGACY
    assert MODERN in MODERN_PROTOCOL_VERSIONS


def test_the_questions_of_older_clients_are_understood() -> None:
    assert heard(hello("2025-06-18"), READY, *lists(), ask("x", "ping")) == [
        "2025-06-18 initialize",
        None,
        "2025-06-18 tools/list",
        "2025-06-18 prompts/list",
        "2025-06-18 resources/list",
        "2025-06-18 ping",
    ]


def test_the_questions_of_newer_clients_are_understood() -> None:
    asked = [modern(0, "server/discover"), listen(1, toolsListChanged=True, promptsListChanged=True), *modern_lists()]
    assert heard(*asked) == [
        "2026-07-28 server/discover",
        "2026-07-28 subscriptions/listen promptsListChanged toolsListChanged",
        "2026-07-28 tools/list",
        "2026-07-28 prompts/list",
        "2026-07-28 resources/list",
    ]


def test_after_a_doubt_nothing_is_understood() -> None:
    for talk in TALKS.values():
        conversation = Conversation()
        seen = False
        for line in talk.lines:
            question = conversation.hear(line.encode("utf-8", "surrogateescape"))
            assert not (seen and question)
            seen = conversation.doubted


def test_a_question_is_passed_on_under_another_number() -> None:
    question = Conversation().hear(json.dumps(hello(number="\u00e4")).encode())
    assert question is not None
    line = question.renumbered("x")
    assert line.endswith("}\n")
    assert json.loads(line) == hello(number="x")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b'"initialize"',
        b"{",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b"\xef\xbb\xbf" + json.dumps(hello()).encode(),
        json.dumps(hello()).encode().replace(b'"version": "1"', b'"version": "1", "version": "1"'),
        json.dumps(hello(number=1)).encode().replace(b'"id": 1', b'"id": NaN'),
        json.dumps(hello(number=1)).encode().replace(b'"id": 1', b'"id": 1.0'),
        json.dumps(hello(number=1)).encode().replace(b'"id": 1', b'"id": ' + b"1" * 5000),
        json.dumps(hello(clientInfo={**CLIENT, "title": "\ud83d"})).encode(),
    ],
)
def test_a_line_that_readers_of_json_may_read_differently_is_a_doubt(line: bytes) -> None:
    assert heard(line) == [None]


NUMBERS: list[object] = [None, True, 1.5, [], 2**53, -(2**53), "x" * 201]
CLIENTS: list[object] = [None, [], {}, {"name": "x"}, {**CLIENT, "title": 1}, {**CLIENT, "x": "y"}]
CAPABILITIES: list[object] = [
    None,
    [],
    {"roots": None},
    {"roots": {"x": {}}},
    {"roots": {"listChanged": 1}},
    {"roots": {"listChanged": True, "x": {}}},
    {"sampling": {"x": {}}},
    {"sampling": {"tools": True}},
    {"experimental": {"x": 1}},
    {"experimental": {"x": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}},
    {"tasks": {}},
]
FILTERS: list[object] = [[], {"x": True}]


@pytest.mark.parametrize(
    "message",
    [
        READY,
        *({**hello(), "id": number} for number in NUMBERS),
        {**hello(), "jsonrpc": "1.0"},
        {**hello(), "method": 1},
        {**hello(), "method": ["initialize"]},
        {**hello(), "params": None},
        {**hello(), "more": 1},
        hello("2026-07-28"),
        hello("1999-01-01"),
        hello(protocolVersion=None),
        hello(protocolVersion=["2025-11-25"]),
        hello(_meta={}),
        *(hello(clientInfo=info) for info in CLIENTS),
        *(hello(capabilities=one) for one in CAPABILITIES),
        ask(1, "tools/list"),
        ask(1, "ping"),
        modern(1, "ping"),
        modern(1, "tools/call"),
        modern(1, "tools/list", cursor="x"),
        modern(1, "tools/list", notifications={}),
        *(modern(1, "tools/list", meta=meta) for meta in ([1], "x", {**envelope(), "progressToken": 1})),
        *(modern(1, "tools/list", meta=envelope(**{name: None})) for name in ("clientInfo", "clientCapabilities")),
        modern(1, "tools/list", meta=envelope(protocolVersion="2025-11-25")),
        modern(1, "tools/list", meta=envelope(clientCapabilities=[])),
        modern(1, "subscriptions/listen"),
        *(ask(1, "subscriptions/listen", _meta=envelope(), notifications=wrong) for wrong in FILTERS),
        listen(1, promptsListChanged=False),
        listen(1, promptsListChanged=1),
        listen(1, resourceSubscriptions=[]),
    ],
    ids=str,
)
def test_another_form_of_a_first_line_is_a_doubt(message: dict[str, Any]) -> None:
    assert heard(message) == [None]


@pytest.mark.parametrize(
    "message",
    [
        hello(),
        modern(1, "tools/list"),
        ask(1, "server/discover"),
        ask(1, "resources/templates/list"),
        ask(1, "tools/list", cursor="x"),
        ask(1, "tools/list", _meta={}),
        {**READY, "params": {}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    ],
    ids=str,
)
def test_another_form_of_a_later_line_is_a_doubt(message: dict[str, Any]) -> None:
    assert heard(hello(), READY, message) == ["2025-11-25 initialize", None, None]


def test_a_late_handshake_is_left_to_the_sdk_and_ends_nothing() -> None:
    asked = [modern(0, "server/discover"), hello(), {**hello(), "params": []}, modern(1, "tools/list")]
    assert heard(*asked[:2], asked[3]) == [
        "2026-07-28 server/discover",
        "2026-07-28 initialize",
        "2026-07-28 tools/list",
    ]
    assert heard(asked[0], asked[2]) == ["2026-07-28 server/discover", None]


@pytest.mark.parametrize("message", [READY, ask(1, "tools/list"), modern(1, "ping")], ids=str)
def test_the_eras_do_not_mix(message: dict[str, Any]) -> None:
    assert heard(modern(0, "server/discover"), message) == ["2026-07-28 server/discover", None]
