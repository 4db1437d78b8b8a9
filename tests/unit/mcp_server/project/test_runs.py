from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.errors import InputError
from engine.ids import OwnerId, RunId
from engine.run.events import RunStatus
from engine.storage.port import RunSummary
from mcp_server.project.runs import run_filter

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def row(name: str, hours: float, command: str = "/hello", status: str = "completed", message: str = "") -> RunSummary:
    return RunSummary(
        id=RunId(name),
        command=command,
        status=RunStatus(status),
        executor="native",
        owner=OwnerId("o"),
        created_at=NOW - timedelta(hours=hours),
        message=message,
    )


ROWS = [
    row("r-a", 1),
    row("r-b", 30, status="failed", message='Node "deploy" failed'),
    row("r-c", 200, "/deploy", "compensation_failed"),
]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({}, "abc"),
        ({"states": ["failed"]}, "b"),
        ({"states": ["completed", "Compensation failed"]}, "ac"),
        ({"command": "/deploy"}, "c"),
        ({"command": "hello"}, "ab"),
        ({"since": "90m"}, "a"),
        ({"since": "2d"}, "ab"),
        ({"since": "2 w"}, "abc"),
        ({"since": "2026-11-28T00:00:00+00:00"}, "ab"),
        ({"text": "DEPLOY"}, "bc"),
        ({"text": "r-a"}, "a"),
        ({"text": "(", "states": ["failed"]}, ""),
        ({"command": "hello", "text": "deploy", "since": "40h"}, "b"),
    ],
)
def test_runs_are_selected_by_what_is_asked_for(words: dict[str, Any], found: str) -> None:
    wanted = run_filter(now=NOW, **words)
    assert "".join(one.id[-1] for one in wanted.select(ROWS)) == found
    assert bool(wanted) == bool(words)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ({"states": ["complete"]}, 'unknown state "complete"', 'Did you mean "completed"?'),
        ({"states": ["zzz"]}, 'unknown state "zzz"', "Choose one of pending"),
        ({"since": "yesterday"}, '"yesterday" is neither a time nor a duration', "Write 30m, 2h"),
        ({"since": "99999999d"}, "neither a time", "Write"),
        ({"since": "999999w"}, "neither a time", "Write"),
        ({"since": "2026-13-01"}, "neither a time", "Write"),
    ],
)
def test_a_word_that_means_nothing_is_one_clear_error(words: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(InputError) as raised:
        run_filter(now=NOW, **words)
    assert raised.value.code == "INVALID_ARGUMENT"
    assert message in raised.value.message
    assert hint in (raised.value.hint or "")
