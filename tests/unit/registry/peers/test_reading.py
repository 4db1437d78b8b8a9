"""Workflows of other programs as files of a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InputError
from registry.catalog import Catalog
from registry.peers.kinds import peer_of

FLOW = """\
name: My Flow
description: D
nodes:
  - id: a
    command: plan
  - id: b
    script: count
    runtime: uv
    depends_on: [a]
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    archon = tmp_path / ".archon"
    for folder in ("workflows", "commands/team", "scripts"):
        (archon / folder).mkdir(parents=True)
    (archon / "workflows/flow.yaml").write_text(FLOW, encoding="utf-8")
    (archon / "commands/team/plan.md").write_text("Plan it.", encoding="utf-8")
    (archon / "scripts/count.py").write_text("print(1)", encoding="utf-8")
    return Catalog(tmp_path)


def test_a_workflow_is_checked_with_the_agents_that_it_will_have(catalog: Catalog) -> None:
    loaded = catalog.load(".archon/workflows/flow.yaml")
    assert (loaded.format, loaded.name, loaded.errors) == ("archon", "/my-flow", ())
    assert set(loaded.agents) == {"my-flow-a", "my-flow-b"}
    assert loaded.raw["phases"][0]["agents"][0]["task"] == "Plan it."
    assert '".archon/scripts/count.py"' in loaded.agents["my-flow-b"]
    assert all(one.code == "PEER_DIFFERS" for one in loaded.warnings)


def test_a_workflow_itself_is_not_run(catalog: Catalog) -> None:
    with pytest.raises(InputError) as raised:
        catalog.bundle(catalog.load(".archon/workflows/flow.yaml"))
    assert raised.value.code == "PEER_WORKFLOW"
    assert "orchestrate migrate .archon/workflows/flow.yaml" in str(raised.value.hint)


def test_a_changed_prompt_file_changes_the_command(catalog: Catalog) -> None:
    catalog.load(".archon/workflows/flow.yaml")
    (catalog.project / ".archon/commands/team/plan.md").write_text("Plan more.", encoding="utf-8")
    assert catalog.load(".archon/workflows/flow.yaml").raw["phases"][0]["agents"][0]["task"] == "Plan more."


@pytest.mark.parametrize("name", ["../plan", "a/b", "", "plan.md/x", "twice", "large"])
def test_a_prompt_file_is_one_of_the_project(catalog: Catalog, name: str) -> None:
    commands = catalog.project / ".archon/commands"
    for folder in ("one", "two"):
        (commands / folder).mkdir()
        (commands / folder / "twice.md").write_text("x", encoding="utf-8")
    (commands / "large.md").write_bytes(b"x" * 2_000_000)
    path = catalog.project / ".archon/workflows/flow.yaml"
    path.write_text(FLOW.replace("command: plan", f"command: '{name}'"), encoding="utf-8")
    assert [one.code for one in catalog.load(".archon/workflows/flow.yaml").errors][:1] == ["PEER_NOT_CARRIED"]


def test_a_prompt_file_outside_of_the_project_is_not_read(
    catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.md"
    outside.write_text("secret", encoding="utf-8")
    plan = catalog.project / ".archon/commands/team/plan.md"
    plan.unlink()
    plan.symlink_to(outside)
    assert catalog.load(".archon/workflows/flow.yaml").errors


def test_errors_have_their_place_in_the_workflow(catalog: Catalog) -> None:
    path = catalog.project / ".archon/workflows/flow.yaml"
    long = FLOW.replace("command: plan", f"prompt: {'x' * 20_001}")
    path.write_text(long, encoding="utf-8")
    (error,) = catalog.load(".archon/workflows/flow.yaml").errors
    assert (error.code, error.pointer, error.place) == ("SCHEMA", "/nodes/0", ".archon/workflows/flow.yaml:4:5")
    path.write_text(long.replace("id: a", "id: a\n    hooks: {}"), encoding="utf-8")
    (error,) = catalog.load(".archon/workflows/flow.yaml").errors  # no more of a command that is not whole
    assert (error.code, error.place) == ("PEER_NOT_CARRIED", ".archon/workflows/flow.yaml:5:5")


def test_an_agent_that_cannot_be_written_is_an_error(catalog: Catalog) -> None:
    script = "x" * 70_000
    path = catalog.project / ".archon/workflows/flow.yaml"
    path.write_text(f"name: f\ndescription: d\nnodes:\n- {{id: a, bash: {script}}}\n", encoding="utf-8")
    errors = catalog.load(".archon/workflows/flow.yaml").errors
    assert any("No agent file can be written" in error.message for error in errors)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("name: &a x\ndescription: *a\nnodes: []\n", "INVALID_YAML"),
        ("name: x\n<<: {description: d}\nnodes: []\n", "INVALID_YAML"),
        ("name: x\nname: y\nnodes: []\n", "DUPLICATE_KEY"),
        ("name: x\nnodes: " + "[" * 200, "TOO_DEEP"),
        ("workflow: {entry_point: a}\nagents: !file a.yaml\n", "INVALID_YAML"),
        ("name: x\nnodes: []\n" + "#" * 1_100_000, "FILE_TOO_LARGE"),
        ("name: x\nnodes: []\n---\nname: y\n", "INVALID_YAML"),
    ],
)
def test_hostile_yaml_is_one_clear_error(catalog: Catalog, text: str, code: str) -> None:
    (catalog.project / ".archon/workflows/flow.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        catalog.load(".archon/workflows/flow.yaml")
    assert raised.value.code == code


def test_dates_and_words_are_texts(catalog: Catalog) -> None:
    text = "name: x\ndescription: 2024-01-02\nnodes: [{id: on, prompt: yes}]\n"
    (catalog.project / ".archon/workflows/flow.yaml").write_text(text, encoding="utf-8")
    loaded = catalog.load(".archon/workflows/flow.yaml")
    assert loaded.raw["description"] == "2024-01-02"
    assert loaded.raw["phases"][0]["agents"][0]["id"] == "on"


@pytest.mark.parametrize(
    ("raw", "peer"),
    [
        ({"name": "x", "nodes": []}, "archon"),
        ({"name": "x", "nodes": [{"id": "a", "prompt": "b"}]}, "archon"),
        ({"name": "x", "nodes": [{"id": "a", "agentId": "b"}]}, None),
        ({"name": "x", "nodes": [], "version": "2.0.0"}, None),
        ({"name": "x", "phases": [], "nodes": []}, None),
        ({"name": "x", "agents": [], "nodes": []}, None),
        ({"workflow": {"entry_point": "a"}, "agents": []}, "conductor"),
        ({"workflow": {"phases": []}, "agents": []}, None),
    ],
)
def test_a_workflow_is_recognized_by_its_form(raw: dict[str, object], peer: str | None) -> None:
    assert peer_of(raw) == peer


def test_a_workflow_that_runs_another_finds_it_by_its_name(catalog: Catalog) -> None:
    folder = catalog.project / ".archon/workflows"
    (folder / "a-broken.yaml").write_text("name: [", encoding="utf-8")
    (folder / "other.yml").write_text("workflow: {entry_point: a}\nagents: []\nname: My Flow\n", encoding="utf-8")
    text = "name: outer\ndescription: d\nnodes: [{id: sub, workflow: My Flow}]\n"
    (folder / "outer.yaml").write_text(text, encoding="utf-8")
    loaded = catalog.load(".archon/workflows/outer.yaml")
    assert [one.code for one in loaded.errors] == ["UNKNOWN_COMMAND"]  # it is not converted yet
    assert loaded.raw["phases"][0]["agents"][0]["task"] == "/my-flow"
    (folder / "outer.yaml").write_text(text.replace("My Flow", "None"), encoding="utf-8")
    assert [one.code for one in catalog.load(".archon/workflows/outer.yaml").errors] == ["PEER_NOT_CARRIED"]
