"""The protocol's own conformance tests against our server, for the scenarios that need no fixture of theirs."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from mcp_server.app import OrchestrationServer
from mcp_server.http import HttpServer, loopback
from tests.interaction.projects import make_project
from tests.support.node_tools import node_tool

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
REVISIONS = ("2025-11-25", "2026-07-28")
LEFT_OUT = set(re.findall(r"^\| `([\w-]+)` \| [^|]+ \|$", PAGE, re.MULTILINE))
"""Single checks that the page says we leave out."""


def told(revision: str) -> dict[str, bool]:
    """The scenarios that the page tells of a revision, and whether they pass."""
    rows = re.findall(r"^\| `([\w-]+)` \| (yes|no|-) \| (yes|no|-) \|", PAGE, re.MULTILINE)
    column = 1 + REVISIONS.index(revision)
    return {row[0]: row[column] == "yes" for row in rows if row[column] != "-"}


async def conformance(url: str, revision: str, folder: Path) -> dict[str, set[str]]:
    """The checks that failed, by scenario, of all that a revision of the protocol requires of a server."""
    process = await asyncio.create_subprocess_exec(
        *node_tool("conformance"),
        *("server", "--url", url, "--requirements", revision, "-o", "results"),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await asyncio.wait_for(process.wait(), 50)
    failed = {}
    for path in (folder / "results").glob("server-*/checks.json"):
        scenario = re.sub(r"^server-(.+)-\d{4}-\d\d-\d\dT[\w-]+$", r"\1", path.parent.name)
        checks = json.loads(path.read_text(encoding="utf-8"))
        failed[scenario] = {check["id"] for check in checks if check["status"] == "FAILURE"}
    return failed


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_server_conforms_as_the_page_says(tmp_path: Path, revision: str) -> None:
    make_project(tmp_path)
    with loopback() as (listening, port):
        server = HttpServer(OrchestrationServer(root=tmp_path, home=tmp_path / "home"), port=port, token=None)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        failed = await conformance(f"http://127.0.0.1:{port}/mcp", revision, tmp_path)
        server.should_exit = True
        await asyncio.wait_for(serving, 30)
    page = told(revision)
    assert set(failed) == set(page)
    assert {scenario: failed[scenario] - LEFT_OUT for scenario, passes in page.items() if passes} == {
        scenario: set() for scenario, passes in page.items() if passes
    }
