from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.executors.claude.log import MAX_RESULT_LENGTH, LogLines

RECORDED = Path(__file__).parents[4] / "support" / "claude_results"


def message(kind: str, *content: dict[str, Any], parent: str | None = None) -> dict[str, Any]:
    return {"type": kind, "message": {"content": list(content)}, "parent_tool_use_id": parent}


def use(name: str, given: object, id_: str = "t1") -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def shown(lines: LogLines, one: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(line.kind.value, line.text, line.by) for line in lines.of(one)]


def test_a_recorded_session_shows_what_was_said_done_and_returned() -> None:
    lines = LogLines("/project")
    text = (RECORDED / "tool_used.jsonl").read_text(encoding="utf-8")
    found = [line for one in text.splitlines() for line in shown(lines, json.loads(one))]
    assert ("did", "Running echo hi", "") in found
    assert ("result", "hi", "") in found


def test_messages_of_a_subagent_name_it() -> None:
    lines = LogLines("/project")
    started = message("assistant", use("Agent", {"subagent_type": "Explore", "description": "Find it"}, "t7"))
    assert shown(lines, started) == [("did", "Delegating: Find it", "")]
    assert shown(lines, message("user", {"type": "text", "text": "Find x"}, parent="t7")) == [
        ("result", "Find x", "Explore")
    ]
    did = message(
        "assistant", {"type": "text", "text": "Here"}, use("Read", {"file_path": "/project/a.py"}), parent="t7"
    )
    assert shown(lines, did) == [("said", "Here", "Explore"), ("did", "Reading a.py", "Explore")]
    assert shown(lines, message("assistant", {"type": "text", "text": "?"}, parent="t9")) == [("said", "?", "subagent")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("plain", "plain"),
        ([{"type": "text", "text": "one"}, {"type": "image"}, "no part"], "one\n(image)"),
        (None, None),
        ("", None),
        ("x" * 5000, "x" * (MAX_RESULT_LENGTH - 1) + "…"),
    ],
)
def test_a_result_is_shown_as_text_and_cut(content: object, expected: str | None) -> None:
    found = LogLines("/p").of(message("user", {"type": "tool_result", "tool_use_id": "t1", "content": content}))
    assert [line.text for line in found] == ([] if expected is None else [expected])


def test_an_error_is_marked_and_a_wait_for_the_api_is_shown() -> None:
    lines = LogLines("/p")
    failed = message("user", {"type": "tool_result", "content": "no such file", "is_error": True})
    assert shown(lines, failed) == [("result", "error: no such file", "")]
    waits = {"type": "system", "subtype": "api_retry", "error": "overloaded", "attempt": 2}
    assert shown(lines, waits) == [("did", "Waiting for the API (overloaded), try 2", "")]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"type": "system", "subtype": "init"},
        {"type": "result"},
        {"type": "assistant"},
        {"type": "assistant", "message": {"content": [{"type": "thinking", "thinking": "hm"}, 3, {}]}},
        {"type": "user", "message": {"content": "text"}},
    ],
)
def test_other_messages_have_no_lines(odd: dict[str, Any]) -> None:
    assert LogLines("/p").of(odd) == []


def test_a_tool_with_odd_input_is_shown_all_the_same() -> None:
    assert shown(LogLines("/p"), message("assistant", use("Task", None))) == [("did", "Delegating: ", "")]
    assert shown(LogLines("/p"), message("assistant", use("Task", {}))) == [("did", "Delegating: ", "")]
