"""The live view as an MCP App: the page, and the tool by which it follows a run in both eras."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from mcp.server.apps import APP_MIME_TYPE

from mcp_server.live.page import page
from mcp_server.protocol.uris import APP
from tests.interaction.projects import call, open_gate
from tests.interaction.promises import keeps
from tests.support.feeds import Reader, news_of

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client


@keeps("live-view", "eras")
async def test_hosts_find_the_page_at_the_tools_that_show_a_run(client: Client) -> None:
    tools = {tool.name: tool.meta or {} for tool in (await client.list_tools()).tools}
    named = {name for name, meta in tools.items() if "resourceUri" in meta.get("ui", {})}
    assert named == {"run", "status"}
    assert {tools[name]["ui"]["resourceUri"] for name in named} == {tools[name]["ui/resourceUri"] for name in named}
    [listed] = [one for one in (await client.list_resources()).resources if str(one.uri) == APP]
    assert listed.mime_type == APP_MIME_TYPE
    [content] = (await client.read_resource(APP)).contents
    assert (content.mime_type, content.model_dump()["text"]) == (APP_MIME_TYPE, page())


@keeps("live-view", "eras")
async def test_a_view_follows_a_run_by_a_tool_that_models_are_not_offered(client: Client, project: Path) -> None:
    [tool] = [tool for tool in (await client.list_tools()).tools if tool.name == "live"]
    assert (tool.meta or {})["ui"] == {"visibility": ["app"]}
    run_id = (await call(client, "run", command="/wait"))["runId"]
    reader = Reader()
    with anyio.fail_after(30):
        while reader.document.get("run", {}).get("state") != "completed":
            data = await call(
                client,
                "live",
                run_id=run_id,
                feed=reader.feed,
                number=reader.number,
                wait_seconds=10 if reader.feed else 0,
            )
            reader.take(news_of(data))
            if reader.number == 1:
                await anyio.to_thread.run_sync(open_gate, project)
    again = await call(client, "live")
    assert again["snapshot"] == reader.document, "without a run it is the newest one"
    known = await call(client, "live", run_id=run_id, feed=again["feed"], number=again["number"])
    assert "snapshot" not in known
    assert "patches" not in known


@keeps("live-view")
async def test_an_answer_in_the_view_is_an_answer_of_the_client_with_the_same_guards(client: Client) -> None:
    run_id = (await call(client, "run", command="/ask"))["runId"]
    [question] = (await call(client, "live", run_id=run_id))["snapshot"]["questions"]
    assert question["answers"] == ["yes", "no"]
    await call(client, "report", run_id=run_id, decisions=[{"node": question["node"], "answer": "yes"}])
    assert (await call(client, "status", wait_seconds=30, until="end"))["state"] == "completed"
