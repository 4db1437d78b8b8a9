"""The command `doctor`: each thing that keeps commands from running is named, and only what is broken is an error."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from typer.testing import CliRunner

from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE
from mcp_server import twins
from mcp_server.cli.app import app
from mcp_server.project.root import SESSION_VARIABLE
from registry.packaged import scanners
from tests.interaction.projects import environment
from tests.support.state import contents, older_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (SESSION_VARIABLE, ATTEMPT_VARIABLE, "CLAUDE_CONFIG_DIR", twins.SESSION, twins.PLUGIN):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(project / "home"))
    (project / ".claude/commands/v2/model.json").unlink()
    (project / ".claude/orchestration.toml").unlink()
    yield
    while twins._held:
        os.close(twins._held.pop())


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


class Report(NamedTuple):
    """The answer of the command."""

    code: int
    checks: list[dict[str, str]]

    def of(self, topic: str) -> list[tuple[str, str]]:
        return [(one["state"], one["text"]) for one in self.checks if one["topic"] == topic]


def examined(project: Path) -> Report:
    result = orchestrate(project, "doctor", "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["healthy"] == (result.exit_code == 0)
    return Report(result.exit_code, found["checks"])


def put_claude(project: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    """A program `claude` on the path that prints *says*."""
    folder = project.parent / "programs"
    folder.mkdir()
    (folder / "claude").write_text(f"#!/bin/sh\necho '{says}'\n", encoding="utf-8")
    (folder / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_fleet_whose_packages_are_missing_is_broken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run says FLEET_NOT_INSTALLED."""
    assert examined(project).of("fleet") == []
    monkeypatch.setenv("ORCHESTRATION_FLEET__CONNECT", "127.0.0.1:7")
    assert examined(project).of("fleet") == [("ok", "runs use the fleet at 127.0.0.1:7")]
    monkeypatch.setattr(scanners, "is_installed", lambda package: package != "temporalio")
    report = examined(project)
    [(state, text)] = report.of("fleet")
    assert (report.code, state, "not installed" in text) == (1, "broken", True)
    assert 'the extra "fleet"' in next(one["hint"] for one in report.checks if one["topic"] == "fleet")


def test_a_project_of_programs_is_healthy_without_a_model(project: Path) -> None:
    report = examined(project)
    assert report.code == 0
    assert [state for state, _ in report.of("claude")] == ["note"]
    assert [state for state, _ in report.of("agents")] == ["ok"]
    assert report.of("trust")[0] == ("ok", "4 of 4 programs and settings have your yes")
    assert "Python 3." in report.of("installed")[0][1]
    shown = orchestrate(project, "doctor").stdout
    assert "✅ agents: " in shown
    assert "⚠️ claude: claude was not found" in shown


def test_without_claude_a_command_with_a_model_agent_is_broken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hello = (project / ".claude/commands/v2/hello.json").read_text(encoding="utf-8")
    (project / ".claude/commands/v2/model.json").write_text(
        hello.replace("/hello", "/model").replace('"worker"', '"senior-reviewer"'), encoding="utf-8"
    )
    report = examined(project)
    assert report.code == 1
    assert report.of("claude") == [("broken", "claude was not found, and commands need it for senior-reviewer")]
    assert "❌ claude" in orchestrate(project, "doctor").stdout
    monkeypatch.setenv("ORCHESTRATION_FLEET__CONNECT", "127.0.0.1:7")  # whose workers have it
    assert [state for state, _ in examined(project).of("claude")] == ["note"]
    monkeypatch.setenv("ORCHESTRATION_FLEET__AGENTS", '["process"]')
    assert [state for state, _ in examined(project).of("claude")] == ["broken"]


@pytest.mark.parametrize(
    ("says", "state", "text"),
    [
        ("2.1.332 (Claude Code)", "ok", "Claude Code 2.1.332 in "),
        ("1.0.5 (Claude Code)", "note", "older than 2.1.197, the oldest that is tested"),
        ("hello", "broken", "--version printed no version: hello"),
    ],
)
def test_claude_code_is_named_with_its_version(
    project: Path, monkeypatch: pytest.MonkeyPatch, says: str, state: str, text: str
) -> None:
    put_claude(project, monkeypatch, says)
    [(found, said)] = examined(project).of("claude")
    assert found == state
    assert text in said


def test_a_program_that_the_project_names_is_not_started_before_a_yes(project: Path) -> None:
    (project / "mine.sh").write_text('#!/bin/sh\ntouch "$0.started"\necho 9.9.9\n', encoding="utf-8")
    (project / "mine.sh").chmod(0o755)
    (project / ".claude/orchestration.toml").write_text('claude_program = "./mine.sh"\n', encoding="utf-8")
    [(state, text)] = examined(project).of("claude")
    assert (state, "waits for your yes" in text) == ("note", True)
    assert not (project / "mine.sh.started").exists()
    assert orchestrate(project, "trust", "--yes").exit_code == 0
    assert "9.9.9" in examined(project).of("claude")[0][1]
    assert (project / "mine.sh.started").exists(), "or the test shows nothing"


def test_agents_that_cannot_run_are_named_with_the_reason(project: Path) -> None:
    agents = project / ".claude/agents"
    (project / "worker.py").unlink()
    (agents / "lost.md").write_text(
        '---\nname: lost\ndescription: x\nexecutor: process\ncommand: ["{python}", "tools/none.py"]\n---\n'
    )
    (agents / "absent.md").write_text(
        '---\nname: absent\ndescription: x\nexecutor: process\ncommand: ["no-such-program"]\n---\n'
    )
    (agents / "wrong.md").write_text("---\nname: wrong\ndescription: x\nallowed-tools: Read\n---\n")
    report = examined(project)
    texts = [text for state, text in report.of("agents") if state == "broken"]
    assert report.code == 1
    assert any(text.startswith('"lost": tools/none.py is not there') for text in texts)
    assert any(text.startswith('"absent": the program no-such-program was not found') for text in texts)
    assert any(text.startswith('"wrong": ') and "allowed-tools" in text for text in texts)


def test_documentation_among_the_agents_is_no_fault(project: Path) -> None:
    (project / ".claude/agents/README.md").write_text("# Our agents\n")
    report = examined(project)
    assert report.code == 0
    assert [state for state, _ in report.of("agents")] == ["ok"]


def test_tools_that_an_agent_will_lack_are_a_note(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_claude(project, monkeypatch, "2.1.332")
    hello = (project / ".claude/commands/v2/hello.json").read_text(encoding="utf-8").replace("/hello", "/asks")
    (project / ".claude/commands/v2/asks.json").write_text(hello.replace('"worker"', '"asker"'), encoding="utf-8")
    (project / ".claude/agents/asker.md").write_text("---\nname: asker\ndescription: x\ntools: Reed, Read\n---\n")
    report = examined(project)
    assert report.code == 0
    assert any(state == "note" and "asker" in text for state, text in report.of("agents"))


def test_what_waits_for_a_yes_is_a_note(project: Path) -> None:
    (project / "worker.py").write_text("changed", encoding="utf-8")
    report = examined(project)
    assert report.code == 0
    [(state, text)] = report.of("trust")
    assert (state, "without it: " in text, "agent:worker" in text) == ("note", True, True)


def test_state_of_someone_else_is_broken_and_left_alone(tmp_path: Path) -> None:
    clone = older_project(tmp_path / "clone")
    before = contents(clone)
    report = examined(clone)
    assert report.code == 1
    assert report.of("state")[0][0] == "broken"
    assert contents(clone) == before


def test_runs_and_their_room_are_named(project: Path) -> None:
    assert examined(project).of("state") == [("ok", "no runs yet")]
    orchestrate(project, "run", "/hello")
    report = examined(project)
    assert report.of("state") == [("ok", f"runs are recorded in {project / '.claude/orchestration'}")]
    assert report.of("room")[0][0] == "ok"
    assert not report.of("room")[0][1].startswith("runs take 0.0 MB")


@pytest.mark.parametrize(
    ("free", "state", "code"), [(2_000_000_000, "ok", 0), (900_000_000, "note", 0), (1000, "broken", 1)]
)
def test_little_room_is_a_note_and_none_is_broken(
    project: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str, code: int
) -> None:
    usage = shutil.disk_usage(project)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    report = examined(project)
    assert (report.of("room")[0][0], report.code) == (state, code)


SERVER = {"command": "uvx", "args": ["--from", "x", "orchestration-mcp"]}


def put_server(project: Path, server: object) -> None:
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"mine": server}}), encoding="utf-8")


def put_plugin(project: Path) -> None:
    user = project / "home/.claude"
    (user / "plugins").mkdir(parents=True)
    plugin = {"scope": "user", "installPath": str(project.parent)}
    (user / "plugins/installed_plugins.json").write_text(
        json.dumps({"plugins": {"orchestration@orchestration-mcp": [plugin]}}), encoding="utf-8"
    )
    (user / "settings.json").write_text(json.dumps({"enabledPlugins": {"orchestration@orchestration-mcp": True}}))


@pytest.mark.parametrize(
    "server", [SERVER, {"command": "/x/.ci/serve"}, {"command": "python", "args": ["-m", "mcp_server"]}]
)
def test_the_configured_server_is_named(project: Path, server: object) -> None:
    put_server(project, server)
    assert examined(project).of("servers") == [("ok", "Claude Code starts the server mine in this project")]


@pytest.mark.parametrize("server", [{"command": "other"}, {"command": 5, "args": "x"}, "text", {"url": "http://x"}])
def test_another_server_is_not_ours(project: Path, server: object) -> None:
    put_server(project, server)
    assert examined(project).of("servers")[0][0] == "note"
    assert "does not start our server" in examined(project).of("servers")[0][1]


def test_plugin_and_configuration_together_are_a_note_that_says_which_one_serves(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_plugin(project)
    assert examined(project).of("servers") == [("ok", "Claude Code starts the plugin in this project")]
    put_server(project, SERVER)
    [(state, text)] = examined(project).of("servers")
    assert (state, text) == ("note", "the plugin and the server mine of the configuration are both active")
    monkeypatch.setenv(twins.SESSION, "session-1")
    assert twins.serves({**os.environ, twins.PLUGIN: "/plugin"})
    [(state, text)] = examined(project).of("servers")
    assert text.endswith("both active; the one of the plugin offers the tools to this session")


@pytest.mark.parametrize(
    ("file", "switch"),
    [
        (".claude/settings.local.json", {"disabledMcpjsonServers": ["mine"]}),
        (".claude/settings.json", {"disabledMcpjsonServers": ["other", "mine"]}),
        ("home/.claude/settings.json", {"disabledMcpjsonServers": ["mine"]}),
        ("home/.claude.json", {"projects": {"{project}": {"disabledMcpServers": ["mine"]}}}),
    ],
)
def test_a_server_that_is_switched_off_is_not_active(project: Path, file: str, switch: dict[str, object]) -> None:
    put_server(project, SERVER)
    place = project / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(switch).replace("{project}", str(project)), encoding="utf-8")
    assert "does not start our server" in examined(project).of("servers")[0][1]


@pytest.mark.parametrize("switch", [None, "mine", ["mine", 5], {"mine": True}])
def test_a_list_of_another_form_switches_nothing_else_off(project: Path, switch: object) -> None:
    put_server(project, SERVER)
    text = json.dumps({"disabledMcpjsonServers": switch})
    (project / ".claude/settings.local.json").write_text(text, encoding="utf-8")
    assert (examined(project).of("servers")[0][0] == "ok") == (switch != ["mine", 5])


@pytest.mark.parametrize("text", ["{ broken", "[]", "\xff"])
def test_a_file_of_servers_that_claude_code_cannot_read_is_broken(project: Path, text: str) -> None:
    (project / ".mcp.json").write_text(text, encoding="latin-1")
    report = examined(project)
    assert report.code == 1
    assert report.of("servers")[0] == (
        "broken",
        "Claude Code cannot read .mcp.json of this project, and starts none of its servers",
    )


def test_settings_that_cannot_be_read_are_one_finding(project: Path) -> None:
    (project / ".claude/orchestration.toml").write_text("nothing = 1\n", encoding="utf-8")
    report = examined(project)
    assert report.code == 1
    assert report.of("settings")[0][1].startswith("INVALID_SETTINGS")


def test_what_it_prints_steers_no_terminal(project: Path) -> None:
    agent = project / ".claude/agents/x.md"
    agent.write_text('---\nname: "x\\x1b[2J\\u202e"\ndescription: x\nexecutor: process\ncommand: ["no\\x1bne"]\n---\n')
    shown = orchestrate(project, "doctor").stdout
    assert not {"\x1b", "\u202e"} & {*shown}


def test_it_writes_nothing(project: Path) -> None:
    before = contents(project)
    orchestrate(project, "doctor")
    assert contents(project) == before


def test_a_state_folder_that_cannot_be_read_is_a_finding(project: Path) -> None:
    state = project / ".claude/orchestration"
    shutil.rmtree(state, ignore_errors=True)
    state.write_text("in the way", encoding="utf-8")
    report = examined(project)
    assert report.code == 1
    assert report.of("state") == [("broken", f"READ_ONLY: cannot make {state}: Not a directory")]
    result = orchestrate(project, "status", "--line")
    assert result.exit_code == 2
    assert f"error READ_ONLY: cannot make {state}: Not a directory" in result.stderr.replace("\n", "")
