"""A client that does the work of a list and a loop: work orders, the one task of each, and pages of items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.interaction.projects import BYTES_OF_10_000_TOKENS, call, refused, text_of
from tests.interaction.promises import keeps
from tests.interaction.test_tasks import TaskTools
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client

STRINGS = {"type": "array", "items": {"type": "string"}}
PASSED = {"type": "object", "required": ["passed"], "properties": {"passed": {"type": "boolean"}}}


@pytest.fixture(autouse=True)
def reviewer(project: Path) -> None:
    """A model agent."""
    file = project / ".claude" / "agents" / "reviewer.md"
    file.write_text("---\nname: reviewer\ndescription: Reviews\ntools: Read\n---\nYou review.\n", encoding="utf-8")


def covering(**shape: object) -> dict[str, Any]:
    """A node that finds files, and one that covers each of them."""
    found = {"outputs": [{"key": "files", "schema": STRINGS}]}
    find = node("find", agent="reviewer", task="Find files", context=found)
    cover = node("cover", "find", agent="reviewer", task="Cover ${file}")
    cover["context"] = {"inputs": [{"key": "files"}], "outputs": [{"key": "covered"}]}
    cover["forEach"] = {"items": "files", "as": "file", "key": "$", "maxItems": 50, **shape}
    return command(phase("one", find, cover), name="/cover")


async def begun(client: Client, definition: dict[str, Any]) -> dict[str, Any]:
    return await call(client, "run", command=definition, executor="host", wait_seconds=30)


async def report(client: Client, status: dict[str, Any], *results: dict[str, Any]) -> dict[str, Any]:
    return await call(client, "report", run_id=status["runId"], results=list(results))


@keeps("host", "tasks")
async def test_a_list_is_worked_on_as_many_at_a_time_as_it_allows_and_is_one_task(client: Client) -> None:
    tools = TaskTools()
    status = await begun(client, covering(maxParallelism=2))
    (find,) = status["work"]
    files = [f"f{number}.py" for number in range(5)]
    status = await report(client, status, {"attempt": find["attempt"], "outputs": {"files": files}})
    waiting = list(status["work"])
    asked = [work["node"] for work in waiting]
    assert asked == ["cover/1", "cover/2"]
    assert "Cover f0.py" in waiting[0]["prompt"]
    while waiting:
        work = waiting.pop()
        result = {"attempt": work["attempt"], "outputs": {"covered": work["node"]}}
        status = await report(client, status, result)
        fresh = status.get("work", [])
        asked += [order["node"] for order in fresh]
        waiting += fresh
        assert len(waiting) <= 2
        tools.follow(await call(client, "status", run_id=status["runId"], view="todos"))
    assert sorted(asked) == [f"cover/{number}" for number in range(1, 6)]
    assert status["outputs"]["covered"] == {name: f"cover/{at}" for at, name in enumerate(files, 1)}
    assert tools.states == ["completed", "completed"], "one for the list, whatever its length"


@keeps("host")
async def test_a_failed_item_is_reported_and_repeated_alone(client: Client) -> None:
    status = await begun(client, covering(continueOnError=True))
    status = await report(client, status, {"attempt": status["work"][0]["attempt"], "outputs": {"files": ["a", "b"]}})
    first, second = status["work"]
    failure = {"kind": "error", "code": "TOO_HARD", "message": "It is too hard"}
    done = {"attempt": second["attempt"], "outputs": {"covered": "yes"}}
    status = await report(client, status, {"attempt": first["attempt"], "failure": failure}, done)
    assert status["state"] == "degraded"
    assert [line["node"] for line in status["failures"]] == ["cover/1"]
    status = await call(client, "resume", run_id=status["runId"], failed=True)
    again = status if status.get("work") else await call(client, "status", run_id=status["runId"], wait_seconds=30)
    (order,) = again["work"]
    assert order["node"] == "cover/1"
    status = await report(client, again, {"attempt": order["attempt"], "outputs": {"covered": "now"}})
    assert (status["state"], status["outputs"]["covered"]) == ("completed", {"a": "now", "b": "yes"})


@keeps("host")
async def test_a_loop_asks_again_until_its_condition_holds(client: Client) -> None:
    fix = node("fix", agent="reviewer", task="Fix it, try ${iteration}")
    fix["context"] = {"outputs": [{"key": "result", "schema": PASSED}]}
    fix["repeat"] = {"until": "result.passed == true", "maxIterations": 5}
    status = await begun(client, command(phase("one", fix), name="/fix"))
    for number in (1, 2, 3):
        (order,) = status["work"]
        assert (order["node"], f"try {number}" in order["prompt"]) == (f"fix/{number}", True)
        outputs = {"result": {"passed": number == 3}}
        status = await report(client, status, {"attempt": order["attempt"], "outputs": outputs})
    assert (status["state"], status["outputs"]["result"]) == ("completed", {"passed": True})


@keeps("few-tokens")
async def test_every_view_of_a_long_list_stays_short(client: Client) -> None:
    definition = covering(maxItems=1000, maxParallelism=4)
    given = {"command": definition, "executor": "host", "wait_seconds": 30}
    assert "Pass `max_cost_usd` or `max_attempts_total`" in await refused(client, "run", given)
    status = await call(client, "run", **given, max_attempts_total=2000)
    files = [f"package/module/file-number-{number}.py" for number in range(1000)]
    status = await report(client, status, {"attempt": status["work"][0]["attempt"], "outputs": {"files": files}})
    for view in ("summary", "todos", "nodes", "outputs", "timeline", "report"):
        result = await client.call_tool("status", {"run_id": status["runId"], "view": view})
        assert not result.is_error, text_of(result)
        assert len(text_of(result)) < BYTES_OF_10_000_TOKENS
    page = await call(client, "status", run_id=status["runId"], view="nodes", node="cover", offset=996)
    assert [line["id"] for line in page["nodes"]] == [f"cover/{number}" for number in range(997, 1001)]
