"""The command `commands`: every command, where it is from, and how its runs went."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE
from engine.ids import OwnerId, RunId
from engine.run.events import RunStatus
from engine.storage.port import RunSummary
from mcp_server.cli.app import app
from mcp_server.project.root import SESSION_VARIABLE
from mcp_server.project.track_record import RUNS_COUNTED, track_records
from tests.interaction.projects import environment
from tests.support.definitions import command, node, phase
from tests.support.processor_time import processor_seconds
from tests.support.state import contents

if TYPE_CHECKING:
    from typer.testing import Result

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (SESSION_VARIABLE, ATTEMPT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


def listed(project: Path) -> dict[str, dict[str, Any]]:
    result = orchestrate(project, "commands", "--json")
    assert result.exit_code == 0, result.stderr
    return {one["name"]: one for one in json.loads(result.stdout)["commands"]}


def row(number: int, status: RunStatus, *, seconds: float = 1, cost: float = 0, **fields: Any) -> RunSummary:  # noqa: ANN401 - any field
    """One run; a higher *number* is an older one."""
    begun = NOON - timedelta(hours=number)
    ended = None if status is RunStatus.RUNNING else begun + timedelta(seconds=seconds)
    return RunSummary(
        **{
            "id": RunId(f"r-{number}"),
            "command": "/one",
            "status": status,
            "executor": "claude",
            "owner": OwnerId("o"),
            "created_at": begun,
            "ended_at": ended,
            "cost_usd": cost,
            **fields,
        }
    )


def test_a_command_says_where_it_is_from_and_what_it_takes(project: Path) -> None:
    found = listed(project)
    assert found["/argued"] == {
        "name": "/argued",
        "description": found["/argued"]["description"],
        "source": "project",
        "path": ".claude/commands/v2/argued.json",
        "format": "json",
        "arguments": ["target"],
        "deprecated": False,
        "problem": None,
        "lastRun": None,
        "runs": 0,
        "successRate": None,
        "usualSeconds": None,
        "usualCostUsd": None,
    }
    assert found["/review-repo"]["source"] == "packaged"


def test_runs_are_counted_and_simulations_are_not(project: Path) -> None:
    for name in ("/hello", "/hello", "/fail"):
        orchestrate(project, "run", name)
    orchestrate(project, "run", "/argued", "x", "--executor", "simulate")
    found = listed(project)
    assert (found["/hello"]["runs"], found["/hello"]["successRate"]) == (2, 1)
    assert found["/hello"]["usualSeconds"] > 0
    assert found["/hello"]["lastRun"]["state"] == "completed"
    assert (found["/fail"]["runs"], found["/fail"]["successRate"], found["/fail"]["usualSeconds"]) == (1, 0, None)
    assert found["/argued"]["lastRun"] is None
    lines = orchestrate(project, "commands").stdout.splitlines()
    [hello] = [line for line in lines if line.startswith("/hello ")]
    assert "2/2" in hello
    assert lines[0].split("  ")[0] == "COMMAND"


def test_a_file_that_cannot_be_read_and_one_that_is_hidden_are_named(project: Path) -> None:
    folder = project / ".claude/commands/v2"
    (folder / "broken.json").write_text("{", encoding="utf-8")
    (folder / "review-repo.json").write_text((folder / "hello.json").read_text().replace("/hello", "/review-repo"))
    found = listed(project)
    assert found["/broken"]["problem"]["code"] == "INVALID_JSON"
    assert found["/review-repo"]["source"] == "project"
    shown = orchestrate(project, "commands")
    assert "INVALID_JSON" in shown.stdout
    assert "review-repo.json is hidden by .claude/commands/v2/review-repo.json" in shown.stderr


def test_what_a_command_says_of_itself_steers_no_terminal(project: Path) -> None:
    forged = command(phase("one", node("first-node")), name="/forged", description="x\x1b[2J\n✅ forged\u202e")
    (project / ".claude/commands/v2/forged.json").write_text(json.dumps(forged), encoding="utf-8")
    shown = orchestrate(project, "commands").stdout
    assert not {"\x1b", "\u202e"} & set(shown)
    assert not any(line.startswith("✅") for line in shown.splitlines())


def test_it_writes_nothing(project: Path) -> None:
    before = contents(project)
    assert orchestrate(project, "commands").exit_code == 0
    assert contents(project) == before


def test_a_person_who_cancels_and_a_crash_say_nothing_about_a_command() -> None:
    ends = [RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.COMPLETED]
    found = track_records([row(number, status) for number, status in enumerate(ends)])["/one"]
    assert (found.judged, found.succeeded, found.success_rate) == (2, 1, 0.5)
    assert found.last.status is RunStatus.RUNNING


def test_without_a_judged_run_there_is_no_rate() -> None:
    found = track_records([row(0, RunStatus.CANCELLED)])["/one"]
    assert (found.success_rate, found.seconds, found.cost_usd) == (None, None, None)


def test_usual_is_the_median_of_what_succeeded() -> None:
    rows = [
        row(0, RunStatus.COMPLETED, seconds=10, cost=1),
        row(1, RunStatus.FAILED, seconds=1000, cost=50),
        row(2, RunStatus.DEGRADED, seconds=20, cost=3),
        row(3, RunStatus.COMPLETED, seconds=90, cost=2),
        row(4, RunStatus.COMPLETED, seconds=0, executor="simulate"),
    ]
    found = track_records(rows)["/one"]
    assert (found.seconds, found.cost_usd, found.judged) == (20, 2, 4)


def test_the_time_in_which_a_run_waited_for_its_resumption_is_not_usual() -> None:
    found = track_records([row(0, RunStatus.COMPLETED, seconds=3610, idle=timedelta(hours=1))])
    assert found["/one"].seconds == 10


def test_old_runs_do_not_count() -> None:
    rows = [row(number, RunStatus.COMPLETED) for number in range(RUNS_COUNTED)]
    rows += [row(number, RunStatus.FAILED) for number in range(100, 110)]
    assert track_records(rows)["/one"].success_rate == 1


@pytest.mark.processes
def test_300_commands_take_at_most_twice_the_processor_time_of_3(project: Path) -> None:
    folder = project / ".claude/commands/v2"
    for path in folder.iterdir():
        path.unlink()

    def seconds_with(number: int) -> float:
        for index in range(number):
            steps = phase("one", *(node(f"node-{index}-{step}") for step in range(5)))
            (folder / f"c{index}.json").write_text(json.dumps(command(steps, name=f"/c{index}")), encoding="utf-8")
        words = [str(Path(sys.executable).parent / "orchestrate"), "--project", str(project), "commands", "--json"]
        return processor_seconds(words, cwd=project, env=os.environ)

    few = seconds_with(3)
    assert seconds_with(300) <= 2 * few
