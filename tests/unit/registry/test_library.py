"""Commands and agents of a folder beside the project, as a plugin brings them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.errors import NotFound
from engine.model.agent import AgentSource
from registry.catalog import Catalog
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path


def make(root: Path, description: str) -> Path:
    folder = root / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    definition = command(phase("work", node("only-node", agent="helper")), name="/help-me", description=description)
    (folder / "help-me.json").write_text(json.dumps(definition), encoding="utf-8")
    agents = root / ".claude" / "agents"
    agents.mkdir()
    (agents / "helper.md").write_text(f"---\nname: helper\ndescription: {description}\n---\nHelp.\n", encoding="utf-8")
    return root


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return make(tmp_path / "library", "of the library")


def test_a_command_of_the_library_runs_in_any_project_with_its_agents(tmp_path: Path, library: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with pytest.raises(NotFound):
        Catalog(project).load("/help-me")
    catalog = Catalog(project, library=library)
    loaded = catalog.load("/help-me")
    assert loaded.errors == ()
    agent = catalog.bundle(loaded).agents["helper"]
    assert (agent.source, agent.description) == (AgentSource.PACKAGED, "of the library")


def test_the_project_wins_over_the_library(tmp_path: Path, library: Path) -> None:
    project = make(tmp_path / "project", "of the project")
    catalog = Catalog(project, library=library)
    assert catalog.load("/help-me").raw["description"] == "of the project"
    found = catalog.agents().get("helper")
    assert found is not None
    assert found.description == "of the project"
    found_twice = [one for one in catalog.commands() if one.name == "/help-me"]
    assert [one.shadowed_by is None for one in found_twice] == [True, False]


def test_a_project_that_is_its_own_library_shadows_nothing(library: Path) -> None:
    catalog = Catalog(library, library=library)
    assert [summary.shadowed_by for summary in catalog.commands() if summary.name == "/help-me"] == [None]
    assert catalog.agents().shadowed == ()
    assert catalog.agents().agents["helper"].source is AgentSource.PROJECT


def test_a_changed_agent_of_the_library_is_read_again(tmp_path: Path, library: Path) -> None:
    catalog = Catalog(tmp_path, library=library)
    assert "helper" in catalog.agents().agents
    (library / ".claude" / "agents" / "helper.md").unlink()
    assert "helper" not in catalog.agents().agents
