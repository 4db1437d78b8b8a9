"""Watching a run costs a few calls: what ends a wait, what an answer holds, and what a client does by `next` alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp_types import CancelledNotification, CancelledNotificationParams, Implementation

from engine.views.todos import LIST_BYTES
from mcp_server.answers.status import VIEWS
from tests.interaction.projects import ERAS, Era, call, connected, ended, open_gate
from tests.interaction.promises import keeps
from tests.interaction.task_client import TakesTasks, begin, until
from tests.support.definitions import Raw, command, node, phase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from mcp import Client

CLAUDE_CODE = Implementation(name="claude-code", version="2.1.330")
GATED = node("gate-keeper", agent="gated", minutes=0.1)
QUICK = node("quick-one", minutes=0.1)
BESIDE = command(phase("work", QUICK, GATED), name="/beside")
FAILS_BESIDE = command(
    phase("work", node("failing-node", agent="failer", minutes=0.1), GATED, continueOnError=True), name="/fails"
)
ASKS_BESIDE = command(
    phase("work", node("careful-node", minutes=0.1, approval={"message": "Really?"}), GATED), name="/asks"
)


class Lines:
    """The progress messages of a call; opens the gate once one of them has a text."""

    def __init__(self, project: Path, at: str) -> None:
        self.heard: list[str] = []
        self._news = anyio.Event()
        self._project, self._at, self._group = project, at, anyio.create_task_group()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG002 - the SDK passes all
        self.heard.append(message or "")
        self._news.set()
        if self._at and self._at in self.heard[-1]:
            self._at = ""
            self._group.start_soon(anyio.to_thread.run_sync, open_gate, self._project)

    async def came(self, text: str) -> None:
        """Wait for a line with *text*."""
        while not any(text in line for line in self.heard):
            self._news = anyio.Event()
            await self._news.wait()

    async def call(self, client: Client, tool: str, **arguments: object) -> dict[str, Any]:
        """The answer of *tool*, with this as its listener."""
        async with self._group:
            result = await client.call_tool(tool, arguments, progress_callback=self)
        assert not result.is_error, result
        answer: dict[str, Any] = result.structured_content
        return answer


@keeps("watch-until", "eras")
async def test_a_wait_until_the_end_answers_at_the_end_only(client: Client, project: Path) -> None:
    await call(client, "run", command="/wait")
    seen = await Lines(project, "Gate · 1/2").call(client, "status", wait_seconds=40, until="end")
    assert seen["state"] == "completed"


@keeps("watch-until")
async def test_a_wait_until_a_phase_answers_once_for_each_phase(client: Client, project: Path) -> None:
    answers = [await call(client, "run", command=command(phase("a", QUICK), phase("b", GATED), name="/two"))]
    with anyio.fail_after(40):
        while answers[-1]["phases"][1]["state"] == "pending":
            answers.append(await call(client, "status", wait_seconds=40))
        answers.append(await Lines(project, "B · 1/2").call(client, "status", wait_seconds=40, until="phase"))
    assert len(answers) <= 4
    assert answers[-1]["state"] == "completed"


@keeps("watch-until")
async def test_a_wait_until_a_change_answers_where_one_until_a_phase_goes_on(client: Client, project: Path) -> None:
    seen = await call(client, "run", command=BESIDE)
    while seen["progress"]["done"] == 0:
        seen = await call(client, "status", wait_seconds=40, until="change")
    assert (seen["state"], seen["progress"]["done"]) == ("running", 1)
    seen = await Lines(project, "1/2").call(client, "status", wait_seconds=40, until="phase")
    assert seen["state"] == "completed"


@keeps("watch-until")
async def test_a_failure_ends_each_wait_once_but_not_that_of_run(client: Client, project: Path) -> None:
    await call(client, "run", command=FAILS_BESIDE)
    seen = await call(client, "status", wait_seconds=40, until="end")
    assert (seen["state"], len(seen["failures"])) == ("running", 1)
    seen = await Lines(project, "1/2").call(client, "status", wait_seconds=40, until="end")
    assert seen["state"] == "degraded"
    waited = await Lines(project, "1/2").call(client, "run", command=FAILS_BESIDE, wait_seconds=40)
    assert waited["state"] == "degraded"


@pytest.mark.parametrize("waits", [True, False])
@keeps("watch-until", "decisions")
async def test_a_question_ends_a_wait_though_others_work_and_only_once(
    client: Client, project: Path, *, waits: bool
) -> None:
    asked = await call(client, "run", command=ASKS_BESIDE, wait_seconds=40 if waits else 0)
    while "decisions" not in asked:
        asked = await call(client, "status", wait_seconds=40, until="end")
    assert [line["node"] for line in asked["decisions"]] == ["careful-node"]
    assert asked["progress"]["done"] == 0
    again = await Lines(project, "0/2").call(client, "status", wait_seconds=40, until="end")
    assert (again["progress"]["done"], len(again["decisions"])) == (1, 1)


@keeps("watch-until", "host")
async def test_new_work_ends_a_wait_until_the_end(client: Client, project: Path) -> None:
    thinker = node("thinker", agent="general-purpose")
    definition = command(phase("gate", GATED), phase("work", thinker), name="/host")
    await call(client, "run", command=definition, executor="host")
    seen = await Lines(project, "Gate · 0/2").call(client, "status", wait_seconds=40, until="end")
    assert (seen["state"], [line["node"] for line in seen["work"]]) == ("running", ["thinker"])


@keeps("watch-display")
async def test_display_is_whole_at_first_and_then_holds_what_changed(client: Client, project: Path) -> None:
    definition = command(phase("a", QUICK, node("other-one", minutes=0.1)), phase("b", GATED), name="/two")
    seen = await call(client, "run", command=definition)
    assert seen["display"].count("\n") == 5
    while seen["phases"][1]["state"] == "pending":
        seen = await call(client, "status", wait_seconds=40)
    last = await Lines(project, "B · 2/3").call(client, "status", wait_seconds=40, until="end")
    assert "Do gate-keeper (completed" in last["display"]
    assert "quick-one" not in last["display"]
    assert [todo["status"] for todo in last["todos"]["todos"]] == ["completed"] * 3
    whole = await call(client, "status")
    assert "quick-one" in whole["display"]
    quiet = await call(client, "status", wait_seconds=40)
    assert quiet["display"].startswith("✅ /two completed in")
    assert "\n" not in quiet["display"]


def many(*counts: int) -> Raw:
    task = "Review the module and write down everything that matters"
    phases = (
        phase(f"phase-{place}", *(node(f"review-{place}-{number}", task=task) for number in range(count)))
        for place, count in enumerate(counts)
    )
    return command(*phases, name="/many")


def by_next(answer: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments of the call of `status` that *answer* asks for, read by the letter."""
    found = re.search(r"call status with (run_id=[^.]*)\.", answer["next"])
    if found is None:
        return None
    given = dict(re.findall(r'(\w+)="?([^",]+)"?', found[1]))
    return {**given, "wait_seconds": float(given["wait_seconds"])}


@pytest.mark.parametrize("counts", [(40,), (10, 10, 10, 10), (1,) * 40, (38, 2)])
@pytest.mark.parametrize("first", [{}, {"wait_seconds": 50}])
@pytest.mark.parametrize("era", ERAS)
@keeps("watch-cost", "eras")
async def test_a_client_that_does_what_next_says_needs_few_calls_and_few_bytes(
    project: Path, era: Era, counts: tuple[int, ...], first: dict[str, Any]
) -> None:
    (project / ".claude" / "commands" / "v2" / "many.json").write_text(json.dumps(many(*counts)), encoding="utf-8")
    calls = read = 0
    wanted: dict[str, Any] | None = {"command": "/many", **first}
    answer: dict[str, Any] = {}
    async with connected(project, era) as client:
        while wanted is not None:
            result = await client.call_tool("status" if calls else "run", wanted)
            assert not result.is_error, result
            calls += 1
            read += len(result.model_dump_json(by_alias=True, exclude_none=True).encode())
            answer = result.structured_content or {}
            assert len(json.dumps(answer["todos"], ensure_ascii=False, separators=(",", ":")).encode()) <= LIST_BYTES
            wanted = by_next(answer)
    assert answer["state"] == "completed"
    assert calls <= 4
    assert read <= 25_000


@keeps("watch-cost", "todos")
async def test_the_whole_list_is_in_view_todos_and_the_short_one_in_all_others(client: Client) -> None:
    short = await call(client, "run", command=many(10, 10, 10, 10), executor="simulate")
    assert [todo["content"].split(" (")[0] for todo in short["todos"]["todos"]][:2] == [
        "Phase 1: Phase-0",
        "Phase 2: Phase-1",
    ]
    whole = await call(client, "status", view="todos")
    assert len(whole["todos"]["todos"]) == 40
    for view in VIEWS.keys() - {"todos"}:
        assert (await call(client, "status", view=view))["todos"] == short["todos"], view


async def left(project: Path) -> str:
    """The id of a run whose session has left."""
    async with connected(project, "auto") as client:
        return str((await call(client, "run", command="/wait"))["runId"])


FIRST_CALLS: dict[str, Callable[[Client], Awaitable[dict[str, Any]]]] = {
    "validate": lambda client: call(client, "validate", source="/hello"),
    "load_command": lambda client: call(client, "load_command", source="/hello"),
    "dry_run": lambda client: call(client, "run", command="/hello", dry_run=True),
    "run": lambda client: call(client, "run", command="/hello", wait_seconds=40),
    "simulate": lambda client: call(client, "run", command="/hello", executor="simulate"),
}


@pytest.mark.parametrize("first", FIRST_CALLS)
@keeps("watch-left")
async def test_the_first_answer_of_a_session_names_a_run_that_was_interrupted(project: Path, first: str) -> None:
    run_id = await left(project)
    async with connected(project, "auto") as client:
        answer = await FIRST_CALLS[first](client)
        [line] = answer["interrupted"]
        assert (line["runId"], line["command"], line["total"]) == (run_id, "/wait", 2)
        if first in {"run", "simulate"}:
            assert f"an earlier run that was interrupted: {run_id} of /wait" in answer["next"]
        assert "interrupted" not in await FIRST_CALLS[first](client)


@keeps("watch-left")
async def test_an_answer_about_the_interrupted_run_itself_does_not_name_it_again(project: Path) -> None:
    await left(project)
    async with connected(project, "auto") as client:
        answer = await call(client, "status")
        assert answer["state"] == "interrupted"
        assert "interrupted" not in answer


@keeps("watch-left", "task-end")
async def test_a_task_whose_answer_is_the_first_names_it_whenever_it_is_fetched(project: Path) -> None:
    run_id = await left(project)
    async with connected(project, "auto", extensions=[TakesTasks()]) as client:
        created = await begin(client, command="/wait", wait_seconds=1e-9)
        await anyio.to_thread.run_sync(open_gate, project)
        for _again in range(2):
            done = await until(client, created["taskId"], "completed")
            assert [line["runId"] for line in done["result"]["structuredContent"]["interrupted"]] == [run_id]


async def cancelled_with(project: Path, reason: str | None) -> tuple[dict[str, Any], list[str]]:
    """The status of a run, and the lines of its call, after a client like Claude Code has cancelled that call."""
    lines = Lines(project, "")
    status: dict[str, Any] = {}
    async with connected(project, "legacy", client_info=CLAUDE_CODE) as client, anyio.create_task_group() as group:

        async def waits() -> None:
            await client.call_tool("run", {"command": "/wait", "wait_seconds": 40}, progress_callback=lines)

        group.start_soon(waits)
        with anyio.fail_after(30):
            await lines.came("Gate")
            for number in range(10):  # one of them is the call's
                params = CancelledNotificationParams(request_id=number, reason=reason)
                await client.session.send_notification(CancelledNotification(params=params))
            status = await call(client, "status", wait_seconds=3)
        group.cancel_scope.cancel()
    return status, lines.heard


@pytest.mark.parametrize("reason", ["AbortError: user-cancel", None])
@keeps("cancelled-run-call")
async def test_a_person_who_interrupts_a_run_call_cancels_the_run_and_was_told_so(
    project: Path, reason: str | None
) -> None:
    status, heard = await cancelled_with(project, reason)
    assert status["state"] == "cancelled"
    assert all(line.endswith(" · Esc cancels the run") for line in heard)


@pytest.mark.parametrize("reason", ["McpError: MCP error -32001: Request timed out", "timed out after 60.0s"])
@keeps("cancelled-run-call")
async def test_a_client_that_runs_out_of_time_does_not_cancel_the_run_and_is_asked_to_wait_less(
    project: Path, reason: str
) -> None:
    status, _ = await cancelled_with(project, reason)
    assert status["state"] == "running"
    assert status["next"].count("wait_seconds=50") == 1


@pytest.mark.parametrize(("name", "seconds"), [("claude-code", 3600), ("another-client", 50)])
@keeps("watch-cost", "prompts")
async def test_a_prompt_asks_for_one_call_that_is_no_longer_than_the_client_waits(
    project: Path, name: str, seconds: int
) -> None:
    async with connected(project, "auto", client_info=Implementation(name=name, version="1")) as client:
        [message] = (await client.get_prompt("hello")).messages
    assert f"Pass `wait_seconds` {seconds}: that one call waits to the end" in str(message.content)


@keeps("watch-cost")
async def test_claude_code_waits_an_hour_at_a_time_and_sees_what_esc_does(project: Path) -> None:
    async with connected(project, "legacy", client_info=CLAUDE_CODE) as client:
        started = await call(client, "run", command="/wait")
        assert 'until="end", wait_seconds=3600.' in started["next"]
        lines = Lines(project, "Gate")
        await lines.call(client, "status", wait_seconds=40, until="end")
        assert lines.heard[0].endswith(" · Esc leaves the run going")
        assert (await ended(client))["state"] == "completed"
