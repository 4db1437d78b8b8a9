"""The protocol's own conformance tests over stdio, where the door gives the first answers.

Their program speaks HTTP; a bridge passes its messages on. What is about HTTP itself is tested without the door.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest
import uvicorn

from mcp_server.project.loopback import loopback
from tests.support.door.bridge import LIMIT, Bridge
from tests.support.door.conversations import READY, ask, hello, lists, modern, modern_lists
from tests.support.door.installation import PROGRAM, Installation, make_installation
from tests.support.node_tools import node_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(400)]

OF_THE_DOOR = {
    "2025-11-25": ("server-initialize", "ping", "tools-list", "prompts-list", "resources-list"),
    "2026-07-28": ("tools-list", "prompts-list", "resources-list"),
}
"""Scenarios that the door answers alone."""
BEYOND = {
    "2025-11-25": ("completion-complete", "tools-call-error", "resources-subscribe", "resources-unsubscribe"),
    "2026-07-28": (
        "completion-complete",
        "tools-call-error",
        "sep-2164-resource-not-found",
        "caching",
        "input-required-result-unsupported-methods",
    ),
}
"""Scenarios that begin at the door, and that the SDK ends."""


def cases(scenarios: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(revision, scenario) for revision, named in scenarios.items() for scenario in named]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A program that has been asked all that the door answers, once by a client of each era."""
    installation = make_installation(tmp_path_factory.mktemp("installed")).fresh(tmp_path_factory.mktemp("user"))
    for talk in ([hello(), READY, *lists(), ask(9, "ping")], [modern(0, "server/discover"), *modern_lists()]):
        with installation.server() as server:
            server.send(*talk)
            for message in talk:
                assert "id" not in message or "result" in server.read()
    return installation


@contextlib.asynccontextmanager
async def address(installation: Installation, *, gated: bool) -> AsyncIterator[str]:
    """Where each client has a server of this *installation*; *gated*: its import of the SDK does not end."""

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *PROGRAM,
            cwd=installation.project,
            env=installation.environ(gated=gated),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LIMIT,
        )

    bridge = Bridge(start)
    with loopback() as (listening, port):
        server = uvicorn.Server(uvicorn.Config(bridge.app, log_level="warning", timeout_graceful_shutdown=0))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.should_exit = True
            codes = await bridge.leave()
            await asyncio.wait_for(serving, 30)
    assert codes
    assert not any(codes)


async def checks(url: str, revision: str, scenario: str, folder: Path) -> dict[str, str]:
    """The checks of one *scenario*, and how they ended."""
    process = await asyncio.create_subprocess_exec(
        *node_tool("conformance"),
        *("server", "--url", url, "--spec-version", revision, "--scenario", scenario, "-o", "results"),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(process.wait(), 100)
    finally:
        if process.returncode is None:
            process.kill()
    (found,) = (folder / "results").glob("server-*/checks.json")
    return {check["id"]: check["status"] for check in json.loads(found.read_text(encoding="utf-8"))}


@pytest.mark.parametrize(("revision", "scenario"), cases(OF_THE_DOOR))
async def test_what_the_door_says_alone_conforms(
    taught: Installation, tmp_path: Path, revision: str, scenario: str
) -> None:
    async with address(taught, gated=True) as url:
        found = await checks(url, revision, scenario, tmp_path)
    assert "SUCCESS" in found.values()
    assert "FAILURE" not in found.values(), found


@pytest.mark.parametrize(("revision", "scenario"), cases(BEYOND))
async def test_what_the_sdk_says_after_the_door_conforms(
    taught: Installation, tmp_path: Path, revision: str, scenario: str
) -> None:
    async with address(taught, gated=False) as url:
        found = await checks(url, revision, scenario, tmp_path)
    assert "SUCCESS" in found.values()
    assert "FAILURE" not in found.values(), found
