"""Runs that came with files: refused by every command, and taken over by a person who has seen them."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE
from engine.statefolder.guard import is_ours
from engine.statefolder.links import STATE
from mcp_server.cli.app import app
from mcp_server.project.project import open_project
from mcp_server.project.root import SESSION_VARIABLE
from tests.support.real_agents import ended
from tests.support.state import OLDER_RUNS, contents, older_project

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from engine.ids import RunId

READING = [
    ("status",),
    ("runs",),
    ("runs", "--json"),
    ("commands",),
    ("commands", "--json"),
    ("report",),
    ("output",),
    ("show", "r-9acoolc7i9ah", "second-node"),
    ("logs", "r-9acoolc7i9ah"),
    ("logs", "r-9acoolc7i9ah", "-f"),
    ("locks",),
    ("plan", "/one"),
]
WRITING = [
    ("run", "/one"),
    ("run", "/one", "--detach"),
    ("run", "/one", "--executor", "simulate"),
    ("resume",),
    ("resume", "--detach"),
    ("cancel", "r-9acoolc7i9ah"),
    ("decide", "r-9acoolc7i9ah", "second-node", "yes"),
    ("prune",),
    ("locks", "--release", "r-9acoolc7i9ah"),
]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (SESSION_VARIABLE, ATTEMPT_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project with the state of an older build, and a yes to its program: only the state is in question."""
    root = older_project(tmp_path / "clone")
    assert orchestrate(root, "trust", "--yes").exit_code == 0
    return root


def orchestrate(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(root), *words])


@pytest.mark.parametrize("words", [*READING, *WRITING], ids=" ".join)
def test_every_command_refuses_state_that_came_with_the_project_and_leaves_it_alone(
    clone: Path, words: tuple[str, ...]
) -> None:
    before = contents(clone)
    result = orchestrate(clone, *words)
    assert result.exit_code == 2, result.stdout
    assert "STATE_NOT_OURS" in result.stderr
    assert "trust --state" in result.stderr
    assert "--json" in words or not result.stdout, "an error is JSON where JSON is asked for, and nothing else"
    assert contents(clone) == before


@pytest.mark.parametrize("words", [("validate", "/one"), ("agents",), ("migrate", "/one")], ids=" ".join)
def test_what_needs_no_state_works_beside_it(clone: Path, words: tuple[str, ...]) -> None:
    before = contents(clone)
    assert orchestrate(clone, *words).exit_code == 0
    assert contents(clone) == before


def test_a_person_sees_where_it_is_from_and_its_runs_and_says_yes(clone: Path) -> None:
    before = contents(clone)
    shown = orchestrate(clone, "trust", "--state")
    assert shown.exit_code == 1
    assert "it has no stamp. It contains 2 runs." in shown.stderr
    for name, state in OLDER_RUNS.items():
        assert any(name in line and state in line for line in shown.stderr.splitlines())
    assert "nothing was taken over" in shown.stderr
    assert contents(clone) == before
    assert orchestrate(clone, "trust", "--state", "--yes").exit_code == 0
    assert is_ours(clone)
    assert "no state of anyone else" in orchestrate(clone, "trust", "--state").stderr


def test_all_runs_of_an_older_build_work_on_once_they_are_taken_over(clone: Path) -> None:
    assert orchestrate(clone, "trust", "--state", "--yes").exit_code == 0
    rows = json.loads(orchestrate(clone, "runs", "--json").stdout)
    assert {row["command"]: row["state"] for row in rows} == OLDER_RUNS
    runs = {row["command"]: row["runId"] for row in rows}
    assert "hello from first-node" in orchestrate(clone, "status", runs["/one"], "--view", "outputs").stdout
    assert "first-node" in orchestrate(clone, "report", runs["/two"]).stdout
    asyncio.run(_go_on(clone, runs["/two"]))
    assert orchestrate(clone, "trust", "--yes").exit_code == 0
    assert orchestrate(clone, "run", "/two").exit_code == 0


async def _go_on(root: Path, run: RunId) -> None:
    async with open_project(root) as project:
        engine = await project.engine()
        interrupted = (await engine.view(run)).run
        project.trust.remember(project.trust.missing(interrupted.plan.agents.values()))
        await project.resume(run)
        assert (await ended(engine, run)).status.value == "completed"


def test_a_question_about_a_copy_puts_nothing_aside(clone: Path, tmp_path: Path) -> None:
    assert orchestrate(clone, "trust", "--state", "--yes").exit_code == 0
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy)
    before = contents(copy)
    assert json.loads(orchestrate(copy, "runs", "--json").stdout) == []
    assert "RUN_NOT_FOUND" in orchestrate(copy, "status").stderr
    assert orchestrate(copy, "plan", "/one").exit_code == 0
    assert contents(copy) == before


def test_a_copy_has_no_runs_of_its_own_and_is_taken_over_on_purpose(clone: Path, tmp_path: Path) -> None:
    assert orchestrate(clone, "trust", "--state", "--yes").exit_code == 0
    for name in ("used", "taken"):
        shutil.copytree(clone, tmp_path / name)
    assert orchestrate(tmp_path / "used", "run", "/one", "--executor", "simulate").exit_code == 0
    [row] = json.loads(orchestrate(tmp_path / "used", "runs", "--json").stdout)
    assert row["command"] == "/one"
    taken = orchestrate(tmp_path / "taken", "trust", "--state", "--yes")
    assert f"it is a copy of {clone / STATE}. It contains 2 runs." in taken.stderr
    for root in (clone, tmp_path / "taken"):
        assert len(json.loads(orchestrate(root, "runs", "--json").stdout)) == 2


@pytest.mark.parametrize("variable", [ATTEMPT_VARIABLE, SESSION_VARIABLE])
@pytest.mark.parametrize("words", [("trust", "--state", "--yes"), ("trust", "--state")])
def test_a_model_cannot_take_it_over(
    clone: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: tuple[str, ...]
) -> None:
    before = contents(clone)
    monkeypatch.setenv(variable, "1")
    result = orchestrate(clone, *words)
    assert result.exit_code == 2
    assert "cannot take over runs" in result.stderr
    assert f"Run `orchestrate --project {clone} trust --state` in a terminal of your own." in result.stderr
    assert contents(clone) == before
    assert not is_ours(clone)


def test_what_is_shown_of_it_steers_no_terminal(clone: Path) -> None:
    with closing(sqlite3.connect(clone / STATE / "journal.sqlite3", isolation_level=None)) as db:
        db.execute("UPDATE runs SET command=? WHERE command='/one'", ("/one\x1b[2J\n✅ forged\u202e",))
    shown = orchestrate(clone, "trust", "--state").stderr
    assert "/one" in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    assert not any(line.startswith("✅") for line in shown.splitlines())


@pytest.mark.parametrize("journal", [b"", b"this is no database" * 100, None])
def test_what_is_no_journal_is_told_or_has_no_runs(clone: Path, journal: bytes | None) -> None:
    file = clone / STATE / "journal.sqlite3"
    file.unlink()
    if journal is not None:
        file.write_bytes(journal)
    shown = orchestrate(clone, "trust", "--state")
    if journal is None:
        assert "It contains 0 runs." in shown.stderr
        assert shown.exit_code == 1
    else:
        assert shown.exit_code == 2
        assert "STORAGE_FAILED" in shown.stderr or "CORRUPT_DATABASE" in shown.stderr
    assert not is_ours(clone)


def test_many_runs_are_counted(clone: Path) -> None:
    with closing(sqlite3.connect(clone / STATE / "journal.sqlite3", isolation_level=None)) as db:
        row = db.execute("SELECT * FROM runs LIMIT 1").fetchone()
        marks = ",".join("?" * (len(row) - 1))
        for number in range(30):
            db.execute(f"INSERT INTO runs VALUES(?,{marks})", (f"r-{number}", *row[1:]))
    shown = orchestrate(clone, "trust", "--state").stderr
    assert "It contains 32 runs." in shown
    assert "and 12 more" in shown


def test_what_was_committed_last_is_shown_though_no_checkpoint_was_made(clone: Path) -> None:
    with closing(sqlite3.connect(clone / STATE / "journal.sqlite3", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("DELETE FROM runs WHERE command='/one'")
        before = contents(clone)
        assert "It contains 1 run." in orchestrate(clone, "trust", "--state").stderr
        assert contents(clone) == before
