"""One node, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.views.node_detail import AttemptLine
from mcp_server.answers.nodes import _attempt_line

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(("state", "word"), [("waiting", "since"), ("running", "began")])
def test_an_attempt_that_waits_is_shown_with_since_when_it_does(state: str, word: str) -> None:
    line = AttemptLine(
        number=1, undo=False, state=state, began_at=AT, duration=timedelta(), worker="", failure=None, usage=None,
        session=None, warnings=(),
    )  # fmt: skip
    assert f" #1 {state} · {word} {AT.astimezone():%Y-%m-%d %H:%M:%S}" in _attempt_line(line)
