from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError
from mcp_server.project.settings import MAX_FILE_BYTES, SETTINGS_FILE, load_settings, parse_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    assert (settings.max_parallelism, settings.claude_program, settings.todos.batch_size) == (10, None, 10)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / SETTINGS_FILE
    path.parent.mkdir()
    path.write_text('\ufeffclaude_program = "a"\nmax_parallelism = 3\n[todos]\nbatch_size = 5\n', encoding="utf-8")
    monkeypatch.setenv("ORCHESTRATION_MAX_PARALLELISM", "4")
    monkeypatch.setenv("ORCHESTRATION_TODOS__GROUPING", "false")
    settings = load_settings(tmp_path)
    assert (settings.claude_program, settings.max_parallelism) == ("a", 4)
    assert (settings.todos.batch_size, settings.todos.grouping) == (5, False)


@pytest.mark.parametrize("given", ["./bin/claude", "bin/claude"])
def test_a_program_with_a_slash_is_meant_from_the_project_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    path = tmp_path / SETTINGS_FILE
    path.parent.mkdir()
    path.write_text(f'claude_program = "{given}"\n', encoding="utf-8")
    settings = load_settings(tmp_path)
    assert settings.claude_program == str(tmp_path / "bin/claude")
    assert settings.guarded == {"claude_program": {"claude_program": given}}
    monkeypatch.setenv("ORCHESTRATION_CLAUDE_PROGRAM", given)
    settings = load_settings(tmp_path)
    assert (settings.claude_program, settings.guarded) == (str(tmp_path / "bin/claude"), {})


def test_breakers_are_tables_by_name() -> None:
    settings = parse_settings({"breakers": {"api": {"failure_threshold": 2}}})
    assert settings.breakers["api"].failure_threshold == 2
    assert settings.breakers["api"].reset_timeout_ms == 60_000


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"max_paralelism": 1}, "max_parallelism"),
        ({"todos": {"batchsize": 1}}, "todos.batch_size"),
        ({"breakers": {"api": {"threshold": 1}}}, "breakers.api.failure_threshold"),
        ({"zzz": 1}, "Known keys: claude_program"),
    ],
)
def test_an_unknown_key_names_the_one_meant(values: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings(values)
    assert caught.value.code == "INVALID_SETTINGS"
    assert told in (caught.value.hint or "")


@pytest.mark.parametrize(
    "values", [{"max_parallelism": 0}, {"todos": 3}, {"breakers": {"api": 1}}, {"max_cost_usd": "much"}]
)
def test_a_wrong_value_names_its_key(values: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings(values)
    assert caught.value.code == "INVALID_SETTINGS"
    assert next(iter(values)) in caught.value.message


def test_a_file_that_is_none_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / SETTINGS_FILE
    path.mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be read"):
        load_settings(tmp_path)
    path.rmdir()
    for content in (b"\xff\xfe", b"a = ", b"# " + b"x" * MAX_FILE_BYTES):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_settings(tmp_path)
        assert caught.value.code == "INVALID_SETTINGS"
