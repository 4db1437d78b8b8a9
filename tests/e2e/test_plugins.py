"""Agents of installed plugins have the names and prompts that the real Claude Code gives them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from registry.agents.load import load_agents
from tests.support.claude_code import program, run_claude
from tests.support.repositories import write_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fake_messages_api import FakeMessagesApi

AGENT = "---\nname: NAME\ndescription: Reviews\n---\nYou review.\n"
MARKET = {"name": "local", "owner": {"name": "x"}, "plugins": [{"name": n, "source": f"./{n}"} for n in ("one", "two")]}


def plugin(project: Path, environ: dict[str, str], *words: str) -> None:
    """What the user types about plugins."""
    subprocess.run(
        [str(program()), "plugin", *words], cwd=project, env=environ, check=True, capture_output=True, timeout=50
    )


@pytest.fixture
def market(tmp_path: Path) -> Path:
    files = {".claude-plugin/marketplace.json": json.dumps(MARKET)}
    for name in ("one", "two"):
        files[f"{name}/.claude-plugin/plugin.json"] = json.dumps({"name": name, "version": "1.0.0"})
        files[f"{name}/agents/file.md"] = AGENT.replace("NAME", "reviewer")
        files[f"{name}/agents/deep/nested.md"] = AGENT.replace("NAME", "nested")
    write_files(tmp_path / "market", files)
    return tmp_path / "market"


def test_the_same_agents_are_listed(
    market: Path, environ: dict[str, str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", environ["CLAUDE_CONFIG_DIR"])

    def ours_and_theirs() -> tuple[list[str], list[str]]:
        theirs = run_claude('<<fake [{"text": "Done."}]>>', project=project, environ=environ).init["agents"]
        ours = load_agents(project, home=market.parent / "home", packaged=None).agents
        return [name for name in sorted(ours) if ":" in name], [name for name in sorted(theirs) if ":" in name]

    plugin(project, environ, "marketplace", "add", str(market))
    plugin(project, environ, "install", "one@local")
    plugin(project, environ, "install", "--scope", "project", "two@local")
    ours, theirs = ours_and_theirs()
    assert ours == theirs == ["one:deep:nested", "one:reviewer", "two:deep:nested", "two:reviewer"]
    plugin(project, environ, "disable", "one@local")
    ours, theirs = ours_and_theirs()
    assert ours == theirs == ["two:deep:nested", "two:reviewer"]


def test_agent_files_that_a_manifest_or_a_marketplace_names_are_the_same(
    tmp_path: Path, environ: dict[str, str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", environ["CLAUDE_CONFIG_DIR"])
    entries = [
        {"name": "listed", "source": "listed"},
        {"name": "added", "source": "./all/added", "agents": ["./crew/lead.md"]},
    ]
    market = {"name": "local", "owner": {"name": "x"}, "metadata": {"pluginRoot": "./all"}, "plugins": entries}
    files = {".claude-plugin/marketplace.json": json.dumps(market)}
    for name, more in (("listed", {"agents": ["./crew/lead.md"]}), ("added", {})):
        files[f"all/{name}/.claude-plugin/plugin.json"] = json.dumps({"name": name, "version": "1.0.0", **more})
        files[f"all/{name}/crew/lead.md"] = AGENT.replace("NAME", "lead")
        files[f"all/{name}/agents/hand.md"] = AGENT.replace("NAME", "hand")
    write_files(tmp_path / "market", files)
    plugin(project, environ, "marketplace", "add", str(tmp_path / "market"))
    for name in ("listed", "added"):
        plugin(project, environ, "install", f"{name}@local")
    theirs = run_claude('<<fake [{"text": "Done."}]>>', project=project, environ=environ).init["agents"]
    ours = load_agents(project, home=tmp_path / "home", packaged=None).agents
    assert [name for name in sorted(ours) if ":" in name] == [name for name in sorted(theirs) if ":" in name]
    assert {name for name in ours if ":" in name} == {"listed:lead", "added:hand", "added:lead"}


def test_the_prompt_of_an_agent_is_the_same(
    market: Path, api: FakeMessagesApi, environ: dict[str, str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", environ["CLAUDE_CONFIG_DIR"])
    prompt = "Run ${CLAUDE_PLUGIN_ROOT}/check.sh and write to ${CLAUDE_PLUGIN_DATA}/notes."
    write_files(market, {"one/agents/file.md": AGENT.replace("NAME", "reviewer").replace("You review.", prompt)})
    plugin(project, environ, "marketplace", "add", str(market))
    plugin(project, environ, "install", "one@local")
    run_claude("Hello.", project=project, environ=environ, arguments=["--agent", "one:reviewer"])
    ours = load_agents(project, home=market.parent / "home", packaged=None).agents["one:reviewer"].prompt
    assert "${" not in ours
    assert ours in api.turns[0].prompt
