"""The schema of a project in the language service of VS Code: names complete, and others are marked as warnings."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mcp_server.cli.app import app
from tests.interaction.projects import commands, environment, make_project
from tests.support.node_tools import TOOLS, node

pytestmark = pytest.mark.e2e
SERVICE = Path(__file__).parents[1] / "support" / "editor.cjs"
WARNING = 2


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    root = tmp_path / "project"
    root.mkdir()
    make_project(root)
    for name, value in environment(root).items():
        monkeypatch.setenv(name, value)
    found: dict[str, Any] = json.loads(CliRunner().invoke(app, ["--project", str(root), "schema"]).stdout)
    return found


def asked(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """What the service marks in *text*, and what it completes at the ¦ in it."""
    request: dict[str, Any] = {"schema": schema, "text": text.replace("¦", "")}
    if "¦" in text:
        request["cursor"] = text.index("¦")
    done = subprocess.run(
        [node(), SERVICE],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
        env={**os.environ, "NODE_PATH": str(TOOLS)},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def text_of(name: str) -> str:
    return json.dumps(commands()[name], indent=2)


def test_a_good_command_has_no_mark(schema: dict[str, Any]) -> None:
    assert asked(schema, text_of("hello"))["marked"] == []


def test_an_unknown_agent_is_marked_as_a_warning_where_it_stands(schema: dict[str, Any]) -> None:
    [mark] = asked(schema, text_of("unknown-agent"))["marked"]
    assert (mark["severity"], mark["text"]) == (WARNING, '"wroker"')
    assert '"worker"' in mark["message"]


def test_agents_complete(schema: dict[str, Any]) -> None:
    found = asked(schema, text_of("hello").replace('"worker"', '"¦"'))["completed"]
    assert {'"worker"', '"general-assistant"', '"command"'} <= {*found}


def test_a_sub_command_completes_and_an_unknown_one_is_marked(schema: dict[str, Any]) -> None:
    call = (
        '{"version": "2.0.0", "name": "/x", "description": "d", "phases": [{"id": "p", "name": "P", "agents": [%s]}]}'
    )
    one = '{"id": "a", "agentId": "command", "task": "%s"}'
    assert '"/hello"' in asked(schema, call % (one % "¦"))["completed"]
    assert asked(schema, call % (one % "/hello you"))["marked"] == []
    [mark] = asked(schema, call % (one % "/helo"))["marked"]
    assert (mark["severity"], mark["text"]) == (WARNING, '"/helo"')
    assert "command of this project" in mark["message"]
