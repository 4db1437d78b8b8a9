"""The monitor tells what has changed from one look to the next, each time once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.runtime.run_notes import note_of
from engine.statefolder.guard import open_state
from engine.statefolder.stamps import STAMP
from mcp_server.cli.monitor import LOOKS_KEPT, News, Seen, StateFolder, root_for
from mcp_server.cli.run_rows import Row
from tests.support.by_hand import ByHand
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path


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
        "idle": 0.0,
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


def test_a_question_that_took_the_place_of_another_is_news_and_one_that_is_left_is_none() -> None:
    first, second = ([(row(), Seen(questions=1, asked=at), "running")] for at in (10.0, 20.0))
    both = [(row(), Seen(questions=2, asked=20.0), "running")]
    assert [len(lines) for lines in told(RUNNING, first, second, second)] == [0, 1, 1, 0]
    assert [len(lines) for lines in told(RUNNING, both, first, first)] == [0, 1, 0, 0]


def test_the_note_of_a_run_says_when_its_newest_question_was_asked() -> None:
    raw = command(phase("p", *(node(name, approval={"message": "Go on?"}) for name in ("one", "two"))))
    story = ByHand(raw)
    before = note_of(story.run, story.now, {})
    assert (before.questions, before.asked) == (2, story.now.timestamp())
    assert note_of(ByHand(command(phase("p", node("one")))).run, story.now, {}).asked == 0.0


def test_a_run_that_fails_and_ends_between_two_looks_is_one_line() -> None:
    over = [(row(done=2, failed=1), Seen(failed=1, over=True), "failed")]
    assert told(RUNNING, over) == [[], ["/x (run r-1) has ended: failed, 2/4"]]


def test_a_resumed_run_ends_again() -> None:
    interrupted = [(row(), Seen(over=True), "interrupted")]
    assert [len(lines) for lines in told(RUNNING, interrupted, RUNNING, OVER)] == [0, 1, 0, 1]


def test_outside_of_any_project_there_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUDECODE", "CLAUDE_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert root_for([]) is None
    folder = tmp_path / "project"
    (folder / ".claude" / "commands").mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert root_for([]) == str(folder) == root_for(["--project", str(folder)])


def test_state_that_comes_later_is_found_also_where_only_the_rules_find_it(tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain", tmp_path / "Größe"
    for folder in (plain, odd):
        folder.mkdir()
        find = StateFolder(str(folder))
        assert find() is None
        made = open_state(folder)
        (made / "journal.sqlite3").touch()
        found = [find() for _ in range(LOOKS_KEPT)]
        assert found[-1] == str(made)


def test_state_of_others_is_not_looked_at(tmp_path: Path) -> None:
    made = open_state(tmp_path)
    (made / "journal.sqlite3").touch()
    (made / STAMP).unlink()
    find = StateFolder(str(tmp_path))
    assert [find() for _ in range(3)] == [None] * 3
