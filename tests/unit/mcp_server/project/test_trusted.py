"""Where a yes holds: in its project for what is as it was, elsewhere only where all that is covered is equal."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault, StateError
from engine.model.trust import ItemKind, TrustItem, trust_item
from mcp_server.project.grants import trust_file
from mcp_server.project.project import open_catalog
from mcp_server.project.settings import load_settings
from mcp_server.project.trusted import Trust, open_trust

if TYPE_CHECKING:
    from pathlib import Path


def write_agent(root: Path, name: str) -> None:
    folder = root / ".claude" / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    (root / name).mkdir(exist_ok=True)
    (root / name / "run.sh").write_text(f"echo {name}\n")
    head = f"---\nname: {name}\ndescription: Works\nexecutor: process\ncommand: [sh, {name}/run.sh]\n---\n"
    (folder / f"{name}.md").write_text(head)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in ("one", "two"):
        write_agent(root, name)
    return root


def trust_of(root: Path, home: Path) -> Trust:
    settings = load_settings(root)
    return open_trust(open_catalog(root, settings, home=home), settings, home=home)


def waiting(root: Path, home: Path) -> list[str]:
    trust = trust_of(root, home)
    return [item.id for item in trust.unaccepted(trust.items())]


def say_yes(root: Path, home: Path) -> None:
    trust = trust_of(root, home)
    trust.remember(trust.items())


def test_in_its_project_a_yes_is_asked_again_for_what_has_changed_alone(project: Path, tmp_path: Path) -> None:
    assert waiting(project, tmp_path) == ["agent:one", "agent:two"]
    say_yes(project, tmp_path)
    assert waiting(project, tmp_path) == []
    (project / "one" / "run.sh").write_text("echo changed\n")
    assert waiting(project, tmp_path) == ["agent:one"]


def test_a_moved_or_copied_project_keeps_a_yes_as_long_as_all_that_is_covered_is_equal(
    project: Path, tmp_path: Path
) -> None:
    say_yes(project, tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    assert waiting(copy, tmp_path) == []
    (copy / "one" / "run.sh").write_text("echo changed\n")
    assert waiting(copy, tmp_path) == ["agent:one", "agent:two"]
    (copy / "one" / "run.sh").write_text("echo one\n")
    write_agent(copy, "three")
    assert waiting(copy, tmp_path) == ["agent:one", "agent:three", "agent:two"]


def test_the_answers_of_two_projects_are_not_put_together(project: Path, tmp_path: Path) -> None:
    other, both = tmp_path / "other", tmp_path / "both"
    shutil.copytree(project, other)
    shutil.copytree(project, both)
    for root, name in ((project, "one"), (other, "two")):
        (root / ".claude" / "agents" / f"{name}.md").unlink()
        say_yes(root, tmp_path)
    assert waiting(both, tmp_path) == ["agent:one", "agent:two"]


def test_a_project_with_answers_of_its_own_takes_none_from_elsewhere(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    (copy / "one" / "run.sh").write_text("echo other\n")
    say_yes(copy, tmp_path)
    say_yes(project, tmp_path)
    (copy / "one" / "run.sh").write_text("echo one\n")
    assert waiting(copy, tmp_path) == ["agent:one"]


def test_a_yes_that_is_taken_back_is_asked_for_again(project: Path, tmp_path: Path) -> None:
    say_yes(project, tmp_path)
    trust = trust_of(project, tmp_path)
    assert trust.revoke(["agent:two", "agent:nobody"]) == ["agent:two"]
    assert waiting(project, tmp_path) == ["agent:two"]
    assert trust.revoke() == ["agent:one"]
    assert trust.revoke() == []
    assert waiting(project, tmp_path) == ["agent:one", "agent:two"]


def test_in_a_copy_too_a_yes_can_be_taken_back_and_no_other_project_brings_it_again(
    project: Path, tmp_path: Path
) -> None:
    say_yes(project, tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    assert trust_of(copy, tmp_path).revoke(["agent:one"]) == ["agent:one"]
    assert waiting(copy, tmp_path) == ["agent:one"]
    assert waiting(project, tmp_path) == []


def test_the_files_that_have_changed_since_the_yes_are_named(project: Path, tmp_path: Path) -> None:
    def changes() -> list[str] | None:
        trust = trust_of(project, tmp_path)
        return trust.changes(next(item for item in trust.items() if item.id == "agent:one"))

    assert changes() is None, "nobody said anything yet"
    say_yes(project, tmp_path)
    assert changes() == []
    (project / "one" / "run.sh").write_text("changed")
    (project / "one" / "more.sh").write_text("new")
    assert changes() == ["one/more.sh", "one/run.sh"]


@pytest.mark.parametrize("what", ["lines", "content", "files", "id"])
def test_any_item_can_be_asked_about(project: Path, tmp_path: Path, what: str) -> None:
    def item(name: str = "lfs", command: str = "git-lfs", digest: str = "0") -> TrustItem:
        return trust_item(
            ItemKind.GIT,
            name,
            summary=command,
            lines=(f"filter: {command}",),
            content={"clean": command},
            place={"project": "x"},
            files={"tool": digest},
        )

    trust = trust_of(project, tmp_path)
    assert not trust.accepts(item())
    trust.remember([item()])
    assert trust.accepts(item())
    assert trust.accepts(None)
    changed = {"content": item(command="other"), "files": item(digest="1"), "id": item(name="crypt")}
    assert trust.accepts(changed.get(what, item())) is (what == "lines")


def test_answers_of_an_earlier_version_hold_no_longer_and_make_way(project: Path, tmp_path: Path) -> None:
    file = trust_file(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"version": 1, "projects": {str(project): {"one": "0" * 64}}}))
    trust = trust_of(project, tmp_path)
    assert trust.grants.outdated
    assert waiting(project, tmp_path) == ["agent:one", "agent:two"]
    say_yes(project, tmp_path)
    assert waiting(project, tmp_path) == []
    assert not trust.grants.outdated


@pytest.mark.parametrize("content", ["[]", "{", '{"version": 3, "projects": {}}', '{"version": 2}', "[" * 100_000])
def test_a_file_of_another_version_or_a_damaged_one_is_left_as_it_is(
    project: Path, tmp_path: Path, content: str
) -> None:
    file = trust_file(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert waiting(project, tmp_path) == ["agent:one", "agent:two"]
    with pytest.raises(EnvironmentFault) as caught:
        say_yes(project, tmp_path)
    assert caught.value.code == "TRUST_NOT_KEPT"
    assert file.read_text() == content


@pytest.mark.parametrize("grant", [5, {}, {"content": 1}, {"content": "", "place": "", "at": "", "files": {}}])
def test_an_answer_that_makes_no_sense_is_none(project: Path, tmp_path: Path, grant: object) -> None:
    say_yes(project, tmp_path)
    file = trust_file(tmp_path)
    data = json.loads(file.read_text())
    data["projects"][str(project)]["agent:one"] = grant
    file.write_text(json.dumps(data))
    assert waiting(project, tmp_path) == ["agent:one"]


def test_a_refusal_names_ten_and_how_many_more(tmp_path: Path) -> None:
    root = tmp_path / "many"
    for number in range(12):
        write_agent(root, f"agent-{number:02}")
    trust = trust_of(root, tmp_path)
    with pytest.raises(StateError, match="and 2 more") as caught:
        trust.check(open_catalog(root, load_settings(root)).agents().agents.values())
    assert '"agent-00" (sh agent-00/run.sh)' in caught.value.message
    assert f"orchestrate --project {root} trust" in (caught.value.hint or "")
