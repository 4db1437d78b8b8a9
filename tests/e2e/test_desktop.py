"""The bundle for Claude Desktop: valid for the official tool, and its manifest starts the server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp import Client, StdioServerParameters

from mcp_server.protocol.app import OrchestrationServer
from tests.interaction.projects import environment, make_project
from tests.support.node_tools import node_tool
from tests.support.uv import uv_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
MANIFEST: Mapping[str, Any] = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))


def filled(text: str, *, folder: Path, project: Path) -> str:
    """A text of the manifest with what Desktop puts in."""
    return text.replace("${__dirname}", str(folder)).replace("${user_config.project}", str(project))


async def test_the_bundle_starts_the_server_for_the_chosen_project(tmp_path: Path) -> None:
    bundle, folder, project = tmp_path / "made.mcpb", tmp_path / "unpacked", tmp_path / "project"
    project.mkdir()
    make_project(project)
    for command in ([ROOT / ".ci" / "bundle", bundle], [*node_tool("mcpb"), "unpack", bundle, folder]):
        done = await asyncio.to_thread(
            subprocess.run, [str(part) for part in command], capture_output=True, text=True, timeout=50, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / "tests").exists()
    config = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["server"]["mcp_config"]
    env = {name: filled(value, folder=folder, project=project) for name, value in config["env"].items()}
    parameters = StdioServerParameters(
        command=config["command"],
        args=[filled(argument, folder=folder, project=project) for argument in config["args"]],
        env={**environment(project), **uv_environment(), "PYTHONPATH": str(folder), **env},
        cwd=tmp_path,
    )
    async with Client(parameters, mode="legacy", read_timeout_seconds=40) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {tool["name"] for tool in MANIFEST["tools"]}
        result = await client.call_tool("run", {"command": "/hello", "executor": "simulate"})
        assert not result.is_error, result.content
    assert (project / ".claude" / "orchestration").exists()


def test_the_manifest_tells_what_the_server_is() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (MANIFEST["version"], MANIFEST["license"]) == (package["version"], package["license"])
    tools = [tool.name for tool in asyncio.run(OrchestrationServer().list_tools())]
    assert [tool["name"] for tool in MANIFEST["tools"]] == tools
    plugin = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text(encoding="utf-8"))
    assert plugin["version"] == package["version"]
