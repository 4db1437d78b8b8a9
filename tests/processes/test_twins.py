"""Two servers of one session of Claude Code: one offers the tools, the other one says why it offers none."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from mcp import Client

from mcp_server import twins
from tests.interaction.projects import ERAS, Era, make_project, stdio_parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from mcp import StdioServerParameters

pytestmark = pytest.mark.processes
CONFIGURED = {twins.SESSION: "session-1"}
PLUGIN = {**CONFIGURED, twins.PLUGIN: "/plugin"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return make_project(root)


@pytest.fixture
def runtime(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "runtime"
    folder.mkdir()
    return {"XDG_RUNTIME_DIR": str(folder)}


def server(project: Path, environ: Mapping[str, str]) -> StdioServerParameters:
    found = stdio_parameters(project)
    return found.model_copy(update={"env": {**(found.env or {}), **environ}})


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    forget()


@contextlib.asynccontextmanager
async def offered(project: Path, era: Era, environ: Mapping[str, str]) -> AsyncIterator[tuple[int, str]]:
    """How many tools, prompts and resources a server offers, and its instructions, while it runs."""
    async with Client(server(project, environ), mode=era, read_timeout_seconds=40) as client:
        tools = (await client.list_tools()).tools
        prompts = (await client.list_prompts()).prompts
        resources = (await client.list_resources()).resources
        yield len(tools) + len(prompts) + len(resources), client.instructions or ""


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("first", "second"), [(PLUGIN, CONFIGURED), (CONFIGURED, PLUGIN)])
async def test_the_second_of_two_kinds_offers_nothing_and_says_why(
    project: Path, runtime: dict[str, str], era: Era, first: dict[str, str], second: dict[str, str]
) -> None:
    async with offered(project, era, {**runtime, **first}) as (number, text):
        assert number > 7
        assert "twice" not in text
        async with offered(project, era, {**runtime, **second}) as (left, why):
            assert left == 0
            assert "active twice in this session" in why
    async with offered(project, era, {**runtime, **second}) as (number, _):
        assert number > 7


async def test_a_successor_another_session_and_other_clients_are_served(project: Path, runtime: dict[str, str]) -> None:
    async with offered(project, "auto", {**runtime, **PLUGIN}) as (number, _):
        for other in (PLUGIN, {**CONFIGURED, twins.SESSION: "session-2"}, {}):
            async with offered(project, "auto", {**runtime, **other}) as (found, _):
                assert found == number


def forget() -> None:
    """Release what this process holds, as its end would."""
    while twins._held:
        os.close(twins._held.pop())


def test_a_plugin_that_has_announced_itself_comes_first(runtime: dict[str, str]) -> None:
    twins.announce({**runtime, **PLUGIN})
    assert not twins.serves({**runtime, **CONFIGURED})
    twins.announce({**runtime, **CONFIGURED})
    assert twins.serves({**runtime, **CONFIGURED})


def test_locks_of_sessions_that_are_long_over_are_removed(runtime: dict[str, str], tmp_path: Path) -> None:
    assert twins.serves({**runtime, twins.SESSION: "old"})
    forget()
    [old] = (tmp_path / "runtime").rglob("*.configuration")
    os.utime(old, (0, 0))
    assert twins.serves({**runtime, twins.SESSION: "new"})
    assert not old.exists()


def test_a_folder_that_others_can_write_is_not_used(runtime: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "runtime" / f"orchestration-mcp-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    twins.announce({**runtime, **PLUGIN})
    assert twins.serves({**runtime, **CONFIGURED})
    assert list(folder.iterdir()) == []
