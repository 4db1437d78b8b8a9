"""A server in a project that brought a state folder: it lists its tools, and each call about runs says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mcp.shared.exceptions import MCPError

from engine.statefolder.guard import look_at, take_over
from mcp_server.protocol.uris import RUNS
from tests.interaction.projects import call, connected, refused
from tests.interaction.promises import keeps
from tests.support.state import contents, plant

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client

RUN = "r-9acoolc7i9ah"
CALLS: dict[str, dict[str, object]] = {
    "run": {"command": "/hello"},
    "status": {},
    "report": {"run_id": RUN, "decisions": [{"node": "second-node", "answer": "yes"}]},
    "cancel": {"run_id": RUN},
    "resume": {"run_id": RUN},
    "live": {"run_id": RUN},
}


@keeps("foreign-state")
async def test_each_call_about_runs_says_it_and_nothing_is_touched(client: Client, project: Path) -> None:
    plant(project)
    before = contents(project / ".claude")
    assert {tool.name for tool in (await client.list_tools()).tools} >= CALLS.keys()
    assert (await call(client, "validate", source="/hello"))["valid"]
    for name, arguments in CALLS.items():
        text = await refused(client, name, arguments)
        assert text.startswith("STATE_NOT_OURS: "), name
        assert f"orchestrate --project {project} trust --state" in text
    assert contents(project / ".claude") == before
    assert not (project / "started").exists()


@pytest.mark.parametrize("address", [RUNS, f"{RUNS}/{RUN}", f"{RUNS}/{RUN}/report"])
@keeps("foreign-state")
async def test_a_resource_about_runs_says_it(client: Client, project: Path, address: str) -> None:
    plant(project)
    before = contents(project / ".claude")
    with pytest.raises(MCPError, match="STATE_NOT_OURS"):
        await client.read_resource(address)
    assert contents(project / ".claude") == before


@keeps("foreign-state")
async def test_lists_have_what_needs_no_state(client: Client, project: Path) -> None:
    plant(project)
    assert (await client.list_prompts()).prompts
    assert (await client.list_resources()).resources


@keeps("foreign-state")
async def test_a_yes_on_the_command_line_is_heard_by_a_server_that_runs(project: Path) -> None:
    plant(project)
    async with connected(project, "auto") as client:
        assert (await refused(client, "status", {})).startswith("STATE_NOT_OURS")
        take_over(look_at(project, home=project / "home"), home=project / "home")
        assert (await call(client, "status"))["state"] == "interrupted"
