"""Skill files for the commands of a project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from engine.errors import EnvironmentFault
from mcp_server.cli.skills import MARK, skill_text
from mcp_server.cli.sync import synchronise
from registry.catalog import Catalog
from registry.commands import CommandSource, CommandSummary
from tests.support.definitions import command, node, phase

ROOT = Path(__file__).parents[4]


def add(project: Path, name: str, **fields: object) -> Path:
    path = project / ".claude" / "commands" / "v2" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(command(phase("work", node("only-node")), name=f"/{name}", **fields)), encoding="utf-8")
    return path


def sync(project: Path) -> list[str]:
    return [line.split(":")[0] for line in synchronise(project, Catalog(project))]


def skill(project: Path, name: str) -> Path:
    return project / ".claude" / "skills" / name / "SKILL.md"


def test_each_command_of_the_project_gets_a_skill_and_twice_is_as_once(tmp_path: Path) -> None:
    add(tmp_path, "hello", description='Says "hello": to all', arguments=[{"name": "whom", "description": "x"}])
    assert sync(tmp_path) == ["written .claude/skills/hello/SKILL.md"]
    text = skill(tmp_path, "hello").read_text(encoding="utf-8")
    head, body = text.split("---\n")[1:]
    fields = yaml.safe_load(head)
    assert fields["name"] == "hello"
    assert fields["description"] == 'Says "hello": to all'
    assert fields["argument-hint"] == "[whom]"
    allowed = {name.rpartition("__")[2] for name in fields["allowed-tools"].split(", ")}
    assert allowed == {"run", "status", "resume", "cancel"}  # never `report`, which can submit a user's decision
    assert "mcp__orchestration__run" in fields["allowed-tools"]
    assert "<arguments>$ARGUMENTS</arguments>" in body
    assert sync(tmp_path) == ["unchanged .claude/skills/hello/SKILL.md"]
    assert skill(tmp_path, "hello").read_text(encoding="utf-8") == text
    assert [path.name for path in skill(tmp_path, "hello").parent.iterdir()] == ["SKILL.md"]


def test_the_plugin_brings_what_one_wants_in_any_project_and_a_skill_for_each_command(tmp_path: Path) -> None:
    manifest = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text(encoding="utf-8"))
    library = manifest["mcpServers"]["orchestration"]["env"]["ORCHESTRATION_LIBRARY"]
    root = Path(library.replace("${CLAUDE_PLUGIN_ROOT}", str(ROOT)))
    catalog = Catalog(tmp_path, home=None, library=root)
    names = {one.name.removeprefix("/") for one in catalog.commands()}
    assert {"review-repo", "review-code", "implement-feature"} <= names
    assert not [name for name in names if name.startswith("example-") or name == "hello-world"]
    written, packaged = ({path.name for path in (ROOT / folder).iterdir()} for folder in manifest["skills"])
    assert (written, packaged) == (names, {"new-command"})
    for name in names:
        assert catalog.load(f"/{name}").errors == ()


def test_a_changed_command_is_written_anew_and_that_of_a_removed_one_goes(tmp_path: Path) -> None:
    path = add(tmp_path, "hello")
    add(tmp_path, "other")
    sync(tmp_path)
    (skill(tmp_path, "other").parent / "notes.md").write_text("mine", encoding="utf-8")
    add(tmp_path, "hello", description="Another")
    assert sync(tmp_path)[0] == "written .claude/skills/hello/SKILL.md"
    path.unlink()
    (tmp_path / ".claude" / "commands" / "v2" / "other.json").unlink()
    assert sync(tmp_path) == ["removed .claude/skills/hello/SKILL.md", "removed .claude/skills/other/SKILL.md"]
    assert not skill(tmp_path, "hello").parent.exists()
    assert (skill(tmp_path, "other").parent / "notes.md").exists()


@pytest.mark.parametrize("kind", ["text", "bytes", "link"])
def test_a_file_without_our_mark_is_never_touched(tmp_path: Path, kind: str) -> None:
    add(tmp_path, "hello")
    path = skill(tmp_path, "hello")
    path.parent.mkdir(parents=True)
    if kind == "link":
        target = tmp_path / "mine.md"
        target.write_text(f"{MARK}not really -->", encoding="utf-8")
        path.symlink_to(target)
    else:
        path.write_bytes(b"mine" if kind == "text" else b"\xff\xfe")
    before = path.read_bytes()
    assert sync(tmp_path) == ["left alone .claude/skills/hello/SKILL.md"]
    assert path.read_bytes() == before
    (tmp_path / ".claude" / "commands" / "v2" / "hello.json").unlink()
    assert sync(tmp_path) == []
    assert path.read_bytes() == before


def test_commands_that_are_not_the_projects_or_cannot_be_read_get_none(tmp_path: Path) -> None:
    (add(tmp_path, "broken")).write_text("{", encoding="utf-8")
    (tmp_path / ".claude" / "commands" / "old.md").write_text("# Old\n\n1. Do it\n2. Do more\n", encoding="utf-8")
    assert sync(tmp_path) == []


@pytest.mark.parametrize("name", ["ns:thing", "Thing", "a" * 65])
def test_a_name_that_no_skill_can_have_is_passed_over_with_a_word(tmp_path: Path, name: str) -> None:
    add(tmp_path, "hello")
    path = add(tmp_path, "odd")
    path.write_text(path.read_text(encoding="utf-8").replace('"/odd"', f'"/{name}"'), encoding="utf-8")
    written, passed_over = sorted(synchronise(tmp_path, Catalog(tmp_path)), reverse=True)
    assert written == "written .claude/skills/hello/SKILL.md"
    assert passed_over.startswith(f"left out .claude/commands/v2/odd.json: /{name} cannot be a skill")
    assert [folder.name for folder in (tmp_path / ".claude" / "skills").iterdir()] == ["hello"]


def test_a_file_name_cannot_bring_a_program_into_a_skill() -> None:
    summary = CommandSummary(
        name="/hello", description="a\nb", path=Path("x"), source=CommandSource.PROJECT, format="json"
    )
    assert "touch" not in skill_text(summary, ".claude/commands/v2/!`touch x`.json")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    add(tmp_path, "hello")
    (tmp_path / ".claude" / "skills").write_text("a file", encoding="utf-8")
    with pytest.raises(EnvironmentFault, match="FILE_UNWRITABLE"):
        sync(tmp_path)
