"""Whatever a project holds, what a client shows of our answers steers nothing, hides nothing, and forges no line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
from mcp import MCPError
from mcp_types import TextContent

from mcp_server.answers.wire import ViewName
from tests.interaction.projects import ERAS, Era, call, connected, refused
from tests.interaction.promises import keeps
from tests.interaction.test_asking import Person
from tests.interaction.test_resources import read, read_json
from tests.support.definitions import command, node, phase
from tests.support.lies import FORGED, LIE, honest, tell_lies
from tests.unit.engine.text.test_shown import deceiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mcp import Client

TEXTS = {"display", "hint", "lastOutput", "mermaid", "message", "next", "question", "report"}
"""Fields of an answer that hold lines; all others hold one."""
DATA = {"outputs"}
"""Values: they stay as they are."""
VIEWS = [view for view in get_args(ViewName) if view != "outputs"]
"""Those that hold text for people; outputs are exact."""


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> Era:
    found: Era = request.param
    return found


@pytest.fixture
def lying(project: Path) -> Path:
    return tell_lies(project)


def texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON value
    """The texts of an answer with the field that each stands in, but for those of values."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, name)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in DATA:
                yield from texts(item, key)


def check(answer: Any) -> None:  # noqa: ANN401 - any JSON value
    for name, text in texts(answer):
        honest(text)
        assert name in TEXTS or "\n" not in text, name


async def told(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """The answer of *tool*, of which every text is honest, also for whoever shows it as it came."""
    result = await client.call_tool(tool, arguments)
    [content] = result.content
    assert isinstance(content, TextContent)
    assert not deceiving(content.text) - {"\n", "\t"}
    answer = json.loads(content.text)
    assert result.structured_content == answer
    check(answer)
    return dict(answer)


async def failure(client: Client, uri: str) -> str:
    with pytest.raises(MCPError) as caught:
        await client.read_resource(uri)
    return caught.value.error.message


@keeps("shown-text", "eras")
async def test_answers_of_the_tools(lying: Path, era: Era) -> None:
    async with connected(lying, era) as client:
        await told(client, "load_command", source="/lies")
        await told(client, "validate", source="/lies")
        await told(client, "validate", source="broken.json")
        await told(client, "validate", source={"name": LIE, LIE: LIE})
        await told(client, "run", command="/lies", dry_run=True)
        status = await told(client, "run", command="/lies", wait_seconds=30)
        assert status["failures"][0]["node"] == "fails-always"
        assert "[red]x[/red] :skull:" in status["display"]
        for view in VIEWS:
            await told(client, "status", run_id=status["runId"], view=view)
        decisions = [{"node": "asks-first", "answer": "yes"}, {"node": LIE, "answer": "no"}]
        await told(client, "report", run_id=status["runId"], decisions=decisions)
        while status["state"] == "running":
            status = await told(client, "status", run_id=status["runId"], wait_seconds=30)
        assert status["state"] == "degraded"
        assert status["outputs"]["told"] == LIE, "a value stays as it is"
        for view in VIEWS:
            await told(client, "status", run_id=status["runId"], view=view)
        waiting = await told(client, "run", command="/lies")
        await told(client, "cancel", run_id=waiting["runId"], reason=LIE)
        await told(client, "status", run_id=waiting["runId"], view="report")


@keeps("shown-text", "errors")
async def test_refusals(lying: Path, era: Era) -> None:
    async with connected(lying, era) as client:
        for tool, arguments in (
            ("run", {"command": "broken.json"}),
            ("run", {"command": LIE}),
            ("run", {"command": f"/lies {LIE}", "arguments": {LIE: LIE}}),
            ("run", {"command": "/lies", LIE: LIE}),
            ("load_command", {"source": f"{LIE}.json"}),
            ("status", {"run_id": LIE[:200]}),
            ("report", {"run_id": "r-1", "results": [{"attempt": "x", LIE: LIE}]}),
            (LIE, {}),
        ):
            honest(await refused(client, tool, arguments))
        for uri in ("orchestration://runs/a%1B%5B2J", f"orchestration://{LIE}", f"orchestration://commands/{LIE}"):
            honest(await failure(client, uri))
        with pytest.raises(MCPError) as caught:
            await client.get_prompt("lies", {LIE: LIE})
        honest(caught.value.error.message)
        with pytest.raises(MCPError) as caught:
            await client.get_prompt(LIE)
        honest(caught.value.error.message)


@keeps("shown-text", "prompts", "resources")
async def test_prompts_and_resources(lying: Path, era: Era) -> None:
    async with connected(lying, era) as client:
        status = await call(client, "run", command="/lies", wait_seconds=30)
        prompts = await client.list_prompts()
        check(prompts.model_dump(mode="json"))
        prompt = await client.get_prompt("lies")
        assert prompt.description
        check({"description": prompt.description})
        resources = await client.list_resources()
        check(resources.model_dump(mode="json"))
        run = f"orchestration://runs/{status['runId']}"
        for uri in (
            "orchestration://commands",
            "orchestration://agents",
            "orchestration://runs",
            run,
            f"{run}/timeline",
        ):
            check(await read_json(client, uri))
        for uri in (f"{run}/report", f"{run}/diagram"):
            honest((await read(client, uri))[1])
        raw = (await read(client, "orchestration://commands/lies"))[1]
        assert not deceiving(raw) - {"\n"}
        assert json.loads(raw)["description"] == LIE, "a definition stays as it is"


@keeps("shown-text", "asking")
async def test_questions_and_progress(lying: Path, era: Era) -> None:
    person = Person("accept", {"answer": "yes"})
    lines: list[str] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's names
        lines.append(message or "")

    async with connected(lying, era, elicitation_callback=person) as client:
        await client.call_tool("run", {"command": "/lies", "wait_seconds": 30}, progress_callback=tell)
    [asked] = person.asked
    assert asked.message.startswith("asks-first: name")
    honest(asked.message)
    assert lines
    check(lines)


@keeps("shown-text", "host")
async def test_work_that_a_client_is_given(lying: Path, era: Era) -> None:
    definition = command(phase("work", node("thinker", agent="general-purpose") | {"task": LIE}), name="/model")
    async with connected(lying, era) as client:
        result = await client.call_tool("run", {"command": definition, "executor": "host"})
        [work] = (result.structured_content or {})["work"]
        assert FORGED in work.pop("prompt"), "what an agent is asked stays as it is"
        check({key: text for key, text in work.items() if key != "outputSchema"})
        failed = {"attempt": work["attempt"], "failure": {"code": LIE[:100], "message": LIE}}
        await told(client, "report", run_id=(result.structured_content or {})["runId"], results=[failed])
