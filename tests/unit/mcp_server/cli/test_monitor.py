"""The monitor tells what has changed from one look to the next, each time once."""

from __future__ import annotations

import pytest

from mcp_server.cli.monitor import News, Seen
from mcp_server.cli.run_rows import Row


def row(run: str = "r-1", **changes: object) -> Row:
    columns = {
        "id": run,
        "command": "/x",
        "status": "running",
        "executor": "claude",
        "owner": "o-1",
        "created_at": "2026-11-22T10:00:00+00:00",
        "ended_at": None,
        "done": 1,
        "total": 4,
        "failed": 0,
        "cost_usd": 0.0,
    }
    return Row(list({**columns, **changes}.values()))


def told(*looks: list[tuple[Row, Seen, str]]) -> list[list[str]]:
    news = News()
    return [[line.split(".")[0] for line in news.of(look)] for look in looks]


RUNNING = [(row(), Seen(), "running")]
ASKS = [(row(), Seen(questions=1), "running")]
FAILED = [(row(failed=1), Seen(failed=1), "running")]
OVER = [(row(done=4), Seen(over=True), "completed")]


def test_what_was_so_at_the_start_is_no_news() -> None:
    assert told(ASKS, ASKS, RUNNING) == [[], [], []]
    assert told(OVER, OVER) == [[], []]


@pytest.mark.parametrize(
    ("after", "line"),
    [
        (ASKS, "/x (run r-1) waits for the user's answer"),
        (FAILED, "/x (run r-1) has a failure and goes on (1/4)"),
        (OVER, "/x (run r-1) has ended: completed, 4/4"),
    ],
)
def test_each_change_is_told_once(after: list[tuple[Row, Seen, str]], line: str) -> None:
    assert told(RUNNING, after, after) == [[], [line], []]
    assert told([], after, after) == [[], [line], []]


def test_an_answered_question_is_no_news_and_the_next_one_is() -> None:
    assert [len(lines) for lines in told(RUNNING, ASKS, RUNNING, ASKS)] == [0, 1, 0, 1]


def test_a_run_that_fails_and_ends_between_two_looks_is_one_line() -> None:
    over = [(row(done=2, failed=1), Seen(failed=1, over=True), "failed")]
    assert told(RUNNING, over) == [[], ["/x (run r-1) has ended: failed, 2/4"]]


def test_a_resumed_run_ends_again() -> None:
    interrupted = [(row(), Seen(over=True), "interrupted")]
    assert [len(lines) for lines in told(RUNNING, interrupted, RUNNING, OVER)] == [0, 1, 0, 1]
