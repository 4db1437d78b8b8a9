from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError, InvalidCommand, NotFound
from engine.graph import compile_plan
from engine.model.agent import AgentKind
from engine.model.command import CommandDefinition
from engine.validation import Severity
from mcp_server.cli import schema
from mcp_server.project import health
from registry import commands
from registry.catalog import Catalog
from registry.files.listed import tree

ROOT = Path(__file__).parents[3]
GUIDE = ["/hello-world", "/review-code", "/analyze-api", "/implement-feature", "/database-migration", "/adaptive-test"]
EXAMPLES = [
    "fan-out",
    "diamond",
    "saga",
    "retry",
    "skip",
    "locks",
    "sub-command",
    "passthrough",
    "for-each",
    "repeat",
    "pipeline",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".claude" / "commands" / "v2").mkdir(parents=True)
    (tmp_path / "project" / ".claude" / "agents").mkdir()
    return tmp_path / "project"


@pytest.fixture(scope="module")
def ours() -> Catalog:
    return Catalog(ROOT)


def definition(name: str = "/hello", *nodes: dict[str, Any]) -> dict[str, Any]:
    node = {"id": "greet", "agentId": "claude", "task": "Say hello"}
    return {
        "version": "2.0.0",
        "name": name,
        "description": "Says hello",
        "phases": [{"id": "main", "name": "Main", "agents": [*nodes] or [node]}],
    }


def call(name: str, node: str = "call-it") -> dict[str, Any]:
    return {"id": node, "agentId": "command", "task": f"{name} now", "estimatedTime": 1000}


def write(project: Path, raw: dict[str, Any]) -> Path:
    path = project / ".claude" / "commands" / "v2" / f"{raw['name'][1:]}.json"
    path.write_text(json.dumps(raw))
    return path


@pytest.mark.parametrize("name", GUIDE)
def test_the_commands_of_the_guide_have_no_errors_and_become_plans(ours: Catalog, name: str) -> None:
    loaded = ours.load(name)
    assert loaded.errors == ()
    assert loaded.format == "json"
    plan = compile_plan(ours.bundle(loaded))
    assert plan.command == name


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_have_not_even_a_warning(ours: Catalog, name: str) -> None:
    loaded = ours.load(f".claude/commands/v2/examples/{name}.json")
    assert loaded.problems == ()
    assert loaded.name == f"/example-{name}"
    assert compile_plan(ours.bundle(loaded)).nodes


def test_the_first_tutorial_takes_twenty_minutes_instead_of_thirty(ours: Catalog) -> None:
    plan = compile_plan(ours.bundle(ours.load("/review-code")))
    assert (plan.critical_path_time.total_seconds(), plan.sequential_time.total_seconds()) == (1200, 1800)


def test_a_sub_command_and_its_agents_are_closed_into_the_bundle(ours: Catalog) -> None:
    bundle = ours.bundle(ours.load("/example-sub-command"))
    assert set(bundle.commands) == {"/review-code"}
    assert {"senior-reviewer", "security-specialist", "documentation-expert", "architect-supreme"} <= set(bundle.agents)
    assert "command" not in bundle.agents


def test_sub_commands_of_sub_commands_are_closed_too(project: Path) -> None:
    write(project, definition("/inner"))
    write(project, definition("/middle", call("/inner")))
    catalog = Catalog(project)
    bundle = catalog.bundle(catalog.load(definition("/outer", call("/middle"), call("/inner", "again"))))
    assert set(bundle.commands) == {"/middle", "/inner"}
    assert bundle.source == "definition"


def in_place(*nodes: dict[str, Any], **fields: object) -> dict[str, Any]:
    phases = [{"id": "inside", "name": "Inside", "agents": list(nodes)}]
    return {"id": "place", "task": "Do it in place", "phases": phases, **fields}


def test_agents_and_sub_commands_of_phases_in_place_are_closed_too(project: Path) -> None:
    (project / ".claude" / "agents" / "cleaner.md").write_text("---\nname: cleaner\n---\nClean.")
    write(project, definition("/inner"))
    undo = {"type": "rollback", "task": "Clean it up", "agentId": "cleaner"}
    path = write(
        project,
        definition(
            "/outer", in_place(call("/inner"), in_place(definition()["phases"][0]["agents"][0], compensation=undo))
        ),
    )
    plan = compile_plan(Catalog(project).bundle(Catalog(project).load(str(path))))
    assert sorted(plan.agents) == ["claude", "cleaner"]
    assert [node.id for node in plan.nodes] == [
        "place",
        "place/call-it",
        "place/call-it/greet",
        "place/place",
        "place/place/greet",
    ]


@pytest.mark.parametrize("levels", [0, 1])
def test_a_command_of_too_many_phases_is_refused_however_deep_they_are(project: Path, levels: int) -> None:
    raw = definition()
    raw["phases"] = [dict(raw["phases"][0], id=f"p{number}") for number in range(2001)]
    if levels:
        raw = definition("/hello", {"id": "place", "task": "Do it in place", "phases": raw["phases"][1:]})
    with pytest.raises(InputError, match="more than 2000 phases") as caught:
        Catalog(project).load(raw)
    assert caught.value.code == "TOO_LARGE"


def test_a_definition_a_path_and_a_name_load_the_same(project: Path) -> None:
    path = write(project, definition())
    catalog = Catalog(project)
    by_object = catalog.load(definition())
    by_name = catalog.load("/hello")
    by_path = catalog.load(str(path))
    by_text = catalog.load(json.dumps(definition()))
    assert by_name.definition is not None
    by_model = catalog.load(by_name.definition)
    assert {one.digest for one in (by_object, by_name, by_path, by_text, by_model)} == {by_name.digest}
    assert (by_object.path, by_object.source) == (None, "definition")
    assert (by_name.path, by_name.source) == (path, ".claude/commands/v2/hello.json")


def test_a_command_with_errors_is_loaded_with_all_of_them(project: Path) -> None:
    bad = definition("/bad", {"id": "a", "agentId": "nobody", "task": "Work", "dependencies": ["none"]})
    catalog = Catalog(project)
    loaded = catalog.load(bad)
    assert loaded.definition is None
    assert {problem.code for problem in loaded.errors} == {"AGENT_NOT_FOUND", "UNKNOWN_DEPENDENCY"}
    assert [problem.severity is Severity.ERROR for problem in loaded.problems[:2]] == [True, True]
    with pytest.raises(InvalidCommand) as caught:
        catalog.bundle(loaded)
    assert caught.value.problems == loaded.problems
    assert "2 errors" in caught.value.message


def test_a_definition_without_a_name_is_loaded_with_its_problems(project: Path) -> None:
    loaded = Catalog(project).load({"phases": []})
    assert loaded.name == ""
    assert loaded.errors
    with pytest.raises(InvalidCommand, match="'definition' has"):
        Catalog(project).bundle(loaded)


@pytest.mark.parametrize("source", ["{", "[]", '{"a": 1,}'])
def test_what_is_no_json_is_an_error_of_its_own(project: Path, source: str) -> None:
    (project / "x.json").write_text(source)
    with pytest.raises(InputError) as caught:
        Catalog(project).load("x.json")
    assert caught.value.code == "INVALID_JSON"


def test_an_unchanged_command_is_not_checked_again(project: Path) -> None:
    write(project, definition())
    catalog = Catalog(project)
    assert catalog.load("/hello") is catalog.load("/hello")


def test_a_new_agent_file_has_the_command_checked_again(project: Path) -> None:
    write(project, definition("/hello", {"id": "a", "agentId": "my-agent", "task": "Work"}))
    catalog = Catalog(project)
    assert [problem.code for problem in catalog.load("/hello").errors] == ["AGENT_NOT_FOUND"]
    agent = project / ".claude" / "agents" / "my-agent.md"
    agent.write_text("---\nname: my-agent\ndescription: Works\n---\nWork.\n")
    loaded = catalog.load("/hello")
    assert loaded.errors == ()
    agent.unlink()
    with pytest.raises(NotFound, match="my-agent") as caught:
        catalog.bundle(loaded)
    assert caught.value.code == "AGENT_NOT_FOUND"


def test_a_limit_of_an_agent_that_cannot_hold_is_an_error_of_the_command_that_names_it(project: Path) -> None:
    write(project, definition("/hello", {"id": "a", "agentId": "reader", "task": "Look"}))
    agent = project / ".claude" / "agents" / "reader.md"
    agent.write_text("---\nname: reader\ndescription: Changes nothing\nallowed-tools: Read, Grep\n---\nRead.\n")
    (problem,) = Catalog(project).load("/hello").errors
    assert problem.code == "AGENT_UNUSABLE"
    assert problem.message == (
        'Agent "reader" has a file that cannot be used: unknown field `allowed-tools`, and the agent '
        f"would run without that limit ({agent})"
    )


def test_a_changed_sub_command_has_its_caller_checked_again(project: Path) -> None:
    write(project, definition("/outer", call("/inner")))
    catalog = Catalog(project)
    assert [problem.code for problem in catalog.load("/outer").errors] == ["UNKNOWN_COMMAND"]
    write(project, definition("/inner"))
    assert catalog.load("/outer").errors == ()


def test_a_command_that_runs_itself_is_an_error(project: Path) -> None:
    write(project, definition("/a", call("/b")))
    write(project, definition("/b", call("/a")))
    codes = {problem.code for problem in Catalog(project).load("/a").errors}
    assert "RECURSIVE_COMMAND" in codes


def test_agents_of_the_python_api_count_as_registered(project: Path) -> None:
    raw = definition("/train", {"id": "train", "agentId": "ml-model-trainer", "task": "Train the model"})
    catalog = Catalog(project)
    assert catalog.load(raw).errors
    catalog.custom_agents = frozenset({"ml-model-trainer"})
    bundle = catalog.bundle(catalog.load(raw))
    assert bundle.agents["ml-model-trainer"].kind is AgentKind.CUSTOM


def test_breakers_are_those_that_are_configured(project: Path) -> None:
    raw = definition("/call", {"id": "call", "agentId": "claude", "task": "Call", "circuitBreaker": "api"})
    assert [problem.code for problem in Catalog(project).load(raw).errors] == ["UNKNOWN_BREAKER"]
    assert Catalog(project, breakers={"api"}).load(raw).errors == ()


def test_an_agent_that_only_undoes_is_in_the_bundle(project: Path) -> None:
    undo = {"type": "custom", "task": "Undo", "agentId": "Plan"}
    raw = definition("/undo", {"id": "work", "agentId": "claude", "task": "Work", "compensation": undo})
    catalog = Catalog(project)
    assert set(catalog.bundle(catalog.load(raw)).agents) == {"claude", "Plan"}


def test_the_users_agents_and_commands_are_found(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(ROOT / ".claude" / "agents", home / ".claude" / "agents")
    (home / ".claude" / "commands" / "v2").mkdir(parents=True)
    write(home, definition("/mine", {"id": "work", "agentId": "senior-reviewer", "task": "Work"}))
    catalog = Catalog(project, home=home)
    assert catalog.load("/mine").errors == ()
    assert any(summary.name == "/mine" for summary in catalog.commands())


def test_linked_agent_folders_that_go_in_a_circle_are_no_trap(project: Path) -> None:
    (project / ".claude" / "agents" / "again").symlink_to(project / ".claude" / "agents")
    (project / ".claude" / "agents" / "broken").symlink_to(project / "none")
    (project / ".claude" / "agents" / "out").symlink_to("/")
    assert "claude" in Catalog(project).agents().agents


def test_a_v1_command_gets_a_guess_at_an_agent_that_is_there(project: Path) -> None:
    shutil.copytree(ROOT / ".claude" / "agents", project / ".claude" / "agents", dirs_exist_ok=True)
    (project / "x.md").write_text(
        "# /x\n\nReviews.\n\n1. Let the security specialist review the code (5 min)\n2. Qwertz uiop (1 min)\n"
    )
    loaded = Catalog(project).load("x.md")
    assert loaded.errors == ()
    assert loaded.format == "markdown"
    guesses = [problem.suggestion for problem in loaded.warnings if problem.code == "V1_DEFAULT_AGENT"]
    assert guesses == ['Perhaps "security-specialist".', None]


def test_a_packaged_command_runs_in_any_project(project: Path) -> None:
    loaded = Catalog(project).load("/review-repo")
    assert loaded.errors == ()
    assert Catalog(project).bundle(loaded).agents


def test_a_loaded_model_is_the_file_and_nothing_else(project: Path) -> None:
    write(project, definition())
    loaded = Catalog(project).load("/hello")
    assert loaded.definition == CommandDefinition.model_validate(definition())


def test_packaged_commands_and_agents_can_be_left_out(project: Path) -> None:
    catalog = Catalog(project, packaged_commands=None, packaged_agents=None)
    assert catalog.commands() == ()
    assert not any(name.startswith("repo-") for name in catalog.agents().agents)


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of commands that were listed."""
    listed: list[Path] = []

    def recording(folder: Path, endings: frozenset[str]) -> list[Path]:
        listed.append(folder)
        return tree(folder, endings)

    monkeypatch.setattr(commands, "tree", recording)
    return listed


def test_many_commands_are_loaded_with_one_look_at_their_files(project: Path, lists: list[Path]) -> None:
    names = [f"/hello-{number}" for number in range(20)]
    for name in names:
        write(project, definition(name))
    twin = project / ".claude" / "commands" / "v2" / "twin.json"
    twin.write_text(json.dumps(definition("/hello-3")), encoding="utf-8")
    catalog = Catalog(project, packaged_commands=None)
    with catalog.listed_once():
        once = [catalog.load(name) for name in names]
    assert len(lists) == 1
    assert once == [Catalog(project, packaged_commands=None).load(name) for name in names]
    assert [found.name for found in once if "DEFINED_TWICE" in {one.code for one in found.problems}] == ["/hello-3"]


def test_a_command_that_comes_while_many_are_loaded_is_found_afterwards(project: Path) -> None:
    write(project, definition("/first"))
    catalog = Catalog(project, packaged_commands=None)
    with catalog.listed_once():
        write(project, definition("/second"))
        with pytest.raises(NotFound):
            catalog.load("/second")
    assert catalog.load("/second").name == "/second"


def test_schema_and_doctor_look_once_at_the_files_of_all_commands(project: Path, lists: list[Path]) -> None:
    def looks(count: int) -> int:
        for number in range(count):
            write(project, definition(f"/hello-{number}"))
        lists.clear()
        schema._schema_of(Catalog(project), {})
        health.Patient(project, project.parent).named  # noqa: B018 - it is read
        return len(lists)

    assert looks(2) == looks(9)
