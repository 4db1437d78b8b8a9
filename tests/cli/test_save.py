"""The command `save`: the definition that a run began with becomes a command, whatever has become of its file."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from mcp_server.cli.app import app
from mcp_server.project.project import open_project
from mcp_server.project.root import SESSION_VARIABLE
from tests.interaction.projects import environment
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

INLINE = command(
    phase("greet", node("first-greeting", minutes=0.1, context={"outputs": [{"key": "greeting", "ttl": 60}]})),
    name="/unnamed",
    arguments=[{"name": "target", "description": "What to greet", "default": "you"}],
    **{"x-note": "kept", "metadata": {"author": "me", "tags": ["b", "a"]}},
)


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


def run_of(project: Path, *words: str) -> str:
    ran = orchestrate(project, "run", *words, "--json")
    assert ran.exit_code == 0, ran.stderr
    run: str = json.loads(ran.stdout)["runId"]
    return run


def saved(project: Path, name: str) -> dict[str, Any]:
    text = (project / f".claude/commands/v2/{name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("executor", ["native", "simulate"])
def test_a_definition_without_a_file_becomes_a_command_that_runs(project: Path, executor: str) -> None:
    text = json.dumps(INLINE)
    run = run_of(project, text, *(["--executor", executor] if executor == "simulate" else []))
    made = orchestrate(project, "save", run, "--as", "/kept", "--json")
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout) == {
        "command": "/kept",
        "run": run,
        "written": [".claude/commands/v2/kept.json"],
        "kept": [],
    }
    assert saved(project, "kept") == {**INLINE, "name": "/kept"}
    assert orchestrate(project, "run", "/kept").exit_code == 0


def test_the_fields_of_the_file_are_in_the_order_of_the_format(project: Path) -> None:
    run = run_of(project, json.dumps(dict(reversed(INLINE.items()))))
    assert orchestrate(project, "save", run, "--as", "kept").exit_code == 0
    found = saved(project, "kept")
    assert [*found] == ["version", "name", "description", "phases", "metadata", "arguments", "x-note"]
    assert [*found["phases"][0]["agents"][0]][:3] == ["id", "agentId", "task"]
    assert found["metadata"]["tags"] == ["b", "a"], "the order of a list means something"


def test_a_file_that_was_changed_or_removed_since_does_not_matter(project: Path) -> None:
    file = project / ".claude/commands/v2/hello.json"
    before = json.loads(file.read_text(encoding="utf-8"))
    run = run_of(project, "/hello")
    file.write_text(json.dumps({**before, "description": "Changed"}), encoding="utf-8")
    assert orchestrate(project, "save", run, "--as", "kept").exit_code == 0
    assert saved(project, "kept") == {**before, "name": "/kept"}
    file.unlink()
    assert orchestrate(project, "save", run, "--as", "hello").exit_code == 0
    assert saved(project, "hello") == before


def test_a_detached_run_can_be_saved_too(project: Path) -> None:
    started = orchestrate(project, "run", json.dumps(INLINE), "--detach")
    run = started.stdout.strip()
    assert orchestrate(project, "save", run, "--as", "kept").exit_code == 0
    assert saved(project, "kept")["arguments"] == INLINE["arguments"]
    assert orchestrate(project, "status", run, "--watch").exit_code == 0


def test_a_definition_is_stored_once_and_removed_with_its_last_run(project: Path) -> None:
    runs = [run_of(project, json.dumps(INLINE)) for _ in range(3)]
    assert stored(project) == 1
    orchestrate(project, "prune", "--keep", "1")
    assert orchestrate(project, "save", runs[-1], "--as", "kept").exit_code == 0
    orchestrate(project, "prune", "--keep", "0")
    assert stored(project) == 0


def stored(project: Path) -> int:
    """How many values of the journal are the definition."""
    with closing(sqlite3.connect(project / ".claude/orchestration/journal.sqlite3")) as db:
        return sum(b"What to greet" in data for (data,) in db.execute("SELECT data FROM vals"))


def without_definition(project: Path, name: str) -> str:
    """A run as older versions recorded it."""

    async def start() -> str:
        async with open_project(project) as opened:
            engine = await opened.engine()
            run = await engine.start(opened.plan(name))
            await engine.wait(run, 30)
            return run

    return asyncio.run(start())


def test_a_run_of_an_older_version_has_the_definition_of_its_file_while_that_is_the_same(project: Path) -> None:
    run = without_definition(project, "/hello")
    assert orchestrate(project, "save", run, "--as", "kept").exit_code == 0
    file = project / ".claude/commands/v2/hello.json"
    file.write_text(file.read_text(encoding="utf-8").replace("minutes", "Minutes").replace("greet", "meet"))
    refused = orchestrate(project, "save", run, "--as", "other", "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (2, "DEFINITION_UNKNOWN")
    file.unlink()
    assert "DEFINITION_UNKNOWN" in orchestrate(project, "save", run, "--as", "other").stderr


def test_nothing_is_replaced_without_force(project: Path) -> None:
    run = run_of(project, json.dumps(INLINE))
    before = saved(project, "wait")
    assert "FILE_EXISTS" in orchestrate(project, "save", run, "--as", "wait").stderr
    assert saved(project, "wait") == before
    assert orchestrate(project, "save", run, "--as", "wait", "--force").exit_code == 0
    assert saved(project, "wait") == {**INLINE, "name": "/wait"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("r-nothing", "--as", "kept"), "RUN_NOT_FOUND"),
        (("../../etc", "--as", "kept"), "RUN_NOT_FOUND"),
        (("r-nothing", "--as", "../kept"), "INVALID_NAME"),
        (("r-nothing", "--as", "review-repo"), "RUN_NOT_FOUND"),
    ],
)
def test_what_cannot_be_saved_is_refused(project: Path, words: tuple[str, ...], code: str) -> None:
    run_of(project, "/hello")
    refused = orchestrate(project, "save", *words, "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (2, code)
