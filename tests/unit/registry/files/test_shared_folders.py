"""Commands and agents behind a link out of the project: nothing of them before the user's yes, then they alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError, NotFound
from engine.model.agent import AgentSource
from registry.catalog import Catalog
from registry.files.shared_folders import shared_folders, shared_items
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.trust import TrustItem


def fill(folder: Path) -> Path:
    """A configuration with a command and its agent, and a file that is neither."""
    (folder / "commands" / "v2").mkdir(parents=True)
    (folder / "agents").mkdir()
    raw = command(phase("work", node("only-node", agent="helper")), name="/shared")
    (folder / "commands" / "v2" / "shared.json").write_text(json.dumps(raw), encoding="utf-8")
    (folder / "commands" / "old.md").write_text("# /old\n\n1. Do it\n", encoding="utf-8")
    (folder / "agents" / "helper.md").write_text(
        "---\nname: helper\ndescription: Helps\n---\nHelp.\n", encoding="utf-8"
    )
    (folder / "other.json").write_text(json.dumps(raw | {"name": "/other"}), encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return fill(tmp_path / "elsewhere" / "configuration")


def catalog(project: Path, home: Path | None = None, *, yes: bool) -> Catalog:
    return Catalog(project, home=home, packaged_commands=None, packaged_agents=None, follows=lambda _link: yes)


def names(found: Catalog) -> list[str]:
    return [summary.name for summary in found.commands()]


def link_all(project: Path, shared: Path) -> None:
    (project / ".claude").symlink_to(shared)


def link_each(project: Path, shared: Path) -> None:
    (project / ".claude").mkdir()
    for name in ("commands", "agents"):
        (project / ".claude" / name).symlink_to(shared / name)


def link_deeper(project: Path, shared: Path) -> None:
    """The v2 folder alone is elsewhere, and the agents."""
    (project / ".claude" / "commands").mkdir(parents=True)
    (project / ".claude" / "commands" / "v2").symlink_to(shared / "commands" / "v2")
    (project / ".claude" / "agents").symlink_to(shared / "agents")


@pytest.mark.parametrize("link", [link_all, link_each, link_deeper])
def test_nothing_behind_a_link_is_listed_or_read_before_the_yes_and_what_to_do_is_said(
    project: Path, shared: Path, link: object
) -> None:
    link(project, shared)  # type: ignore[operator]
    found = catalog(project, yes=False)
    assert names(found) == []
    assert found.agents().get("helper") is None
    with pytest.raises(NotFound, match="not found") as caught:
        found.load("/shared")
    assert "`orchestrate trust`" in (caught.value.hint or "")
    with pytest.raises(InputError, match="is outside the project") as outside:
        found.load(".claude/commands/v2/shared.json")
    assert "is a link to" in (outside.value.hint or "")
    told = found.load(command(phase("work", node("only-node", agent="helper")))).problems
    assert [one.code for one in told] == ["AGENT_NOT_FOUND", "LINK_WAITS"]


@pytest.mark.parametrize("link", [link_all, link_each, link_deeper])
def test_after_the_yes_a_command_behind_a_link_is_loaded_with_its_agent(
    project: Path, shared: Path, link: object
) -> None:
    link(project, shared)  # type: ignore[operator]
    found = catalog(project, yes=True)
    assert "/shared" in names(found)
    loaded = found.load("/shared")
    assert (loaded.problems, loaded.source) == ((), ".claude/commands/v2/shared.json")
    agent = found.bundle(loaded).agents["helper"]
    assert (agent.source, agent.path) == (AgentSource.PROJECT, str(project / ".claude/agents/helper.md"))
    assert found.load(".claude/commands/v2/shared.json").digest == loaded.digest


def test_a_yes_that_is_given_or_taken_back_later_counts_with_the_next_look(project: Path, shared: Path) -> None:
    link_all(project, shared)
    answers: list[TrustItem] = []
    found = Catalog(project, packaged_commands=None, packaged_agents=None, follows=lambda item: item in answers)
    before = found.signature()
    assert (names(found), list(found.agents().agents)[:1]) == ([], ["claude"])
    answers += shared_items(project)
    assert names(found) == ["/old", "/shared"]
    assert found.agents().get("helper")
    assert found.signature() != before
    answers.clear()
    assert (names(found), found.agents().get("helper")) == ([], None)


def test_a_yes_opens_the_folders_of_commands_and_agents_and_nothing_else(project: Path, shared: Path) -> None:
    link_all(project, shared)
    found = catalog(project, yes=True)
    with pytest.raises(InputError) as caught:
        found.load(".claude/other.json")
    assert caught.value.code == "PATH_OUTSIDE_PROJECT"


def test_a_link_inside_of_what_was_accepted_leads_no_further(project: Path, shared: Path, tmp_path: Path) -> None:
    outside = fill(tmp_path / "outside")
    (shared / "commands" / "v2" / "far.json").symlink_to(outside / "other.json")
    (shared / "agents" / "far.md").symlink_to(outside / "agents" / "helper.md")
    link_all(project, shared)
    found = catalog(project, yes=True)
    [far] = [one for one in found.commands() if one.name == "/far"]
    assert (far.description, far.problem and far.problem.code) == ("", "PATH_OUTSIDE_PROJECT")
    assert found.agents().get("far") is None


def test_each_further_link_in_a_shared_configuration_is_asked_about_by_itself(
    project: Path, shared: Path, tmp_path: Path
) -> None:
    (shared / "agents").rename(tmp_path / "agents")
    (shared / "agents").symlink_to(tmp_path / "agents")
    link_all(project, shared)
    assert [(one.name, one.target) for one in shared_folders(project)] == [
        (".claude", shared.resolve()),
        (".claude/agents", (tmp_path / "agents").resolve()),
    ]
    found = Catalog(project, packaged_commands=None, follows=lambda item: item.id == "link:.claude")
    assert names(found) == ["/old", "/shared"]
    assert found.agents().get("helper") is None


def test_an_item_names_where_the_link_leads_and_is_another_one_where_it_leads_elsewhere(
    project: Path, shared: Path, tmp_path: Path
) -> None:
    link_all(project, shared)
    [item] = shared_items(project)
    assert (item.id, item.lines[0]) == ("link:.claude", f".claude is a link to {shared.resolve()}")
    (project / ".claude").unlink()
    link_all(project, fill(tmp_path / "other"))
    [other] = shared_items(project)
    assert (other.id, other.content == item.content) == (item.id, False)


@pytest.mark.parametrize("target", ["configuration", "nowhere", "file"])
def test_links_that_stay_in_the_project_or_lead_nowhere_need_no_yes(project: Path, target: str) -> None:
    (project / "file").write_text("", encoding="utf-8")
    fill(project / "configuration")
    (project / ".claude").symlink_to(project / target)
    assert shared_folders(project) == []
    assert names(catalog(project, yes=False)) == (["/old", "/shared"] if target == "configuration" else [])


def test_what_is_the_users_own_is_found_as_that_before_the_yes(project: Path, tmp_path: Path) -> None:
    fill(tmp_path / "home" / ".claude")
    link_all(project, tmp_path / "home" / ".claude")
    found = catalog(project, tmp_path / "home", yes=False)
    assert names(found) == ["/old", "/shared"]
    agent = found.agents().get("helper")
    assert agent is not None
    assert agent.source is AgentSource.USER
