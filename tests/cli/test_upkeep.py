"""The commands about a project's state: trust, locks, prune; and runs in the background."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE
from mcp_server.cli.app import app
from mcp_server.project.grants import trust_file
from mcp_server.project.root import SESSION_VARIABLE
from tests.interaction.projects import AGENTS, environment, open_gate
from tests.support.installed import ORCHESTRATE

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

SECONDS = 30


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def untrusted(project: Path) -> Path:
    """The project before anybody has said a word."""
    trust_file(project / "home").unlink()
    return project


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


def told(result: Result) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(result.stdout)


def test_a_run_of_untrusted_programs_is_refused_before_it_starts(untrusted: Path) -> None:
    result = orchestrate(untrusted, "run", "/hello")
    assert result.exit_code == 2
    assert "NOT_TRUSTED" in result.stderr
    assert '"worker"' in result.stderr
    assert f"orchestrate --project {untrusted} trust" in result.stderr.replace("\n", " ")
    assert told(orchestrate(untrusted, "runs", "--json")) == []


def test_a_simulation_needs_no_trust(untrusted: Path) -> None:
    assert orchestrate(untrusted, "run", "/hello", "--executor", "simulate").exit_code == 0


def test_trust_lists_the_programs_and_without_a_yes_trusts_nothing(untrusted: Path) -> None:
    result = orchestrate(untrusted, "trust")
    assert result.exit_code == 1
    for name in AGENTS:
        assert f"{name}.py" in result.stderr
        assert f"{name}.md" in result.stderr.replace("\n", "").replace(" ", "")
    assert "nothing was trusted" in result.stderr
    assert not trust_file(untrusted / "home").exists()


def test_a_yes_is_remembered_for_the_user_alone_until_a_program_changes(untrusted: Path) -> None:
    assert orchestrate(untrusted, "trust", "--yes").exit_code == 0
    file = trust_file(untrusted / "home")
    assert file.stat().st_mode & 0o777 == 0o600
    assert "all programs of this project are trusted" in orchestrate(untrusted, "trust").stderr
    assert orchestrate(untrusted, "run", "/hello").exit_code == 0
    (untrusted / "worker.py").write_text(AGENTS["worker"] + "# changed\n", encoding="utf-8")
    refused = orchestrate(untrusted, "run", "/hello")
    assert refused.exit_code == 2
    assert "NOT_TRUSTED" in refused.stderr
    again = orchestrate(untrusted, "trust")
    assert "worker.py" in again.stderr
    assert "gated.py" not in again.stderr, "only what has changed is asked again"


def test_what_needs_a_yes_and_what_has_one_is_listed_and_asked_of_nobody(untrusted: Path) -> None:
    listed = orchestrate(untrusted, "trust", "--list")
    assert listed.exit_code == 1
    assert f"new agent:worker {sys.executable} worker.py" in listed.stdout
    assert orchestrate(untrusted, "trust", "--yes").exit_code == 0
    (untrusted / ".claude" / "agents" / "failer.md").unlink()
    listed = orchestrate(untrusted, "trust", "--list")
    assert listed.exit_code == 0
    assert f"accepted agent:worker {sys.executable} worker.py since 20" in listed.stdout
    assert "gone agent:failer since 20" in listed.stdout
    (untrusted / "worker.py").write_text("changed")
    assert "changed agent:worker" in orchestrate(untrusted, "trust", "--list").stdout


def test_a_yes_can_be_taken_back_whole_or_for_one_item(project: Path) -> None:
    one = orchestrate(project, "trust", "--revoke", "agent:gated", "agent:nobody")
    assert (one.exit_code, one.stdout) == (1, "revoked agent:gated\n")
    assert "agent:nobody had no yes" in one.stderr
    assert orchestrate(project, "run", "/hello").exit_code == 0
    assert "revoked agent:worker" in orchestrate(project, "trust", "--revoke").stdout
    assert "NOT_TRUSTED" in orchestrate(project, "run", "/hello").stderr
    assert "nothing of this project had a yes" in orchestrate(project, "trust", "--revoke").stderr


@pytest.mark.parametrize(
    "words", [("--list", "--revoke"), ("--yes", "--list"), ("--state", "--revoke"), ("agent:worker",)]
)
def test_options_of_trust_that_make_no_sense_together_are_refused(project: Path, words: tuple[str, ...]) -> None:
    assert orchestrate(project, "trust", *words).exit_code == 2


@pytest.mark.parametrize("damage", ["", "[]", "{not json", '{"projects": []}', '{"version": 99}'])
def test_a_damaged_trust_file_trusts_nothing(untrusted: Path, damage: str) -> None:
    file = trust_file(untrusted / "home")
    file.write_text(damage, encoding="utf-8")
    assert "NOT_TRUSTED" in orchestrate(untrusted, "run", "/hello").stderr


def test_a_trust_file_that_others_can_write_trusts_nothing(project: Path) -> None:
    trust_file(project / "home").chmod(0o666)
    assert "NOT_TRUSTED" in orchestrate(project, "run", "/hello").stderr
    refused = orchestrate(project, "trust", "--yes")
    assert refused.exit_code == 2
    assert "TRUST_NOT_KEPT" in refused.stderr


def test_an_agent_cannot_say_that_it_is_trusted(untrusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ATTEMPT_VARIABLE, "r-1:node#1")
    result = orchestrate(untrusted, "trust", "--yes")
    assert result.exit_code == 2
    assert "an agent cannot say" in result.stderr
    assert not trust_file(untrusted / "home").exists()


@pytest.mark.parametrize("words", [("trust", "--yes"), ("trust",)])
def test_what_claude_code_starts_cannot_say_it_either(
    untrusted: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(SESSION_VARIABLE, "1")
    result = orchestrate(untrusted, *words)
    assert result.exit_code == 2
    assert "NOT_TRUSTED" in result.stderr
    assert f"Run `orchestrate --project {untrusted} trust` in a terminal of your own." in result.stderr
    assert not trust_file(untrusted / "home").exists()


def typed(project: Path, words: tuple[str, ...], answer: str, **variables: str) -> int:
    """The exit code of a command on a terminal, where somebody types *answer*."""
    primary, secondary = pty.openpty()
    try:
        with subprocess.Popen(
            [ORCHESTRATE, *words],
            cwd=project,
            env={**environment(project), "TERM": "dumb", **variables},
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
        ) as process:
            os.write(primary, answer.encode())
            return process.wait(timeout=SECONDS)
    finally:
        os.close(primary)
        os.close(secondary)


@pytest.mark.processes
@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 1), ("no\n", 1)])
def test_on_a_terminal_a_run_asks_and_no_is_the_default(untrusted: Path, answer: str, code: int) -> None:
    assert typed(untrusted, ("run", "/hello"), answer) == code
    assert trust_file(untrusted / "home").exists() is (code == 0)


@pytest.mark.processes
@pytest.mark.parametrize(("words", "code"), [(("trust",), 0), (("trust", "--yes"), 2)])
def test_a_person_at_a_terminal_inside_claude_code_is_asked(untrusted: Path, words: tuple[str, ...], code: int) -> None:
    assert typed(untrusted, words, "y\n", **{SESSION_VARIABLE: "1"}) == code
    assert trust_file(untrusted / "home").exists() is (code == 0)


@pytest.mark.processes
def test_a_detached_run_answers_at_once_and_goes_on(project: Path) -> None:
    result = orchestrate(project, "run", "/wait", "--detach")
    assert result.exit_code == 0, result.stderr
    run = result.stdout.strip()
    assert told(orchestrate(project, "status", run, "--json"))["state"] == "running"
    open_gate(project)
    followed = orchestrate(project, "status", run, "--watch", "--json")
    assert told(followed)["state"] == "completed"


@pytest.mark.processes
def test_a_detached_run_is_cancelled_from_anywhere(project: Path) -> None:
    status = told(orchestrate(project, "run", "/wait", "--detach", "--json"))
    assert status["state"] == "running"
    assert orchestrate(project, "cancel", status["runId"]).exit_code == 0
    assert "NOTHING_TO_CANCEL" in orchestrate(project, "cancel", status["runId"]).stderr


def test_without_locks_there_is_nothing_to_show(project: Path) -> None:
    assert "no locks held or requested" in orchestrate(project, "locks").stderr
    assert told(orchestrate(project, "locks", "--json")) == {"locks": []}
    assert "RUN_NOT_FOUND" in orchestrate(project, "locks", "--release", "r-nothing").stderr


def test_prune_keeps_the_newest_runs_and_those_that_are_young(project: Path) -> None:
    runs = [told(orchestrate(project, "run", "/hello", "--json"))["runId"] for _ in range(3)]
    assert told(orchestrate(project, "prune", "--json")) == {"removed": []}
    assert told(orchestrate(project, "prune", "--older-than", "1", "--json")) == {"removed": []}
    assert told(orchestrate(project, "prune", "--keep", "1", "--json")) == {"removed": [runs[1], runs[0]]}
    assert [row["runId"] for row in told(orchestrate(project, "runs", "--json"))] == [runs[2]]
    result = orchestrate(project, "prune", "--older-than", "0")
    assert runs[2] in result.stdout
    assert "1 run removed" in result.stderr


def test_the_limits_of_a_run_are_its_options(project: Path) -> None:
    refused = orchestrate(project, "run", "/wait", "--max-attempts-total", "1")
    assert refused.exit_code == 1
    assert "the run used its only allowed attempt" in refused.stdout
    opening = threading.Thread(target=open_gate, args=(project,))
    opening.start()
    higher = orchestrate(project, "resume", "--failed", "--max-attempts-total", "2", "--json")
    opening.join()
    assert (higher.exit_code, told(higher)["state"]) == (0, "completed"), higher.stderr
    late = orchestrate(project, "run", "/wait", "--max-duration-seconds", "0.5")
    assert late.exit_code == 1
    assert "the run reached its time limit of 0.5 s" in late.stdout


@pytest.mark.processes
def test_a_run_whose_state_is_removed_ends_with_one_error_that_says_so(project: Path) -> None:
    program = [ORCHESTRATE, "run", "/wait"]
    with (
        subprocess.Popen(program, cwd=project, env=environment(project), stderr=subprocess.PIPE, text=True) as process,
        (project / "gate").open("w"),  # the agent has come to it
    ):
        shutil.rmtree(project / ".claude" / "orchestration")
        _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert told.count("STATE_REMOVED") == 1
    assert not (project / ".claude" / "orchestration").exists()
