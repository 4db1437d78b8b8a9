"""What agents get of a project's configuration of Claude Code before and after the user's yes, with the real program.

Every program of the project leaves a marker, which must not be there before the yes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from engine.executors.claude.executor import ClaudeExecutor
from engine.executors.port import Outcome, WorkOrder
from engine.model.agent import Agent
from registry.trust.agents import agent_item
from registry.trust.claude_settings import claude_item, folders_inside
from registry.trust.digests import Digests
from tests.support.claude_code import VERSIONS
from tests.support.fake_messages_api import FakeMessagesApi, Route, Step
from tests.support.orders import Beats, order_for

TASK = "Count the beans"
ANSWER: Step = {"structured": {"outputs": {"n": 3}}}
EVENTS = ("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SessionEnd")
HELPERS = ("apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "gcpAuthRefresh", "otelHeadersHelper")


@pytest.fixture
def marks(project: Path) -> Path:
    folder = project / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def configured(project: Path, marks: Path) -> Path:
    """A project in which everything that Claude Code would start leaves a mark."""

    def touch(name: str) -> str:
        return f"touch {marks}/{name}"

    def hook(name: str) -> list[dict[str, Any]]:
        return [{"hooks": [{"type": "command", "command": touch(name)}]}]

    frontmatter = "---\nname: {name}\ndescription: DESC-{name}\n{more}---\nBODY-{name} {body}\n"
    plugin = {"name": "pl", "version": "1.0.0", "description": "d"}
    market = {"name": "m", "owner": {"name": "o"}, "plugins": [{"name": "pl", "source": "./pl", "description": "d"}]}
    settings = {
        "hooks": {event: hook(f"hook-{event}") for event in EVENTS},
        **{helper: f"{touch(helper)}; echo dummy" for helper in HELPERS},
        "statusLine": {"type": "command", "command": touch("statusLine")},
        "fileSuggestion": {"type": "command", "command": touch("fileSuggestion")},
        "env": {"BASH_ENV": str(project / "env.sh"), "FROM_SETTINGS": "yes"},
        "outputStyle": "odd",
        "model": "haiku",
        "enableAllProjectMcpServers": True,
        "extraKnownMarketplaces": {"m": {"source": {"source": "directory", "path": str(project / "market")}}},
        "enabledPlugins": {"pl@m": True},
        "permissions": {
            "allow": ["Bash(touch allowed)"],
            "deny": ["Bash(touch denied)", "Read(/secret.txt)"],
            "ask": ["Bash(touch asked)"],
            "additionalDirectories": ["/etc"],
        },
    }
    local = {"hooks": {"SessionStart": hook("local-hook")}, "permissions": {"deny": ["Bash(touch denied-too)"]}}
    server = {"command": "sh", "args": ["-c", f"{touch('mcp')}; cat > /dev/null"]}
    runs = f"hooks: {json.dumps({'PreToolUse': hook('skill-hook')})}\n"
    for name, text in {
        "CLAUDE.md": "TEXT-CLAUDE\n@imported.md\n",
        "imported.md": "TEXT-IMPORTED",
        "secret.txt": "SECRET",
        "env.sh": touch("BASH_ENV"),
        ".mcp.json": json.dumps({"mcpServers": {"s": server}}),
        ".claude/settings.json": json.dumps(settings),
        ".claude/settings.local.json": json.dumps(local),
        ".claude/rules/rule.md": "TEXT-RULE",
        ".claude/output-styles/odd.md": "---\nname: odd\ndescription: x\n---\nTEXT-STYLE",
        ".claude/skills/plain/SKILL.md": frontmatter.format(name="plain", more="", body=""),
        ".claude/skills/loud/SKILL.md": frontmatter.format(name="loud", more=runs, body=f"!`{touch('skill')}`"),
        ".claude/commands/cmd.md": frontmatter.format(name="cmd", more="", body=f"!`{touch('command')}`"),
        ".claude/agents/helper.md": frontmatter.format(
            name="helper", more=f"hooks: {json.dumps({'PreToolUse': hook('agent-hook')})}\n", body=""
        ),
        "market/.claude-plugin/marketplace.json": json.dumps(market),
        "market/pl/.claude-plugin/plugin.json": json.dumps(plugin),
        "market/pl/hooks/hooks.json": json.dumps({"hooks": {"SessionStart": hook("plugin-hook")}}),
        "sub/.claude/skills/nested/SKILL.md": frontmatter.format(
            name="nested", more="", body=f"!`{touch('nested-skill')}`"
        ),
        "sub/file.txt": "x",
    }.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    return project


def shell(command: str) -> Step:
    return {"tool": "Bash", "input": {"command": command, "description": "x"}}


STEPS: list[Step] = [
    shell("echo from-$FROM_SETTINGS-here"),
    {"tool": "Read", "input": {"file_path": "sub/file.txt"}},
    *({"tool": "Skill", "input": {"skill": name}} for name in ("loud", "plain", "cmd", "nested")),
    {"tool": "Agent", "input": {"description": "d", "prompt": "Help out", "subagent_type": "helper"}},
    ANSWER,
]
AGENT = Agent(id="counter", tools=("Bash", "Read", "Skill", "Agent"))


async def run(
    project: Path,
    environ: dict[str, str],
    *,
    whole: bool,
    agent: Agent = AGENT,
    worktree: Path | None = None,
    task: str = TASK,
) -> Outcome:
    executor = ClaudeExecutor(shutil.which("claude", path=environ["PATH"]), environment=environ, whole=lambda _: whole)
    given: WorkOrder = structs.replace(order_for(agent, project=project, task=task), worktree=worktree)
    return await asyncio.wait_for(executor.execute(given, Beats()), 55)


def asked(api: FakeMessagesApi, steps: list[Step]) -> None:
    api.routes = [Route(match="Help out", steps=[shell("true"), {"text": "done"}]), Route(match="beans", steps=steps)]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def seen(api: FakeMessagesApi) -> str:
    return json.dumps([turn.body for turn in api.turns])


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_before_the_yes_nothing_of_the_project_runs_and_what_instructs_is_there(
    api: FakeMessagesApi, environ: dict[str, str], configured: Path, marks: Path
) -> None:
    asked(api, STEPS)
    await run(configured, environ, whole=False)
    assert len(api.turns) >= len(STEPS)
    assert names_in(marks) == set()
    said = seen(api)
    assert {text for text in ("TEXT-CLAUDE", "TEXT-IMPORTED", "TEXT-RULE") if text in said} == {
        "TEXT-CLAUDE",
        "TEXT-IMPORTED",
        "TEXT-RULE",
    }
    assert "from--here" in said
    assert not [text for text in ("TEXT-STYLE", "DESC-plain", "DESC-loud", "DESC-cmd", "DESC-helper") if text in said]
    assert "haiku" not in api.turns[0].body["model"]


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_after_the_yes_the_project_is_as_it_is_in_claude_code(
    api: FakeMessagesApi, environ: dict[str, str], configured: Path, marks: Path
) -> None:
    asked(api, STEPS)
    await run(configured, environ, whole=True)
    made = names_in(marks)
    wanted = {"BASH_ENV", "apiKeyHelper", "local-hook", "skill", "command", "nested-skill"}
    assert wanted | {f"hook-{event}" for event in EVENTS} <= made
    assert "mcp" not in made, "a server is started for the agent that names it"
    said = seen(api)
    for text in ("TEXT-CLAUDE", "TEXT-IMPORTED", "TEXT-RULE", "BODY-plain", "DESC-helper", "from-yes-here"):
        assert text in said
    assert "haiku" in api.turns[0].body["model"]


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_an_agent_that_judges_the_project_gets_nothing_of_it_even_after_the_yes(
    api: FakeMessagesApi, environ: dict[str, str], configured: Path, marks: Path
) -> None:
    asked(api, STEPS)
    await run(configured, environ, whole=True, agent=Agent(id="counter", tools=AGENT.tools, ignores_project=True))
    assert len(api.turns) >= len(STEPS)
    assert names_in(marks) == set()
    said = seen(api)
    assert "from--here" in said
    told = ("TEXT-", "DESC-plain", "DESC-loud", "DESC-cmd", "DESC-helper", "BODY-")
    assert [text for text in told if text in said] == []
    assert "haiku" not in api.turns[0].body["model"]


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("isolated", [False, True])
async def test_what_the_project_denies_and_asks_for_holds_always(
    environ: dict[str, str], *, whole: bool, isolated: bool, api: FakeMessagesApi, configured: Path, tmp_path: Path
) -> None:
    worktree = tmp_path / "worktree" if isolated else None
    if worktree is not None:
        worktree.mkdir()
        (worktree / "secret.txt").write_text("SECRET")
    refused = [shell(f"touch {name}") for name in ("denied", "denied-too", "asked")]
    secrets = [
        {"tool": "Read", "input": {"file_path": str(path)}} for path in ("secret.txt", configured / "secret.txt")
    ]
    asked(api, [*refused, *secrets, ANSWER])
    outcome = await run(configured, environ, whole=whole, worktree=worktree)
    assert outcome.failure is not None
    assert outcome.failure.code == "PERMISSION_DENIED"
    folder = worktree or configured
    assert [name for name in ("denied", "denied-too", "asked") if (folder / name).exists()] == []
    assert "SECRET" not in seen(api)


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
@pytest.mark.parametrize("whole", [False, True])
async def test_what_the_project_allows_needs_the_yes(
    environ: dict[str, str], *, whole: bool, api: FakeMessagesApi, configured: Path
) -> None:
    asked(api, [shell("touch allowed"), ANSWER])
    await run(configured, environ, whole=whole, agent=Agent(id="counter"))
    assert (configured / "allowed").exists() is whole


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_a_helper_that_makes_headers_for_an_agents_own_server_is_started_and_so_part_of_its_yes(
    environ: dict[str, str], api: FakeMessagesApi, configured: Path, marks: Path
) -> None:
    helper = configured / "headers.sh"
    helper.write_text(f"#!/bin/sh\ntouch {marks}/headers\necho '{{}}'\n")
    helper.chmod(0o755)
    server = {"type": "http", "url": f"{api.url}/mcp", "headersHelper": "./headers.sh"}
    asked(api, [ANSWER])
    agent = Agent(id="counter", mcp_servers=("own",), inline_servers={"own": server})
    item = agent_item(agent, configured, Digests(configured))
    assert "headers.sh" in item.files
    assert "MCP server own: headersHelper ./headers.sh" in item.lines
    await run(configured, environ, whole=False, agent=agent)
    assert names_in(marks) == {"headers"}, "nothing else of the project runs with it"


async def test_a_task_is_never_a_command_of_claude_codes(
    api: FakeMessagesApi, environ: dict[str, str], configured: Path, marks: Path
) -> None:
    asked(api, [ANSWER])
    outcome = await run(configured, environ, whole=True, task="/cmd beans")
    assert outcome.outputs == {"n": 3}
    assert not (marks / "command").exists()


async def test_settings_whose_rules_could_not_hold_keep_the_agent_from_starting(
    environ: dict[str, str], project: Path, api: FakeMessagesApi
) -> None:
    (project / ".claude").mkdir()
    (project / ".claude" / "settings.json").write_text('{"permissions": {"deny": ["Bash"]}, // all\n}')
    outcome = await run(project, environ, whole=True)
    assert outcome.failure is not None
    assert outcome.failure.code == "CLAUDE_SETTINGS_INVALID"
    assert api.turns == []


def test_everything_that_leaves_a_mark_is_shown_to_the_person_who_decides(configured: Path) -> None:
    item = claude_item(configured, folders_inside(configured))
    assert item is not None
    shown = "\n".join(item.lines)
    for name in (*EVENTS, *HELPERS, "statusLine", "BASH_ENV", "local-hook", "pl@m", "loud/SKILL.md", "cmd.md"):
        assert name in shown
    assert "sub/.claude/skills/nested/SKILL.md" in shown
    assert "helper.md: sets hooks" in shown
