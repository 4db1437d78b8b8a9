"""The command `schema`: a JSON Schema with the names of this project, and the settings of an editor that use it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from engine.model.schema import IDENTITY, command_schema
from mcp_server.cli.app import app
from mcp_server.project.root import SESSION_VARIABLE
from registry.files.json_file import parse as parse_json
from registry.packaged import scanners
from tests.interaction.projects import commands, environment
from tests.support.definitions import Raw, command, node, phase
from tests.support.state import contents

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

SETTINGS = """\
{
    // How I like it
    "editor.tabSize": 4, /* really */
    "json.schemas": [
        // of the build
        {"fileMatch": ["build.json"], "url": "./build.schema.json"},
    ],
    "files.exclude": {"**/.git": true} // last
}
"""
OURS = {"fileMatch": ["/.claude/commands/v2/**/*.json"], "url": "./.vscode/orchestration.schema.json"}
YAML = {"./.vscode/orchestration.schema.json": [".claude/commands/v2/**/*.yaml", ".claude/commands/v2/**/*.yml"]}


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


def schema_of(project: Path) -> dict[str, Any]:
    result = orchestrate(project, "schema")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def put_settings(project: Path, text: str) -> Path:
    file = project / ".vscode/settings.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_the_general_schema_is_in_the_package_under_its_name() -> None:
    file = scanners.__file__.replace("scanners.py", "schemas/command-v2.json")
    with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - beside a module
        packaged = json.load(opened)
    assert packaged == command_schema()
    assert packaged["$id"] == IDENTITY
    assert IDENTITY.startswith("urn:")


def test_it_lists_the_names_of_the_project(project: Path) -> None:
    (project / ".claude/orchestration.toml").write_text("[breakers.service]\n", encoding="utf-8")
    locked = command(
        phase("one", node("first-node", resources={"locks": [{"resource": "database.users"}]})),
        name="/locked",
        resources={"locks": [{"resource": "release"}]},
    )
    (project / ".claude/commands/v2/locked.json").write_text(json.dumps(locked), encoding="utf-8")
    found = schema_of(project)
    Draft202012Validator.check_schema(found)
    parts = found["$defs"]
    ids = parts["Node"]["properties"]["agentId"]
    assert {"command", "worker", "general-assistant", "general-purpose"} <= {*ids["enum"]}
    assert len(ids["enum"]) == len(ids["enumDescriptions"])
    assert "command" not in parts["Compensation"]["properties"]["agentId"]["enum"]
    assert parts["Node"]["properties"]["circuitBreaker"]["enum"] == ["service"]
    assert parts["Lock"]["properties"]["resource"]["anyOf"][0]["enum"] == ["database.users", "release"]
    assert "/hello" in parts["Metadata"]["properties"]["replacedBy"]["anyOf"][0]["enum"]


def problems(project: Path, raw: Raw) -> list[str]:
    return [error.json_path for error in Draft202012Validator(schema_of(project)).iter_errors(raw)]


def test_what_the_project_has_passes_and_what_it_lacks_does_not(project: Path) -> None:
    for name, raw in commands().items():
        assert (name, problems(project, raw) == []) == (name, name != "unknown-agent")
    call = {"id": "call-it", "agentId": "command", "task": "/hello and more"}
    assert problems(project, command(phase("one", call))) == []
    assert problems(project, command(phase("one", {**call, "task": "/helo"}))) == ["$.phases[0].agents[0].task"]
    assert problems(project, command(phase("one", {**call, "task": "/hello-you"}))) == ["$.phases[0].agents[0].task"]
    new_lock = node("first-node", resources={"locks": [{"resource": "a.new.one"}]})
    assert problems(project, command(phase("one", new_lock))) == []
    bad_lock = node("first-node", resources={"locks": [{"resource": "a..b"}]})
    assert len(problems(project, command(phase("one", bad_lock)))) == 1
    assert len(problems(project, command(phase("one", node("first-node", circuitBreaker="nothing"))))) == 1


def test_a_project_without_anything_has_a_schema_too(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert problems(tmp_path / "empty", command(phase("one", node("first-node", agent="general-assistant")))) == []


def test_500_agents_are_listed(project: Path) -> None:
    for number in range(500):
        file = project / f".claude/agents/many-{number}.md"
        file.write_text(f"---\nname: many-{number}\ndescription: One\n---\n", encoding="utf-8")
    assert sum("many-" in one for one in schema_of(project)["$defs"]["Node"]["properties"]["agentId"]["enum"]) == 500


def test_settings_are_written_once_and_the_schema_follows_the_project(project: Path) -> None:
    written = orchestrate(project, "schema", "--write")
    assert (written.exit_code, written.stdout) == (
        0,
        "written .vscode/orchestration.schema.json\nwritten .vscode/settings.json\n",
    )
    settings = json.loads((project / ".vscode/settings.json").read_text(encoding="utf-8"))
    assert settings == {"json.schemas": [OURS], "yaml.schemas": YAML}
    assert json.loads((project / ".vscode/orchestration.schema.json").read_text(encoding="utf-8")) == schema_of(project)
    before = contents(project)
    assert "unchanged .vscode/settings.json" in orchestrate(project, "schema", "--write").stdout
    assert contents(project) == before
    (project / ".claude/agents/new-one.md").write_text("---\nname: new-one\ndescription: x\n---\n", encoding="utf-8")
    assert "written .vscode/orchestration.schema.json" in orchestrate(project, "schema", "--write").stdout


def test_settings_keep_their_comments_their_order_and_other_schemas(project: Path) -> None:
    file = put_settings(project, SETTINGS)
    assert orchestrate(project, "schema", "--write").exit_code == 0
    after = file.read_text(encoding="utf-8")
    kept = iter(after.splitlines())
    for line in (
        "// How I like it",
        '"editor.tabSize": 4, /* really */',
        "// of the build",
        '{"fileMatch": ["build.json"]',
    ):
        assert any(line in one for one in kept), f"{line} is gone or in another place"
    assert "// last" in after
    assert after.index('"editor.tabSize"') < after.index('"json.schemas"') < after.index('"files.exclude"')
    assert after.index('"files.exclude"') < after.index('"yaml.schemas"')
    assert after.count("orchestration.schema.json") == 2
    assert orchestrate(project, "schema", "--write").exit_code == 0
    assert file.read_text(encoding="utf-8") == after


def test_an_older_entry_of_ours_is_replaced_in_its_place(project: Path) -> None:
    old = {"fileMatch": ["old"], "url": OURS["url"]}
    file = put_settings(project, json.dumps({"json.schemas": [old, {"url": "./x.json"}], "yaml.schemas": {"a": "b"}}))
    orchestrate(project, "schema", "--write")
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "json.schemas": [OURS, {"url": "./x.json"}],
        "yaml.schemas": {"a": "b", **YAML},
    }


@pytest.mark.parametrize(
    "text",
    ["{", '{"json.schemas": {}}', '{"yaml.schemas": []}', "[]", '{"a": 1, "a": 2}', "text", '{"json.schemas": [}'],
)
def test_settings_that_cannot_be_read_are_left_alone_and_shown(project: Path, text: str) -> None:
    file = put_settings(project, text)
    result = orchestrate(project, "schema", "--write")
    assert result.exit_code == 2
    assert file.read_text(encoding="utf-8") == text
    assert "left alone .vscode/settings.json" in result.stderr
    pasted = result.stderr[result.stderr.index("{\n") :]
    assert parse_json(pasted, name="pasted") == {"json.schemas": [OURS], "yaml.schemas": YAML}


@pytest.mark.parametrize("name", ["orchestration.schema.json", "settings.json"])
def test_a_file_that_is_not_ours_or_not_text_is_left_alone(project: Path, name: str) -> None:
    (project / ".vscode").mkdir()
    (project / ".vscode" / name).write_bytes(b'\xff{"$id": "mine"}')
    before = contents(project)
    assert orchestrate(project, "schema", "--write").exit_code == 2
    assert contents(project) == before
    (project / ".vscode" / name).write_text('{"$id": "mine"}', encoding="utf-8")
    if name != "settings.json":
        assert "FILE_EXISTS" in orchestrate(project, "schema", "--write").stderr


@pytest.mark.parametrize("there", ["", "{}", None])
@pytest.mark.parametrize("name", ["settings.json", "orchestration.schema.json"])
def test_a_link_to_another_place_of_the_project_is_neither_replaced_nor_followed(
    project: Path, name: str, there: str | None
) -> None:
    (project / ".vscode").mkdir()
    shared = project / "common.json"
    if there is not None:
        shared.write_text(there, encoding="utf-8")
    (project / ".vscode" / name).symlink_to("../common.json")
    assert orchestrate(project, "schema", "--write").exit_code == 2
    assert (project / ".vscode" / name).is_symlink()
    assert (shared.read_text(encoding="utf-8") if shared.exists() else None) == there


def test_settings_behind_a_link_are_left_alone(project: Path) -> None:
    outside = project.parent / "shared"
    outside.mkdir()
    (project / ".vscode").symlink_to(outside)
    assert "PATH_OUTSIDE_PROJECT" in orchestrate(project, "schema", "--write").stderr
    assert list(outside.iterdir()) == []
