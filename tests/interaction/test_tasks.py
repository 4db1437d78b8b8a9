from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import jsonschema

from tests.interaction.projects import call, connected, ended, open_gate
from tests.interaction.promises import keeps
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client

TEXT = {"type": "string", "minLength": 1}
STATUS = {"enum": ["pending", "in_progress", "completed", "deleted"]}
CREATE = {
    "type": "object",
    "required": ["subject", "description"],
    "additionalProperties": False,
    "properties": {"subject": TEXT, "description": TEXT, "activeForm": TEXT, "metadata": {"type": "object"}},
}
UPDATE = {
    "type": "object",
    "required": ["taskId"],
    "additionalProperties": False,
    "properties": {"taskId": TEXT, "subject": TEXT, "description": TEXT, "activeForm": TEXT, "status": STATUS},
}


class TaskTools:
    """Claude Code's Task tools, and a model that does what it is told."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.ids: dict[str, str] = {}
        self.calls = 0

    def follow(self, status: dict[str, Any]) -> list[str]:
        """Make the calls of *status*; gives the subjects that it was about."""
        for line in status.get("tasks", []):
            if "create" in line:
                jsonschema.validate(line["create"], CREATE)
                assert line["create"]["subject"] == line["task"]
                assert line["task"] not in self.ids
                task_id = self.ids[line["task"]] = str(len(self.ids) + 1)
                self.tasks[task_id] = {**line["create"], "status": "pending"}
            if "update" in line:
                change = {"taskId": self.ids[line["task"]], **line["update"]}
                jsonschema.validate(change, UPDATE)
                before = dict(self.tasks[change["taskId"]])
                self.tasks[change["taskId"]].update(line["update"])
                assert self.tasks[change["taskId"]] != before, "the call changes nothing"
        return [line["task"] for line in status.get("tasks", [])]

    @property
    def states(self) -> list[str]:
        return [task["status"] for task in self.tasks.values()]


@keeps("tasks", "eras")
async def test_the_task_list_follows_the_run_and_no_call_is_told_twice(client: Client, project: Path) -> None:
    tools = TaskTools()
    started = await call(client, "run", command="/wait")
    with anyio.fail_after(30):
        seen = started
        while seen["progress"]["done"] == 0:
            seen = await call(client, "status", run_id=started["runId"], wait_seconds=30)
        tools.follow(await call(client, "status", run_id=started["runId"], view="todos"))
        assert len(tools.tasks) == 2
        assert tools.states[0] == "completed"
        again = await call(client, "status", run_id=started["runId"], view="todos")
        assert tools.follow(again) == []
        run_id = started["runId"]
        assert again["next"] == f'Then call status with run_id={run_id}, view="todos", until="phase", wait_seconds=50.'
        await anyio.to_thread.run_sync(open_gate, project)
        await ended(client)
        last = await call(client, "status", run_id=started["runId"], view="todos")
    assert len(tools.follow(last)) == 1
    assert tools.states == ["completed", "completed"]
    assert last["outputs"]


@keeps("tasks")
async def test_tasks_that_read_alike_are_told_apart_and_a_failed_one_says_so(client: Client) -> None:
    tools = TaskTools()
    nodes = [node(name, agent="failer", task="Do it") for name in ("left-node", "right-node")]
    await call(client, "run", command=command(phase("work", *nodes), name="/alike"), wait_seconds=30)
    subjects = tools.follow(await call(client, "status", view="todos"))
    assert subjects == ["Do it (left-node)", "Do it (right-node)"]
    assert all(task["subject"].startswith("❌ Do it") for task in tools.tasks.values())
    assert "hunter22" not in str(tools.tasks)


@keeps("tasks")
async def test_a_run_of_many_nodes_has_one_task_a_phase(project: Path) -> None:
    many = [node(f"node-{number}", minutes=0.1) for number in range(60)]
    definition = command(phase("many", *many), phase("last", node("closing", minutes=0.1)), name="/many")
    tools = TaskTools()
    async with connected(project, "auto") as client:
        await call(client, "run", command=definition, executor="simulate")
        tools.follow(await call(client, "status", view="todos"))
    assert [task["subject"] for task in tools.tasks.values()] == ["Phase 1: Many (60 nodes)", "Phase 2: Last (1 nodes)"]
    assert tools.states == ["completed", "completed"]
