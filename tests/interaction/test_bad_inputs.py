from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.interaction.projects import call, connected, refused
from tests.interaction.promises import keeps

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client

BAD: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("missing command", "run", {"command": "/helo"}, "COMMAND_NOT_FOUND", "/hello"),
    ("missing file", "validate", {"source": "no/such.json"}, "FILE_NOT_FOUND", "no/such.json"),
    ("broken file", "run", {"command": "broken.json"}, "INVALID_JSON", "line 1"),
    ("unknown agent", "run", {"command": "/unknown-agent"}, "INVALID_COMMAND", "worker"),
    ("cycle", "run", {"command": "/cycle"}, "INVALID_COMMAND", "left-node → right-node"),
    ("cycle on loading", "load_command", {"source": "/cycle"}, "INVALID_COMMAND", "CIRCULAR_DEPENDENCY"),
    ("unknown run", "status", {"run_id": "r-none"}, "RUN_NOT_FOUND", "orchestration://runs"),
    ("unknown run to cancel", "cancel", {"run_id": "r-none"}, "RUN_NOT_FOUND", "r-none"),
    ("unknown run to resume", "resume", {"run_id": "../../x"}, "RUN_NOT_FOUND", "../../x"),
    ("unknown run to show", "live", {"run_id": "r-none"}, "RUN_NOT_FOUND", "r-none"),
    ("unknown news", "live", {"number": -1}, "INVALID_PARAMETERS", "number"),
    ("outside", "validate", {"source": "../../../etc/passwd"}, "PATH_OUTSIDE_PROJECT", "CLAUDE_PROJECT_DIR"),
    ("outside, absolute", "run", {"command": "/etc/passwd.json"}, "PATH_OUTSIDE_PROJECT", "outside the project"),
    ("missing argument", "run", {"command": "/argued"}, "MISSING_ARGUMENT", "target"),
    ("no parameter", "run", {}, "INVALID_PARAMETERS", "command"),
    ("misspelled parameter", "status", {"runid": "r-1"}, "INVALID_PARAMETERS", "run_id"),
    ("wrong type", "run", {"command": "/hello", "wait_seconds": "soon"}, "INVALID_PARAMETERS", "wait_seconds"),
    ("out of range", "run", {"command": "/hello", "max_parallelism": 0}, "INVALID_PARAMETERS", "max_parallelism"),
    ("unknown executor", "run", {"command": "/hello", "executor": "magic"}, "INVALID_PARAMETERS", "simulate"),
    ("unknown tool", "runn", {"command": "/hello"}, "UNKNOWN_TOOL", "run"),
]


@pytest.mark.parametrize("case", BAD, ids=[case[0] for case in BAD])
@keeps("errors")
async def test_each_bad_input_is_one_clear_error(
    client: Client, project: Path, case: tuple[str, str, dict[str, Any], str, str]
) -> None:
    _, tool, arguments, code, told = case
    (project / "broken.json").write_text('{"version": "2.0.0",, }', encoding="utf-8")
    text = await refused(client, tool, arguments)
    assert text.startswith(f"{code}: ")
    assert told in text
    assert "Traceback" not in text
    assert "Error executing tool" not in text
    if tool not in {"status", "cancel", "resume", "live"}:  # those have to look into the journal
        state = project / ".claude" / "orchestration"
        assert not state.exists() or (await refused(client, "status", {})).startswith("RUN_NOT_FOUND")
    assert (await call(client, "run", command="/hello", wait_seconds=30))["state"] == "completed"


@keeps("no-executor")
async def test_model_agents_without_claude_code_are_refused(client: Client) -> None:
    text = await refused(client, "run", {"command": "/model", "executor": "claude"})
    assert text.startswith("EXECUTOR_UNAVAILABLE: ")
    assert "npm install -g @anthropic-ai/claude-code" in text
    assert "simulate" in text
    assert (await refused(client, "status", {})).startswith("RUN_NOT_FOUND")


@keeps("state-folder")
async def test_a_state_folder_that_cannot_be_used_is_one_error(client: Client, project: Path) -> None:
    folder = project / ".claude" / "orchestration"
    folder.write_text("a file in its place", encoding="utf-8")
    assert (await call(client, "validate", source="/hello"))["valid"]
    text = await refused(client, "run", {"command": "/hello", "wait_seconds": 30})
    assert "orchestration" in text
    assert text.split(":")[0].isupper()
    assert "INTERNAL" not in text
    assert not (project / "started").exists()
    folder.unlink()
    assert (await call(client, "run", command="/hello", wait_seconds=30))["state"] == "completed"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("max_paralelism = 3", 'Did you mean "max_parallelism"?'),
        ("max_parallelism = ", "not TOML"),
        ("max_parallelism = 0", "greater than or equal to 1"),
    ],
)
@keeps("errors")
async def test_broken_settings_are_one_error_and_are_read_again(project: Path, settings: str, told: str) -> None:
    path = project / ".claude" / "orchestration.toml"
    path.write_text(settings, encoding="utf-8")
    async with connected(project, "auto") as client:
        text = await refused(client, "validate", {"source": "/hello"})
        assert text.startswith("INVALID_SETTINGS: ")
        assert told in text
        path.write_text("max_parallelism = 3", encoding="utf-8")
        assert (await call(client, "validate", source="/hello"))["valid"]


@keeps("errors")
async def test_a_project_that_is_no_directory_is_one_error(tmp_path: Path) -> None:
    async with connected(tmp_path / "nowhere", "legacy") as client:
        assert (await refused(client, "status", {})).startswith("PROJECT_NOT_FOUND: ")
