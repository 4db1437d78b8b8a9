"""The configurations that README and `.mcp.json` show start the server that they name."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.interaction.projects import environment
from tests.support.uv import uv_environment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLONE = ("/path/to/orchestration-mcp", "~/orchestration-mcp")
"""How the README writes the folder of this repository."""


def shown() -> list[dict[str, Any]]:
    """Every server that README and this repository configure to be run in a clone."""
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]
    files = [json.loads((ROOT / ".mcp.json").read_text(encoding="utf-8"))]
    servers = [config["mcpServers"]["orchestration"] for config in (*blocks, *files) if "mcpServers" in config]
    added = re.findall(r"claude mcp add [^\n]* orchestration -- ([^\n]*/\.ci/serve)", README)
    return [*servers, *({"command": words[0], "args": words[1:]} for words in map(shlex.split, added))]


def here(text: str, project: Path) -> str:
    for clone in CLONE:
        text = text.replace(clone, str(ROOT))
    return text.replace("/path/to/your/project", str(project))


def test_readme_shows_a_configuration_for_each_client() -> None:
    assert len(shown()) >= 3


@pytest.mark.parametrize("number", range(len(shown())))
async def test_a_configuration_starts_the_server(tmp_path: Path, number: int) -> None:
    server = shown()[number]
    parameters = StdioServerParameters(
        command=here(server["command"], tmp_path),
        args=[here(argument, tmp_path) for argument in server["args"]],
        env={
            **environment(tmp_path),
            **uv_environment(),
            **{name: here(value, tmp_path) for name, value in server.get("env", {}).items()},
        },
        cwd=ROOT,
    )
    async with Client(parameters, mode="legacy", read_timeout_seconds=40) as client:
        assert "run" in {tool.name for tool in (await client.list_tools()).tools}
