from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from engine.model.agent import Agent, AgentKind, AgentSource
from registry.trust.agents import agent_item, needs_trust
from registry.trust.digests import Digests

GUARD = {
    "PreToolUse": [
        {"hooks": [{"type": "prompt", "prompt": "Safe?"}, {"type": "command", "command": "tools/check.py -v"}]}
    ]
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tools" / "checks").mkdir(parents=True)
    (tmp_path / "agent.md").write_text("---\nname: a\n---\n")
    (tmp_path / "tools" / "check.py").write_text("print(1)")
    (tmp_path / "tools" / "checks" / "__main__.py").write_text("print(2)")
    return tmp_path


def trust_digest(agent: Agent, project: Path) -> tuple[str, str, str]:
    """What a yes is remembered by."""
    item = agent_item(agent, project, Digests(project))
    return item.content, item.place, json.dumps(item.files, sort_keys=True)


def process(project: Path, *command: str) -> Agent:
    return Agent(id="a", kind=AgentKind.PROCESS, path=str(project / "agent.md"), command=command)


def python(project: Path, name: str) -> Agent:
    return Agent(id="a", kind=AgentKind.PYTHON, path=str(project / "agent.md"), callable=name)


@pytest.mark.parametrize("kind", list(AgentKind))
@pytest.mark.parametrize("source", list(AgentSource))
def test_programs_and_functions_from_files_of_project_user_and_plugins_need_trust(
    kind: AgentKind, source: AgentSource
) -> None:
    given = source in {AgentSource.PROJECT, AgentSource.USER, AgentSource.PLUGIN}
    expected = given and kind.traits.field is not None
    assert needs_trust(Agent(id="a", kind=kind, source=source), Path("/nowhere")) is expected


@pytest.mark.parametrize("kind", [kind for kind in AgentKind if kind.traits.field is not None])
def test_the_field_that_says_what_runs_is_shown(kind: AgentKind, project: Path) -> None:
    field = str(kind.traits.field)
    values: dict[str, Any] = {field: ("tools/check.py",) if field == "command" else "tools.check:run"}
    item = agent_item(Agent(id="a", kind=kind, path=str(project / "agent.md"), **values), project, Digests(project))
    assert any("check" in line for line in item.lines)
    assert "check" in item.summary


@pytest.fixture
def served(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that defines an MCP server, for a user who defines none."""
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(project / "config"))
    server = {"command": "python3", "args": ["tools/check.py"]}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"db": server}}))
    return project


def test_a_model_agent_needs_trust_for_variables_and_for_servers_of_the_project(served: Path) -> None:
    def asks(**fields: Any) -> bool:  # noqa: ANN401 - fields of an agent
        return needs_trust(Agent(id="a", **fields), served)

    assert not asks()
    assert asks(env={"NODE_OPTIONS": "--require ./evil.js"})
    assert asks(hooks=GUARD)
    assert asks(handed_on={"initialPrompt": " /deploy now"})
    assert not asks(handed_on={"initialPrompt": "Look around.", "memory": "user"})
    assert asks(hooks=GUARD, source=AgentSource.USER)
    assert asks(mcp_servers=("own",), inline_servers={"own": {"command": "x"}})
    assert not asks(hooks=GUARD, source=AgentSource.PACKAGED)
    assert not asks(env={"A": "b"}, source=AgentSource.PACKAGED)
    assert asks(mcp_servers=("db",))
    assert asks(mcp_servers=("other", "db"), source=AgentSource.BUILTIN), "settings of the project may name it too"
    assert not asks(mcp_servers=("other",))


@pytest.mark.parametrize(
    ("brought", "file"),
    [
        ({"hooks": GUARD}, "tools/check.py"),
        ({"inline_servers": {"own": {"command": "python3", "args": ["tools/check.py"]}}}, "tools/check.py"),
        ({"inline_servers": {"own": {"command": "./tools/check.py"}}}, "tools/check.py"),
    ],
)
def test_a_changed_hook_or_own_server_or_a_file_of_it_asks_again(
    served: Path, brought: dict[str, Any], file: str
) -> None:
    agent = Agent(id="a", **brought)
    digests = [trust_digest(agent, served), trust_digest(Agent(id="a"), served)]
    (served / file).write_text("print('changed')")
    digests.append(trust_digest(agent, served))
    assert len(set(digests)) == 3


def test_hooks_and_own_servers_are_shown_whole(served: Path) -> None:
    servers = {"own": {"command": "./serve", "args": ["-v"]}, "far": {"type": "http", "url": "https://x"}}
    item = agent_item(
        Agent(id="a", hooks=GUARD, mcp_servers=("own", "far"), inline_servers=servers), served, Digests(served)
    )
    assert item.summary == "claude, MCP servers own, far, hook tools/check.py -v"
    assert item.lines == (
        "MCP server own: ./serve -v",
        "MCP server far: https://x",
        'hook PreToolUse: {"type": "prompt", "prompt": "Safe?"}',
        'hook PreToolUse: {"type": "command", "command": "tools/check.py -v"}',
    )


def test_all_that_a_server_is_given_and_a_command_of_claude_codes_are_shown(served: Path) -> None:
    server = {
        "type": "http",
        "url": "https://x",
        "env": {"NODE_OPTIONS": "--require ./tools/load.js", "DB_PASSWORD": "abcdefgh"},
        "headers": {"X-Who": "me"},
        "headersHelper": "tools/check.py",
        "timeout": 5,
    }
    named = Agent(id="a", mcp_servers=("own",), inline_servers={"own": server})
    item = agent_item(structs.replace(named, handed_on={"initialPrompt": "/deploy now"}), served, Digests(served))
    assert item.lines == (
        "MCP server own: https://x",
        "MCP server own: env NODE_OPTIONS=--require ./tools/load.js",
        "MCP server own: env DB_PASSWORD=[redacted]",
        "MCP server own: headers X-Who=me",
        "MCP server own: headersHelper tools/check.py",
        "MCP server own: timeout 5",
        "initial prompt: /deploy now",
    )
    assert agent_item(Agent(id="a", handed_on={"initialPrompt": "Hello"}), served, Digests(served)).lines == ()


def test_a_changed_helper_of_a_server_asks_again(served: Path) -> None:
    server = {"type": "http", "url": "https://x", "headersHelper": "tools/check.py"}
    named = Agent(id="a", mcp_servers=("own",), inline_servers={"own": server})
    before = trust_digest(named, served)
    (served / "tools" / "check.py").write_text("print(3)")
    assert trust_digest(named, served) != before


def test_a_hook_that_no_shell_would_take_is_covered_as_it_stands(served: Path) -> None:
    def digest(command: str) -> tuple[str, str, str]:
        return trust_digest(
            Agent(id="a", hooks={"Stop": [{"hooks": [{"type": "command", "command": command}]}]}), served
        )

    assert digest('echo "') != digest('echo "a')


def test_a_server_that_the_user_keeps_for_the_project_is_the_users(served: Path) -> None:
    mine = {"projects": {str(served): {"mcpServers": {"db": {"command": "mine"}}}}}
    (served / "config").mkdir()
    (served / "config" / ".claude.json").write_text(json.dumps(mine))
    assert not needs_trust(Agent(id="a", mcp_servers=("db",)), served)


def test_a_changed_server_or_program_of_it_asks_again(served: Path) -> None:
    agent = Agent(id="a", mcp_servers=("db",))
    digests = [trust_digest(agent, served)]
    (served / "tools" / "check.py").write_text("print('changed')")
    digests.append(trust_digest(agent, served))
    (served / ".mcp.json").write_text(json.dumps({"mcpServers": {"db": {"command": "sh"}}}))
    digests.append(trust_digest(agent, served))
    (served / ".mcp.json").write_text(json.dumps({"mcpServers": {"db": ["odd"], "x": {"command": 1, "args": 2}}}))
    digests.append(trust_digest(agent, served))
    assert len(set(digests)) == 4


def test_the_digest_is_the_same_as_long_as_nothing_changes(project: Path) -> None:
    agent = process(project, "python3", "tools/check.py")
    first = trust_digest(agent, project)
    (project / "README.md").write_text("unrelated")
    assert trust_digest(agent, project) == first
    assert [len(part) for part in first][:2] == [64, 64]


@pytest.mark.parametrize(
    "changes",
    [
        {"command": ("python3", "tools/check.py", "--all")},
        {"env": {"PATH": "/opt/bin"}},
        {"keep_processes": True},
        {"ignores_project": True},
        {"timeout": timedelta(seconds=1)},
        {"id": "b"},
        {"source": AgentSource.USER},
        {"path": None},
    ],
)
def test_a_changed_setting_asks_again(project: Path, changes: dict[str, object]) -> None:
    agent = process(project, "python3", "tools/check.py")
    assert trust_digest(structs.replace(agent, **changes), project) != trust_digest(agent, project)


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (("python3", "x"), "agent.md"),
        (("python3", "tools/check.py"), "tools/check.py"),
        (("./tools/check.py",), "tools/check.py"),
        (("uv", "run", "tools/../tools/check.py", "-v"), "tools/check.py"),
        (("run", "--script=tools/check.py"), "tools/check.py"),
        (("python3", "-m", "tools.check"), "tools/check.py"),
        (("python3", "-m", "tools.checks"), "tools/checks/__main__.py"),
        (("python3", "-m", "tools.checks"), "tools/__init__.py"),
        (("python3", "tools/checks"), "tools/checks/__main__.py"),
        (("python3", "tools/later.py"), "tools/later.py"),
    ],
)
def test_a_changed_or_new_program_file_asks_again(project: Path, command: tuple[str, ...], file: str) -> None:
    agent = process(project, *command)
    before = trust_digest(agent, project)
    (project / file).write_text("changed")
    assert trust_digest(agent, project) != before


@pytest.mark.parametrize("file", ["pkg/mod.py", "pkg/__init__.py", "pkg/mod/__init__.py", "src/pkg/mod.py"])
def test_a_changed_or_new_module_file_asks_again(project: Path, file: str) -> None:
    agent = python(project, "pkg.mod:review")
    before = trust_digest(agent, project)
    (project / file).parent.mkdir(parents=True, exist_ok=True)
    (project / file).write_text("changed")
    assert trust_digest(agent, project) != before


def test_a_link_to_the_program_is_followed_to_its_content(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("elsewhere") / "real.py"
    target.write_text("one")
    (project / "linked.py").symlink_to(target)
    agent = process(project, "python3", "linked.py")
    before = trust_digest(agent, project)
    target.write_text("two")
    assert trust_digest(agent, project) != before


def test_another_project_asks_for_itself(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    agent = process(project, "make", "check")
    assert trust_digest(agent, project) != trust_digest(agent, tmp_path_factory.mktemp("other"))


def test_files_outside_the_project_are_not_read(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "tool.py"
    agent = process(project, "python3", str(outside), "../../x")
    before = trust_digest(agent, project)
    outside.write_text("changed")
    assert trust_digest(agent, project) == before


@pytest.mark.parametrize(
    "command", [("python3", "-m", ""), ("python3", "-m", "../.."), ("x" * 5000,), ("a\0b",), ("",)]
)
def test_odd_arguments_give_a_digest_and_no_error(project: Path, command: tuple[str, ...]) -> None:
    assert len(trust_digest(process(project, *command), project)[0]) == 64


@pytest.mark.parametrize("word", ["app.sqlite3", "--database=data/APP.DB", "runs.log"])
def test_what_a_program_works_on_asks_nothing(project: Path, word: str) -> None:
    agent = process(project, "python3", "tools/check.py", word)
    before = trust_digest(agent, project)
    path = project / word.rpartition("=")[2]
    path.parent.mkdir(exist_ok=True)
    path.write_text("rows")
    assert trust_digest(agent, project) == before
