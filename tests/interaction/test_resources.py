from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import jsonschema
import pytest
from mcp import MCPError
from mcp_types import (
    PromptReference,
    ResourceListChangedNotification,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    TextResourceContents,
)

from engine.runtime import run_notes
from tests.interaction.projects import call, commands, connected, ended, open_gate
from tests.interaction.promises import keeps
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client

RUN = ResourceTemplateReference(type="ref/resource", uri="orchestration://runs/{id}")
OUTPUT = ResourceTemplateReference(type="ref/resource", uri="orchestration://runs/{id}/outputs/{key}")
NODE = ResourceTemplateReference(type="ref/resource", uri="orchestration://runs/{id}/nodes/{node}")
COMMAND = ResourceTemplateReference(type="ref/resource", uri="orchestration://commands/{name}")


async def read(client: Client, uri: str) -> tuple[str | None, str]:
    """Media type and text of the resource at *uri*."""
    [content] = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.mime_type, content.text


async def read_json(client: Client, uri: str) -> Any:  # noqa: ANN401 - any JSON value
    mime_type, text = await read(client, uri)
    assert mime_type == "application/json"
    return json.loads(text)


@keeps("resources")
async def test_the_commands_and_agents_of_a_project_can_be_read(client: Client, project: Path) -> None:
    listed = {str(found.uri): found for found in (await client.list_resources()).resources}
    assert "orchestration://commands/hello" in listed
    assert all(found.mime_type for found in listed.values())
    found = {line["name"]: line for line in await read_json(client, "orchestration://commands")}
    assert found["/argued"]["arguments"] == ["target"]
    assert found["/hello"]["path"] == ".claude/commands/v2/hello.json"
    assert await read_json(client, found["/hello"]["resource"]) == commands()["hello"]
    agents = {line["id"]: line for line in (await read_json(client, "orchestration://agents"))["agents"]}
    assert agents["worker"]["executor"] == "process"
    mime_type, text = await read(client, "orchestration://schemas/command-v2.json")
    assert mime_type == "application/schema+json"
    jsonschema.validate(commands()["hello"], json.loads(text))
    assert not (project / ".claude" / "orchestration").exists()


@keeps("resources")
async def test_a_command_file_that_cannot_be_read_is_listed_with_its_problem(client: Client, project: Path) -> None:
    (project / ".claude" / "commands" / "v2" / "broken.json").write_text("{", encoding="utf-8")
    found = {line["name"]: line for line in await read_json(client, "orchestration://commands")}
    assert "INVALID_JSON" in found["/broken"]["problem"]
    assert "orchestration://commands/broken" not in {
        str(resource.uri) for resource in (await client.list_resources()).resources
    }


@keeps("resources", "large-outputs")
async def test_each_part_of_a_run_can_be_read(client: Client) -> None:
    status = await call(client, "run", command="/large", wait_seconds=30)
    uri = f"orchestration://runs/{status['runId']}"
    assert await read_json(client, uri) == status
    [line] = await read_json(client, "orchestration://runs")
    assert (line["runId"], line["state"], line["resource"]) == (status["runId"], "completed", uri)
    assert uri in {str(found.uri) for found in (await client.list_resources()).resources}
    assert await read(client, status["outputs"]["report"]["$ref"]) == ("text/plain", "long " * 4000)
    assert await read(client, f"{uri}/outputs/short") == ("text/plain", "sk-ant-[redacted]")
    mime_type, diagram = await read(client, f"{uri}/diagram")
    assert mime_type == "application/vnd.mermaid"
    assert diagram.startswith("flowchart")
    mime_type, report = await read(client, f"{uri}/report")
    assert mime_type == "text/plain"
    assert "/large" in report
    [span] = await read_json(client, f"{uri}/timeline")
    assert (span["node"], span["state"]) == ("writer", "completed")


@keeps("resources")
async def test_a_node_and_its_log_can_be_read(client: Client) -> None:
    status = await call(client, "run", command="/fail", wait_seconds=30)
    uri = f"orchestration://runs/{status['runId']}/nodes"
    node_ = await read_json(client, f"{uri}/failing-node")
    assert (node_["id"], node_["state"], node_["attempts"][0]["code"]) == ("failing-node", "failed", "BROKEN")
    mime_type, log = await read(client, f"{uri}/failing-node/log")
    assert mime_type == "text/plain"
    assert log.startswith("failing-node#1 · failer\n")
    assert "hunter22" not in log
    assert "❌ failed after" in log
    assert await read(client, f"{uri}/failing-node%231/log") == (mime_type, log)
    for wrong, code in (("nobody", "NODE_NOT_FOUND"), ("failing-node%239/log", "ATTEMPT_NOT_FOUND")):
        with pytest.raises(MCPError, match=code):
            await client.read_resource(f"{uri}/{wrong}")


@keeps("resources")
async def test_runs_are_listed_by_what_is_asked_for(client: Client) -> None:
    hello = (await call(client, "run", command="/hello", executor="simulate"))["runId"]
    failed = (await call(client, "run", command="/fail", wait_seconds=30))["runId"]

    async def listed(query: str) -> list[str]:
        return [line["runId"] for line in await read_json(client, f"orchestration://runs?{query}")]

    assert await listed("state=failed") == [failed]
    assert await listed("command=%2Fhello&since=1h") == [hello]
    assert await listed("grep=fail") == [failed]
    assert await listed("state=completed&grep=fail") == []
    with pytest.raises(MCPError, match="INVALID_ARGUMENT"):
        await listed("state=done")


@keeps("resources")
async def test_the_log_of_a_node_that_waits_says_what_for(client: Client) -> None:
    run = (await call(client, "run", command="/ask"))["runId"]
    _, log = await read(client, f"orchestration://runs/{run}/nodes/careful-node/log")
    assert log == "nothing has begun yet: it waits for approval: Really?"
    await call(client, "cancel", run_id=run)


@keeps("resources")
async def test_an_output_that_is_no_text_is_json_and_its_key_may_be_escaped(client: Client) -> None:
    output = {"outputs": [{"key": "größe", "schema": {"type": "object"}}]}
    definition = command(phase("work", node("only-node", agent="general-purpose", context=output)), name="/given")
    status = await call(client, "run", command=definition, executor="simulate")
    uri = f"orchestration://runs/{status['runId']}/outputs"
    value = await read_json(client, f"{uri}/größe")
    assert isinstance(value, dict)
    assert await read_json(client, f"{uri}/gr%C3%B6%C3%9Fe") == value


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("orchestration://nothing", "RESOURCE_NOT_FOUND"),
        ("orchestration://commands/../../etc/passwd", "RESOURCE_NOT_FOUND"),
        ("orchestration://commands/%2E%2E%2Fsecret", "COMMAND_NOT_FOUND"),
        ("orchestration://commands/helo", "COMMAND_NOT_FOUND"),
        ("orchestration://runs/r-1", "RUN_NOT_FOUND"),
        ("orchestration://runs/r-1/report", "RUN_NOT_FOUND"),
        ("orchestration://runs/r-1/secrets", "RESOURCE_NOT_FOUND"),
        ("file:///etc/passwd", "RESOURCE_NOT_FOUND"),
    ],
)
@keeps("resources", "errors")
async def test_a_resource_that_is_not_there_is_named(client: Client, uri: str, code: str) -> None:
    with pytest.raises(MCPError, match=code):
        await client.read_resource(uri)


@keeps("resources")
async def test_an_output_that_a_run_does_not_have_is_named(client: Client) -> None:
    status = await call(client, "run", command="/hello", wait_seconds=30)
    with pytest.raises(MCPError, match="OUTPUT_NOT_FOUND"):
        await client.read_resource(f"orchestration://runs/{status['runId']}/outputs/nothing")


@keeps("resource-names")
async def test_names_ids_and_keys_are_completed(client: Client) -> None:
    status = await call(client, "run", command="/hello", wait_seconds=30)

    async def completed(
        ref: ResourceTemplateReference | PromptReference, name: str, value: str, **given: str
    ) -> list[str]:
        found = await client.complete(ref, {"name": name, "value": value}, given)
        return found.completion.values

    assert await completed(COMMAND, "name", "he") == ["hello"]
    assert await completed(RUN, "id", "r-") == [status["runId"]]
    assert await completed(OUTPUT, "key", "", id=status["runId"]) == ["greeting"]
    assert await completed(OUTPUT, "key", "", id="r-1") == []
    assert await completed(OUTPUT, "key", "") == []
    assert await completed(NODE, "node", "first", id=status["runId"]) == ["first-greeting"]
    assert await completed(RUN, "else", "") == []
    assert await completed(PromptReference(type="ref/prompt", name="hello"), "arguments", "x") == []


def add_command(project: Path, name: str, description: str = "Says it") -> None:
    definition = command(phase("work", node("only-node", minutes=0.1)), name=f"/{name}", description=description)
    path = project / ".claude" / "commands" / "v2" / f"{name}.json"
    path.write_text(json.dumps(definition), encoding="utf-8")


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
@keeps("news")
async def test_an_older_client_is_told_on_its_connection(project: Path) -> None:
    heard: list[object] = []
    changed = anyio.Event()

    async def listen(message: object) -> None:
        nonlocal changed
        heard.append(message)
        changed.set()

    async def until(kind: type) -> None:
        nonlocal changed
        with anyio.fail_after(20):
            while not any(isinstance(message, kind) for message in heard):
                await changed.wait()
                changed = anyio.Event()
        heard.clear()

    async with connected(project, "legacy", message_handler=listen) as client:
        capabilities = client.server_capabilities
        assert capabilities.prompts is not None
        assert capabilities.resources is not None
        assert (capabilities.prompts.list_changed, capabilities.resources.list_changed) == (True, True)
        assert capabilities.resources.subscribe
        await client.list_prompts()
        add_command(project, "new")
        await until(ResourceListChangedNotification)
        add_command(project, "new", "Says it otherwise")
        await until(ResourceListChangedNotification)
        (project / ".claude" / "commands" / "v2" / "new.json").unlink()
        await until(ResourceListChangedNotification)
        status = await call(client, "run", command="/wait")
        uri = f"orchestration://runs/{status['runId']}"
        await client.subscribe_resource(uri)  # type: ignore[deprecated]  # it is what older clients do
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, open_gate, project)
            await until(ResourceUpdatedNotification)
        await client.unsubscribe_resource(uri)  # type: ignore[deprecated]


@keeps("news")
async def test_a_stream_of_subscriptions_tells_what_was_asked_for(project: Path) -> None:
    async with connected(project, "auto") as client:
        await client.list_prompts()
        status = await call(client, "run", command="/wait")
        uris = [f"orchestration://runs/{status['runId']}", "orchestration://commands", "orchestration://runs"]
        heard: set[str] = set()
        async with client.listen(
            prompts_list_changed=True, resources_list_changed=True, resource_subscriptions=uris
        ) as stream:
            with anyio.fail_after(20):
                add_command(project, "new")
                async for event in stream:
                    heard.add(getattr(event, "uri", type(event).__name__))
                    if {"PromptsListChanged", "ResourcesListChanged", uris[1]} <= heard:
                        break
                await anyio.to_thread.run_sync(open_gate, project)
                async for event in stream:
                    heard.add(getattr(event, "uri", type(event).__name__))
                    if {uris[0], uris[2]} <= heard:
                        break


@keeps("asking", "resources")
async def test_the_list_of_runs_says_which_wait_for_a_person(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_notes, "NOTE_SECONDS", 0.05)

    async def listed() -> dict[str, Any]:
        [line] = await read_json(client, "orchestration://runs")
        return line  # type: ignore[no-any-return]

    status = await call(client, "run", command="/ask", wait_seconds=0)
    with anyio.fail_after(20):
        while "questions" not in await listed():
            await call(client, "status", run_id=status["runId"], wait_seconds=1)
    assert ((await listed())["questions"], (await listed())["state"]) == (1, "running")
    decisions = [{"node": "careful-node", "answer": "yes"}]
    await call(client, "report", run_id=status["runId"], decisions=decisions)
    await ended(client)
    assert "questions" not in await listed()
