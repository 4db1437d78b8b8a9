"""`runs` and `status` print the same with and without the quick way, which leaves to the other what it cannot judge."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.run.events import RunStatus
from engine.run.state import END_STATES
from engine.runtime.owner import FileOwner
from engine.statefolder.links import JOURNAL, STATE
from engine.statefolder.owners import FOLDER
from engine.storage.schema import VERSION
from mcp_server.cli import glance
from mcp_server.cli.app import main
from tests.interaction.projects import environment, open_gate
from tests.support.terminal import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMES = re.compile(r"\d+(\.\d+)?( ?s| min)\b")
SECONDS = 50


@pytest.fixture(autouse=True)
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project)


class Ways:
    """The two ways to answer a command line, in this process."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture

    def ordinary(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        self._patch.setattr("sys.argv", ["orchestrate", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        return int(exit_.value.code or 0), *self._capture.readouterr()

    def quick(self, *words: str) -> tuple[int, str, str] | None:
        """The same; None if it answers nothing."""
        done = glance.shown(words)
        printed = self._capture.readouterr()
        if not done:
            assert printed == ("", "")
            return None
        return (0, *printed)

    def same(self, *words: str) -> str:
        """What both print."""
        quick = self.quick(*words)
        assert quick == self.ordinary(*words)
        return quick[1]

    def left(self, *words: str) -> str:
        """What only the ordinary way prints."""
        assert self.quick(*words) is None
        return self.ordinary(*words)[1]


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ways:
    return Ways(monkeypatch, capsys)


def change(project: Path, statement: str) -> None:
    with sqlite3.connect(project / JOURNAL) as db:
        db.execute(statement)
    db.close()


def simulate(ways: Ways, *words: str) -> None:
    ways.ordinary("run", *words, "--executor", "simulate")


def test_runs_that_are_over_are_shown_as_the_ordinary_way_shows_them(
    ways: Ways, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways.left("runs")
    ways.left("status")
    simulate(ways, "/hello")
    first = ways.same("runs").splitlines()[1].split()[0]
    simulate(ways, "/wait", "--fail", "gate-keeper=error/BROKEN")
    assert "failed" in ways.same("runs")
    assert "❌ /wait failed" in ways.same("status")
    assert "✅ /hello completed" in ways.same("status", first)
    assert ways.left("status", first, "--json").startswith("{")
    ways.left("runs", "--state", "failed")
    ways.left("status", "r-unknown")
    ways.left("status", first, "another")
    monkeypatch.chdir(tmp_path)
    assert first in ways.same("--project", str(project), "runs")
    assert "/wait" in ways.same(f"--project={project}", "status")
    ways.left("--project", str(tmp_path / "missing"), "runs")
    ways.left("--project", "status", "runs")


def test_a_run_of_a_dead_process_has_taken_the_time_until_that_was_last_seen(ways: Ways, project: Path) -> None:
    simulate(ways, "/hello")
    dead = FileOwner(project / STATE)
    lock = project / STATE / FOLDER / f"{dead.id}.lock"
    dead.renew(datetime(2026, 1, 1, 0, 10, tzinfo=UTC))
    left = lock.read_bytes()
    dead.close()
    lock.write_bytes(left)
    changes = f"status='running', ended_at=NULL, owner='{dead.id}', created_at='2026-01-01T00:00:00+00:00'"
    change(project, f"UPDATE runs SET {changes}")  # noqa: S608
    quick, ordinary = ways.quick("runs"), ways.ordinary("runs")
    assert quick is not None
    for _code, printed, _errors in (quick, ordinary):
        assert "interrupted" in printed
        assert printed.rstrip().endswith("10.0 min")


def test_of_many_runs_the_newest_are_listed_and_the_others_counted(ways: Ways, project: Path) -> None:
    simulate(ways, "/hello")
    columns = "command, status, executor, owner, ended_at, done, total, failed, cost_usd, message, worktree, events"
    for number in range(25):
        values = f"'r-copy-{number}', '2026-01-{number + 1:02}T00:00:00+00:00', {columns}, chain"
        change(project, f"INSERT INTO runs (id, created_at, {columns}, chain) SELECT {values} FROM runs LIMIT 1")  # noqa: S608
    assert len(ways.same("runs").splitlines()) == 1 + 20
    assert len(ways.same("runs", "--all").splitlines()) == 1 + 26
    change(project, "UPDATE runs SET worktree='/elsewhere/tree' WHERE id='r-copy-24'")
    assert "tree" in ways.same("runs")


@pytest.mark.parametrize(
    ("statement", "good"),
    [
        ("UPDATE events SET data=x'7b7d' WHERE seq=1", {"runs"}),
        ("DELETE FROM events WHERE seq=2", {"runs"}),
        ("DROP TABLE events", {"runs"}),
        ("UPDATE runs SET status='strange'", set()),
        ("UPDATE runs SET created_at='yesterday'", {"status"}),
        ("UPDATE runs SET created_at='2026-01-01T00:00:00'", {"status"}),
        ("UPDATE runs SET done='many'", {"status"}),
        ("UPDATE runs SET executor=x'00'", {"status"}),
        (f"PRAGMA user_version={VERSION + 1}", set()),
    ],
)
def test_what_is_damaged_is_left_to_the_ordinary_way(ways: Ways, project: Path, statement: str, good: set[str]) -> None:
    simulate(ways, "/hello")
    change(project, statement)
    for word in ("runs", "status"):
        (ways.same if word in good else ways.left)(word)


def test_a_project_that_another_machine_works_on_is_left_to_the_ordinary_way(ways: Ways, project: Path) -> None:
    simulate(ways, "/hello")
    record = {"hostname": "other", "machine": "m", "boot": "b", "world": "w", "pid": 1, "start": 1}
    owners = project / STATE / FOLDER
    owners.mkdir(exist_ok=True)
    (owners / "o-other.lock").write_text(json.dumps(record), encoding="utf-8")
    code, _, error = ways.ordinary("runs")
    assert (code, "PROJECT_ON_ANOTHER_HOST" in error) == (2, True)
    ways.left("runs")
    ways.left("status")


@pytest.fixture
def waiting(ways: Ways, project: Path) -> Iterator[str]:
    """A run of another process that is under way."""
    run = ways.ordinary("run", "/wait", "--detach")[1].strip()
    try:
        yield run
    finally:
        open_gate(project)
        wait_until(lambda: ways.ordinary("runs")[1], lambda text: "running" not in text, timeout=SECONDS)


def test_a_run_under_way_is_shown_by_both_ways_alike(ways: Ways, waiting: str) -> None:
    wait_until(lambda: ways.ordinary("status")[1], lambda text: "✅" in text and " remaining" in text, timeout=SECONDS)
    for words in (["runs"], ["status"], ["status", waiting]):
        quick, ordinary = ways.quick(*words), ways.ordinary(*words)
        assert quick is not None
        assert TIMES.sub("T", quick[1]) == TIMES.sub("T", ordinary[1])
        assert waiting in quick[1]


def test_a_run_that_waits_for_a_person_is_listed_as_such_by_both_ways(ways: Ways) -> None:
    asked = ways.ordinary("run", "/ask", "--detach")[1].strip()
    try:
        wait_until(lambda: ways.ordinary("runs")[1], lambda text: "❓ waits for you" in text, timeout=SECONDS)
        quick = ways.quick("runs")
        assert quick is not None
        assert "❓ waits for you" in quick[1]
        [row] = json.loads(ways.ordinary("runs", "--json")[1])
        assert (row["state"], row["questions"]) == ("running", 1)
    finally:
        ways.ordinary("cancel", asked)
    wait_until(lambda: ways.ordinary("runs")[1], lambda text: "🚫 cancelled" in text, timeout=SECONDS)
    assert "questions" not in json.loads(ways.ordinary("runs", "--json")[1])[0]


def test_the_quick_way_knows_the_states_and_the_version_of_the_journal() -> None:
    assert set(RunStatus) - END_STATES == glance.UNDER_WAY
    assert END_STATES == glance.OVER
    assert glance.SCHEMA == VERSION
