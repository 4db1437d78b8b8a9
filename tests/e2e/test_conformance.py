"""The protocol's own conformance tests against our server, for the scenarios that need no fixture of theirs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from mcp_server.app import OrchestrationServer
from mcp_server.http import HttpServer, loopback
from tests.interaction.projects import make_project
from tests.support.claude_code import TOOLS

APPLY = (
    "server-initialize",
    "ping",
    "completion-complete",
    "tools-list",
    "tools-call-error",
    "resources-list",
    "resources-subscribe",
    "resources-unsubscribe",
    "prompts-list",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
)
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


async def conformance(*arguments: str, folder: Path) -> tuple[int, str]:
    """Exit code and output of the official tool."""
    process = await asyncio.create_subprocess_exec(
        str(TOOLS / ".bin" / "conformance"),
        *arguments,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode or 0, output.decode("utf-8", "replace")


@pytest.mark.parametrize("scenario", APPLY)
async def test_a_scenario_that_applies_passes(tmp_path: Path, scenario: str) -> None:
    make_project(tmp_path)
    with loopback() as (listening, port):
        server = HttpServer(OrchestrationServer(root=tmp_path, home=tmp_path / "home"), port=port, token=None)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{port}/mcp"
        code, output = await conformance("server", "--url", url, "--scenario", scenario, folder=tmp_path)
        server.should_exit = True
        await asyncio.wait_for(serving, 30)
    assert code == 0, output


async def test_each_scenario_for_servers_is_run_or_left_out_for_a_reason(tmp_path: Path) -> None:
    code, output = await conformance("list", folder=tmp_path)
    assert code == 0, output
    every = set(re.findall(r"^  - (\S+)$", output.partition("Client scenarios")[0], re.MULTILINE))
    told = set(re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert told == every
    assert set(APPLY) <= every
