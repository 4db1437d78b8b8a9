"""The protocol's own conformance tests against our server, for the scenarios that need no fixture of theirs.

Those of tasks call tools with fixed names; here they are runs of our own, so that the tasks are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_server.project.loopback import loopback
from mcp_server.protocol.app import OrchestrationServer
from mcp_server.protocol.http import HttpServer
from tests.interaction.projects import make_project
from tests.support.definitions import Raw, command, node, phase
from tests.support.node_tools import node_tool
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
REVISIONS = ("2025-11-25", "2026-07-28")
LEFT_OUT = set(re.findall(r"^\| `([\w-]+)` \| [^|]+ \|$", PAGE, re.MULTILINE))
"""Single checks that the page says we leave out."""

AT_ONCE = 1e-9
"""Seconds that a call is held before it becomes a task."""
WITHOUT_END = 60
"""Seconds of a tool that the tests cancel."""


def made(*nodes: Raw) -> Raw:
    return command(phase("work", *nodes), name="/made")


def asking(name: str) -> Raw:
    return node(name, minutes=0.1, approval={"message": "Go on?"})


RUNS = {
    "failing_job": made(node("failing-node", agent="failer", minutes=0.1)),
    "confirm_delete": made(asking("left-node")),
    "multi_input": made(asking("left-node"), asking("right-node")),
}


class Computing:
    """The programs of `slow_compute`: each goes on once its client was told that it is at work."""

    def __init__(self, project: Path) -> None:
        self._gate = project / "asked"
        os.mkfifo(self._gate)
        program = project / "computing.py"
        program.write_text(
            f"import json\nopen({str(self._gate)!r}).read()\nprint(json.dumps({{}}))\n", encoding="utf-8"
        )
        head = f"executor: process\ncommand: {json.dumps([sys.executable, program.name])}"
        agent = project / ".claude" / "agents" / "computing.md"
        agent.write_text(f"---\nname: computing\ndescription: Computes\n{head}\n---\n", encoding="utf-8")
        trust_all(project, project / "home")

    async def asked(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Let the programs at the gate go on after an answer to `tasks/get`; where none is there, it is asked again."""
        answer = await call_next(ctx)
        if ctx.method == "tasks/get":
            with contextlib.suppress(OSError):
                os.close(os.open(self._gate, os.O_WRONLY | os.O_NONBLOCK))
        return answer


async def runs(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Make of a call of their tools a call of `run` that waits."""
    params = ctx.params or {}
    name, given = params.get("name"), params.get("arguments") or {}
    if ctx.method != "tools/call" or name not in {*RUNS, "slow_compute"}:
        return await call_next(ctx)
    agent = {WITHOUT_END: "gated", 0: "worker"}.get(given.get("seconds", 0), "computing")
    definition = RUNS.get(name) or made(node("only-node", agent=agent, minutes=0.1))
    arguments = {"command": definition, "wait_seconds": AT_ONCE}
    return await call_next(replace(ctx, params={**params, "name": "run", "arguments": arguments}))


async def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


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
        ours = OrchestrationServer(root=tmp_path, home=tmp_path / "home")
        ours.middleware.extend([runs, Computing(tmp_path).asked])
        ours.add_tool(greet)
        server = HttpServer(ours, port=port, token=None)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        failed = await conformance(f"http://127.0.0.1:{port}/mcp", revision, tmp_path)
        server.should_exit = True
        await asyncio.wait_for(serving, 30)
    page = told(revision)
    assert set(failed) == set(page)
    assert {scenario: failed[scenario] - LEFT_OUT for scenario, passes in page.items() if passes} == {
        scenario: set() for scenario, passes in page.items() if passes
    }
