from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import registry
from engine.errors import InputError, NotFound
from engine.model.command import CommandDefinition
from registry import CommandLoader

ROOT = Path(__file__).parents[3]


@pytest.mark.anyio
async def test_the_lines_of_the_guide_work() -> None:
    loader = CommandLoader(ROOT)
    command = await loader.load("review-code.json")
    validation = loader.validate(command.definition)
    assert validation.valid
    assert validation.errors == ()
    assert isinstance(command.definition, CommandDefinition)
    assert (command.name, command.format) == ("/review-code", "json")
    assert command.path == ROOT / ".claude" / "commands" / "v2" / "review-code.json"


@pytest.mark.anyio
async def test_the_errors_of_a_broken_command_can_be_listed_from_its_definition(tmp_path: Path) -> None:
    (tmp_path / "my-complex-command.json").write_text(json.dumps({"version": "2.0.0", "name": "/x", "phases": []}))
    loader = CommandLoader(tmp_path)
    command = await loader.load("my-complex-command.json")
    validation = loader.validate(command.definition)
    assert not validation.valid
    assert {problem.pointer for problem in validation.errors} == {"/description", "/phases"}
    assert loader.validate(command).errors == validation.errors == command.loaded.errors
    assert command.problems == validation.problems


def test_names_paths_and_definitions_load_and_close(tmp_path: Path) -> None:
    loader = CommandLoader(ROOT)
    assert loader.load_sync(Path(".claude/commands/v2/hello-world.json")).name == "/hello-world"
    assert loader.load_sync("/hello-world").name == "/hello-world"
    raw = json.loads((ROOT / ".claude" / "commands" / "v2" / "hello-world.json").read_text())
    assert loader.load_sync(raw).name == "/hello-world"
    assert loader.validate("/hello-world").warnings == ()
    assert set(loader.bundle("/hello-world").agents) == {"documentation-expert"}
    with pytest.raises(NotFound):
        CommandLoader(tmp_path).load_sync("none.json")


def test_without_a_project_it_is_looked_for_from_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "engine")
    assert CommandLoader().catalog.project == ROOT


def test_the_package_offers_what_it_names() -> None:
    assert all(getattr(registry, name) is not None for name in registry.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        registry.Nothing  # type: ignore[attr-defined] # noqa: B018


@pytest.mark.parametrize(
    "options", [{"project": 5}, {"home": 5}, {"breakers": "api"}, {"custom_agents": "worker"}, {"custom_agents": [5]}]
)
def test_what_a_loader_cannot_use_is_refused_when_it_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        CommandLoader(**options)
    assert caught.value.code == "INVALID_OPTION"
    assert next(iter(options)) in caught.value.message


@pytest.mark.parametrize("source", ["x" * 5000, "", "a\0b", 5, None])
def test_what_names_no_command_is_one_clear_error(tmp_path: Path, source: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError):
        CommandLoader(str(tmp_path), home=str(tmp_path)).load_sync(source)
