"""Agents of installed plugins are called and found as in Claude Code; what the user did not install is not there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.model.agent import AgentSource
from registry.agents.load import load_agents
from registry.agents.plugins import plugins_of
from registry.catalog import Catalog
from registry.trust.agents import needs_trust
from tests.support.repositories import write_files

if TYPE_CHECKING:
    from pathlib import Path

AGENT = "---\nname: reviewer\ndescription: Reviews\ntools: Read\npermissionMode: bypassPermissions\n---\nYou review.\n"


@pytest.fixture(autouse=True)
def _no_other_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)


def install(home: Path, *plugins: str, scope: str = "user", project: Path | None = None) -> None:
    """What Claude Code writes down for *plugins* of the market `m`."""
    entry: dict[str, Any] = {"scope": scope, "version": "1"}
    if project is not None:
        entry["projectPath"] = str(project)
    entries = {f"{name}@m": [{**entry, "installPath": str(home / "cache" / name)}] for name in plugins}
    write_files(home, {".claude/plugins/installed_plugins.json": json.dumps({"version": 2, "plugins": entries})})
    write_files(home, {f"cache/{name}/agents/file.md": AGENT for name in plugins})


def enable(folder: Path, file: str = "settings.json", **plugins: object) -> None:
    said = {f"{name}@m": value for name, value in plugins.items()}
    write_files(folder, {f".claude/{file}": json.dumps({"enabledPlugins": said})})


def names(project: Path, home: Path) -> list[str]:
    return [name for name in load_agents(project, home=home, packaged=None).agents if ":" in name]


def test_agents_of_enabled_plugins_have_its_name_and_their_folders(tmp_path: Path) -> None:
    install(tmp_path, "tools", "off")
    enable(tmp_path, tools=True, off=False)
    write_files(tmp_path, {"cache/tools/agents/deep/er/nested.md": AGENT.replace("reviewer", "nested")})
    assert names(tmp_path / "project", tmp_path) == ["tools:deep:er:nested", "tools:reviewer"]
    agent = load_agents(tmp_path / "project", home=tmp_path, packaged=None).agents["tools:reviewer"]
    assert (agent.source, agent.prompt.strip(), agent.tools) == (AgentSource.PLUGIN, "You review.", ("Read",))
    assert agent.permission_mode is None, "Claude Code takes none from a plugin"
    assert not needs_trust(agent, tmp_path)
    assert load_agents(tmp_path / "project", packaged=None).agents.keys().isdisjoint({"tools:reviewer"})


def test_a_program_of_a_plugin_needs_a_yes(tmp_path: Path) -> None:
    install(tmp_path, "tools")
    enable(tmp_path, tools=True)
    program = "---\nname: runs\ndescription: Runs\nexecutor: process\ncommand: [true]\n---\nx\n"
    write_files(tmp_path, {"cache/tools/agents/runs.md": program.replace("[true]", '["true"]')})
    agent = load_agents(tmp_path / "project", home=tmp_path, packaged=None).agents["tools:runs"]
    assert needs_trust(agent, tmp_path / "project")


def test_a_project_can_disable_a_plugin_and_enable_only_what_was_installed_for_it(tmp_path: Path) -> None:
    project = tmp_path / "project"
    install(tmp_path, "tools")
    enable(project, tools=True)
    assert names(project, tmp_path) == [], "nobody but the project wants it"
    enable(tmp_path, tools=True)
    assert names(project, tmp_path) == ["tools:reviewer"]
    enable(project, "settings.local.json", tools=False)
    assert names(project, tmp_path) == []
    install(tmp_path, "tools", scope="project", project=project)
    enable(tmp_path)
    enable(project, "settings.local.json", tools=True)
    assert names(project, tmp_path) == ["tools:reviewer"]
    install(tmp_path, "tools", scope="project", project=tmp_path / "other")
    assert names(project, tmp_path) == []


def test_a_plugin_of_a_folder_of_the_users_is_read_there(tmp_path: Path) -> None:
    install(tmp_path, "tools")
    enable(tmp_path, tools=True)
    market = {"m": {"source": {"source": "directory"}, "installLocation": str(tmp_path / "market")}}
    listed = {"plugins": ["odd", {"name": "other"}, {"name": "tools", "source": "./plugins/tools"}]}
    write_files(tmp_path, {
        ".claude/plugins/known_marketplaces.json": json.dumps(market),
        "market/.claude-plugin/marketplace.json": json.dumps(listed),
        "market/plugins/tools/agents/fresh.md": AGENT.replace("reviewer", "fresh"),
    })  # fmt: skip
    assert names(tmp_path / "project", tmp_path) == ["tools:fresh"]
    write_files(tmp_path, {"market/.claude-plugin/marketplace.json": "{}"})
    assert names(tmp_path / "project", tmp_path) == ["tools:reviewer"]


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        (["./lead.md", "./crew/deep/hand.md"], ["tools:hand", "tools:lead"]),
        ("./lead.md", ["tools:lead"]),
        ([], ["tools:reviewer"]),
        (["./crew/", "crew/deep/hand.md", 5], ["tools:reviewer"]),
        (["./gone.md"], []),
        (["./../outside.md"], []),
    ],
)
def test_agent_files_that_a_manifest_names_replace_its_folder(
    agents: object, expected: list[str], tmp_path: Path
) -> None:
    install(tmp_path, "tools")
    enable(tmp_path, tools=True)
    write_files(tmp_path, {
        "cache/tools/.claude-plugin/plugin.json": json.dumps({"name": "tools", "agents": agents}),
        "cache/tools/lead.md": AGENT.replace("reviewer", "lead"),
        "cache/tools/crew/deep/hand.md": AGENT.replace("reviewer", "hand"),
        "cache/outside.md": AGENT.replace("reviewer", "outside"),
    })  # fmt: skip
    assert names(tmp_path / "project", tmp_path) == expected
    found = load_agents(tmp_path / "project", home=tmp_path, packaged=None)
    assert [one.agent for one in found.problems] == ([] if expected else [f"tools:{str(agents)[4:-5].strip('./')}"])


def test_agent_files_that_a_marketplace_names_are_added_to_the_folder(tmp_path: Path) -> None:
    install(tmp_path, "tools")
    enable(tmp_path, tools=True)
    market = {"m": {"source": {"source": "github"}, "installLocation": str(tmp_path / "market")}}
    listed = {"plugins": [{"name": "tools", "source": "./tools", "agents": ["./lead.md"]}]}
    write_files(tmp_path, {
        ".claude/plugins/known_marketplaces.json": json.dumps(market),
        "market/.claude-plugin/marketplace.json": json.dumps(listed),
        "cache/tools/lead.md": AGENT.replace("reviewer", "lead"),
    })  # fmt: skip
    assert names(tmp_path / "project", tmp_path) == ["tools:lead", "tools:reviewer"]


def test_the_prompt_of_an_agent_names_the_folders_of_its_plugin(tmp_path: Path) -> None:
    install(tmp_path, "tools")
    enable(tmp_path, tools=True)
    prompt = "Run ${CLAUDE_PLUGIN_ROOT}/check.sh, write to ${CLAUDE_PLUGIN_DATA}; $HOME stays."
    write_files(tmp_path, {"cache/tools/agents/file.md": AGENT.replace("You review.", prompt)})
    agent = load_agents(tmp_path / "project", home=tmp_path, packaged=None).agents["tools:reviewer"]
    data = tmp_path / ".claude/plugins/data/tools-m"
    assert agent.prompt.strip() == f"Run {tmp_path}/cache/tools/check.sh, write to {data}; $HOME stays."


def test_a_marketplace_can_name_the_folder_of_its_plugins(tmp_path: Path) -> None:
    install(tmp_path, "tools", "dotted")
    enable(tmp_path, tools=True, dotted=True)
    market = {"m": {"source": {"source": "directory"}, "installLocation": str(tmp_path / "market")}}
    sources = [{"name": "tools", "source": "tools"}, {"name": "dotted", "source": "./all/dotted"}]
    write_files(tmp_path, {
        ".claude/plugins/known_marketplaces.json": json.dumps(market),
        "market/.claude-plugin/marketplace.json": json.dumps({"metadata": {"pluginRoot": "./all"}, "plugins": sources}),
        "market/all/tools/agents/fresh.md": AGENT.replace("reviewer", "fresh"),
        "market/all/dotted/agents/new.md": AGENT.replace("reviewer", "new"),
    })  # fmt: skip
    assert names(tmp_path / "project", tmp_path) == ["dotted:new", "tools:fresh"]


def test_the_catalog_reads_a_named_file_again_once_it_has_changed(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    install(tmp_path, "tools")
    enable(tmp_path, tools=True)
    write_files(tmp_path, {
        "cache/tools/.claude-plugin/plugin.json": '{"agents": "./lead.md"}',
        "cache/tools/lead.md": AGENT,
    })  # fmt: skip
    catalog = Catalog(project, home=tmp_path)
    assert catalog.agents().get("tools:lead") is None
    write_files(tmp_path, {"cache/tools/lead.md": AGENT.replace("reviewer", "lead")})
    assert catalog.agents().get("tools:lead") is not None


NONSENSE = '{"plugins": {"a@m": 1, "b@m": [1], "@m": [{}], "c@m": [{"scope": "user"}]}}'


@pytest.mark.parametrize("text", ["", "{", "[]", '{"plugins": 1}', NONSENSE])
def test_a_record_that_makes_no_sense_is_none(text: str, tmp_path: Path) -> None:
    enable(tmp_path, a=True, b=True, c=True)
    write_files(tmp_path, {".claude/plugins/installed_plugins.json": text})
    assert plugins_of(tmp_path / "project", tmp_path / ".claude") == []


def test_a_problem_in_a_plugins_agent_bears_its_name(tmp_path: Path) -> None:
    install(tmp_path, "tools")
    enable(tmp_path, tools=True)
    write_files(tmp_path, {"cache/tools/agents/file.md": AGENT.replace("tools: Read", "maxTurns: many")})
    found = load_agents(tmp_path / "project", home=tmp_path, packaged=None)
    assert list(found.unusable) == ["tools:reviewer"]


def test_the_catalog_reads_again_what_was_installed_since(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    catalog = Catalog(project, home=tmp_path)
    assert catalog.agents().get("tools:reviewer") is None
    install(tmp_path, "tools")
    enable(tmp_path, tools=True)
    assert catalog.agents().get("tools:reviewer") is not None
