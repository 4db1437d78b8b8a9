"""Sessions in a folder of the project, and in linked git worktrees, which end with all that is in them."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from engine.ids import RunId
from engine.statefolder.guard import open_state
from engine.statefolder.links import JOURNAL, STATE
from mcp_server.project.root import PROJECT_VARIABLE, SESSION_VARIABLE
from tests.interaction.projects import call, environment, make_project, refused, stdio_parameters
from tests.support.repositories import git, make_repository
from tests.support.state import plant

if TYPE_CHECKING:
    from pathlib import Path

from mcp import Client
from mcp.client.stdio import stdio_client

from tests.support.installed import ORCHESTRATE

pytestmark = pytest.mark.processes

SECONDS = 50
ENDED = {"completed", "interrupted", "failed"}


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A repository that is a project, with the home of its user beside it."""
    root = tmp_path / "main"
    root.mkdir()
    make_project(root)
    (root / "gate").unlink()
    (root / "home").rename(tmp_path / "home")
    (root / "src").mkdir()
    (root / "src" / "x.txt").write_text("x", encoding="utf-8")
    make_repository(root)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=All")
    return root


@pytest.fixture
def linked(main: Path) -> Path:
    """A worktree where `claude --worktree` makes it."""
    git(main, "worktree", "add", "--quiet", "--detach", ".claude/worktrees/linked")
    os.mkfifo(main / ".claude" / "worktrees" / "linked" / "gate")
    return main / ".claude" / "worktrees" / "linked"


def user(main: Path) -> dict[str, str]:
    """The environment of the user of *main*, without any word on which project it is."""
    home = main.parent / "home"
    env = {**environment(main), "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    del env[PROJECT_VARIABLE]
    return env


def orchestrate(folder: Path, *words: str, main: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [ORCHESTRATE, *words],
        cwd=folder, env=user(main), capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def runs(folder: Path, main: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(orchestrate(folder, "runs", "--json", main=main).stdout)
    return listed


def test_a_session_in_a_folder_of_the_project_works_in_the_project(main: Path) -> None:
    orchestrate(main / "src", "run", "/hello", main=main)
    assert not (main / "src" / ".claude").exists()
    assert (main / JOURNAL).exists()
    assert len(runs(main, main)) == len(runs(main / "src", main)) == 1


def test_the_runs_of_a_linked_worktree_outlive_it_and_say_where_they_were(main: Path, linked: Path) -> None:
    orchestrate(linked, "trust", "--yes", main=main)
    orchestrate(linked, "run", "/hello", main=main)
    assert not (linked / JOURNAL).exists()
    orchestrate(main, "run", "/hello", main=main)
    here, there = runs(main, main)
    assert "worktree" not in here
    assert there["worktree"] == str(linked)
    assert runs(linked, main) == [here, there]
    git(main, "worktree", "remove", "--force", str(linked))
    shown = orchestrate(main, "runs", main=main).stdout
    assert "WORKTREE" in shown
    assert "linked" in shown
    status = json.loads(orchestrate(main, "status", there["runId"], "--json", main=main).stdout)
    assert (status["state"], status["worktree"]) == ("completed", str(linked))


def test_a_simulated_run_is_marked_too_and_a_worktree_is_left_clean(main: Path, linked: Path) -> None:
    (linked / "gate").unlink()
    orchestrate(linked, "run", "/hello", "--executor", "simulate", main=main)
    assert runs(main, main)[0]["worktree"] == str(linked)
    assert git(linked, "status", "--porcelain") == ""


def test_a_run_goes_on_only_among_the_files_that_its_agents_worked_on(main: Path, linked: Path) -> None:
    orchestrate(linked, "trust", "--yes", main=main)
    run = orchestrate(linked, "run", "/wait", "--detach", main=main).stdout.strip()
    log = main / STATE / "logs" / f"{run}.log"
    with (linked / "gate").open("w"):  # its agent has come to it
        [owner] = [path.name.split("-")[1] for path in (main / STATE / "owners").glob("*.lock")]
        psutil.Process(int(owner)).kill()
        psutil.wait_procs([psutil.Process(int(owner))] if psutil.pid_exists(int(owner)) else [], timeout=SECONDS)
    assert log.exists()
    [row] = runs(main, main)
    assert (row["state"], row["worktree"]) == ("interrupted", str(linked))
    for words in (("resume", run), ("cancel", run)):
        told = orchestrate(main, *words, main=main, code=2).stderr
        assert "OTHER_WORKTREE" in told
        assert f"orchestrate --project {linked} resume {run}" in told.replace("\n", " ")
    (linked / "gate").unlink()
    (linked / "gate").write_text("open", encoding="utf-8")
    orchestrate(linked, "resume", run, main=main)
    assert runs(main, main)[0]["state"] == "completed"


def test_a_run_of_a_worktree_that_is_gone_is_not_gone_on_with(main: Path, linked: Path) -> None:
    orchestrate(linked, "trust", "--yes", main=main)
    orchestrate(linked, "run", "/fail", main=main, code=1)
    [row] = runs(main, main)
    git(main, "worktree", "remove", "--force", str(linked))
    told = orchestrate(main, "resume", "--failed", RunId(row["runId"]), main=main, code=2).stderr
    assert "That worktree is gone" in told


def test_a_second_journal_on_the_way_is_named_and_not_used(main: Path) -> None:
    plant(main / "src")
    told = orchestrate(main / "src", "runs", main=main).stderr
    assert f"{main / 'src'} has a journal of its own; {main} does not use it" in told


def test_a_journal_that_an_older_version_left_in_a_worktree_is_named(main: Path, linked: Path) -> None:
    orchestrate(linked, "trust", "--yes", main=main)
    plant(linked)
    assert "STATE_NOT_OURS" in orchestrate(linked, "run", "/hello", main=main, code=2).stderr
    orchestrate(linked, "trust", "--state", "--yes", main=main)
    told = orchestrate(linked, "run", "/hello", main=main).stderr
    assert f"{linked} has a journal of its own; its runs are kept below {main} now" in told.replace("\n", " ")


async def test_a_client_that_claude_code_started_in_a_folder_of_the_project_gets_what_it_was_offered(
    main: Path,
) -> None:
    given = stdio_parameters(main)
    env = {**user(main), PROJECT_VARIABLE: str(main / "src"), SESSION_VARIABLE: "1"}
    given = given.model_copy(update={"env": env, "cwd": main / "src"})
    async with Client(stdio_client(given), read_timeout_seconds=SECONDS) as client:
        offered = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert "hello" in offered
        assert (await call(client, "run", command="/hello", executor="simulate"))["state"] == "completed"
    assert not (main / "src" / ".claude").exists()


async def test_a_client_in_a_session_at_home_gets_the_tools_and_each_call_says_what_is_missing(main: Path) -> None:
    home = main.parent / "home"
    env = {**user(main), PROJECT_VARIABLE: str(home), SESSION_VARIABLE: "1"}
    given = stdio_parameters(main).model_copy(update={"env": env, "cwd": home})
    async with Client(stdio_client(given), read_timeout_seconds=SECONDS) as client:
        assert len((await client.list_tools()).tools) > 5
        assert (await client.list_prompts()).prompts == []
        assert (await client.list_resources()).resources
        for tool, arguments in (("status", {}), ("run", {"command": "/hello"}), ("validate", {"source": "/hello"})):
            text = await refused(client, tool, arguments)
            assert text.startswith("PROJECT_UNKNOWN")
            assert "--project" in text
    assert not (home / ".claude").exists()


def test_a_command_at_home_says_how_to_name_a_project(main: Path) -> None:
    home = main.parent / "home"
    told = orchestrate(home, "runs", main=main, code=2).stderr
    assert "PROJECT_UNKNOWN" in told
    assert "orchestrate --project" in told
    orchestrate(main.parent, "--project", str(main), "runs", main=main)


def test_the_state_of_a_main_worktree_is_known_to_its_worktrees(main: Path, linked: Path) -> None:
    assert open_state(main, home=main.parent / "home") == main / STATE
    assert runs(linked, main) == []
