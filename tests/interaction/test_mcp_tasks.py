from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp.client.extension import advertise
from mcp.server.apps import EXTENSION_ID as APPS
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CancelledNotification,
    CancelledNotificationParams,
    ElicitResult,
    SubscriptionFilter,
    SubscriptionsListenRequest,
    SubscriptionsListenRequestParams,
)

from tests.interaction.projects import ERAS, Era, call, connected, ended, open_gate
from tests.interaction.promises import keeps
from tests.interaction.task_client import EXTENSION, Answer, TakesTasks, answered, ask, begin, until
from tests.support.definitions import Raw, command, node, phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mcp import Client

YES = {"action": "accept", "content": {"answer": "yes"}}
SOON = 1e-9
"""Seconds that a call is held before it becomes a task."""
LEGACY_OR_SILENT: tuple[tuple[Era, bool], ...] = (("legacy", True), ("auto", False))


async def nobody(*_: object) -> Any:  # noqa: ANN401 - never called
    """Declares that there is somebody to ask: the questions of tasks do not come this way."""
    raise NotImplementedError


@pytest.fixture
async def client(project: Path) -> AsyncIterator[Client]:
    """One that takes tasks, and can be asked."""
    async with connected(project, "auto", extensions=[TakesTasks()], elicitation_callback=nobody) as client:
        yield client


def asked_for(name: str) -> Raw:
    """A node that waits for a yes."""
    return node(name, minutes=0.1, approval={"message": f"{name}?"})


def asking(*names: str) -> Raw:
    """A command whose nodes all wait for a yes."""
    return command(phase("work", *map(asked_for, names)), name="/asking")


@keeps("task-offer", "task-end")
async def test_a_run_that_is_waited_for_is_a_task_until_it_has_ended(client: Client, project: Path) -> None:
    created = await begin(client, command="/wait", wait_seconds=SOON)
    assert created["status"] == "working"
    assert created["ttlMs"] is None
    assert "result" not in created
    working = await until(client, created["taskId"], "working", line="Phase 2/2 Gate · 1/2")
    assert working["lastUpdatedAt"] > working["createdAt"] == created["createdAt"]
    await anyio.to_thread.run_sync(open_gate, project)
    done = await until(client, created["taskId"], "completed")
    assert done["statusMessage"] == "/wait completed · 2/2"
    status = await call(client, "status", run_id=created["taskId"])
    assert done["result"]["structuredContent"] == status
    assert (done["result"]["isError"], status["state"]) == (False, "completed")


@keeps("task-offer")
async def test_what_is_not_waited_for_is_answered_at_once(client: Client) -> None:
    assert (await call(client, "run", command="/wait"))["state"] == "running"
    assert (await call(client, "cancel", run_id=(await call(client, "status"))["runId"]))["state"] == "cancelled"
    assert (await call(client, "run", command="/wait", wait_seconds=9, dry_run=True))["dryRun"]
    assert (await call(client, "run", command="/wait", wait_seconds=9, executor="simulate"))["state"] == "completed"
    refused = await client.call_tool("run", {"command": "/cycle", "wait_seconds": 9})
    assert refused.is_error


@keeps("task-offer", "host")
async def test_work_for_the_client_is_handed_out_at_once(client: Client) -> None:
    status = await call(client, "run", command="/model", wait_seconds=9)
    assert [line["node"] for line in status["work"]] == ["thinker"]


@pytest.mark.parametrize(("era", "declares"), LEGACY_OR_SILENT)
@keeps("task-offer", "eras")
async def test_a_client_that_does_not_offer_tasks_sees_none(project: Path, era: Era, *, declares: bool) -> None:
    async with connected(project, era, extensions=[advertise(EXTENSION)] if declares else []) as client:
        assert (await call(client, "run", command="/hello", wait_seconds=30))["state"] == "completed"
        run_id = (await call(client, "status"))["runId"]
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            with pytest.raises(MCPError) as refused:
                await ask(client, method, run_id, inputResponses={})
            if era == "legacy":
                assert refused.value.error.code == METHOD_NOT_FOUND
            else:
                assert refused.value.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
                assert refused.value.error.data == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


@pytest.mark.parametrize("era", ERAS)
@keeps("task-offer", "eras")
async def test_the_extension_is_told_in_the_era_that_has_it(project: Path, era: Era) -> None:
    async with connected(project, era) as client:
        capabilities = client.session.server_capabilities
        assert capabilities is not None
        assert (capabilities.extensions or {}) == ({EXTENSION: {}, APPS: {}} if era == "auto" else {})


@keeps("task-end")
async def test_a_run_that_failed_is_a_completed_task_with_the_answer_of_the_tool(client: Client) -> None:
    definition = command(phase("work", node("failing-node", agent="failer", minutes=0.1)), name="/made")
    done = await until(client, (await begin(client, command=definition, wait_seconds=SOON))["taskId"], "completed")
    result = done["result"]
    assert (result["isError"], result["structuredContent"]["state"]) == (False, "failed")
    assert "hunter22" not in str(done)


@keeps("task-end", "one-project")
async def test_every_server_of_the_project_knows_the_task_and_after_the_end_of_its_own(
    client: Client, project: Path
) -> None:
    async with connected(project, "auto", extensions=[TakesTasks()]) as other:
        task_id = (await begin(other, command="/wait", wait_seconds=SOON))["taskId"]
        await until(client, task_id, "working", line="Gate")
    done = await until(client, task_id, "completed")
    assert done["result"]["structuredContent"]["state"] == "interrupted"
    assert "resume" in done["result"]["structuredContent"]["next"]


@keeps("task-end")
async def test_a_task_ends_once_though_its_run_goes_on(client: Client, project: Path) -> None:
    async with connected(project, "auto", extensions=[TakesTasks()]) as other:
        task_id = (await begin(other, command="/wait", wait_seconds=SOON))["taskId"]
        await until(client, task_id, "working", line="Gate")
    await until(client, task_id, "completed")
    assert (await call(client, "resume", run_id=task_id))["state"] == "running"
    still = await ask(client, "tasks/get", task_id)
    assert (still["status"], still["result"]["structuredContent"]["state"]) == ("completed", "running")
    assert await ask(client, "tasks/cancel", task_id) == {}
    await anyio.to_thread.run_sync(open_gate, project)
    assert (await ended(client))["state"] == "completed"


@keeps("task-questions")
async def test_a_task_asks_all_that_is_open_and_takes_the_answers_one_by_one(client: Client) -> None:
    created = await begin(client, command=asking("left", "right"), wait_seconds=SOON)
    assert "inputRequests" not in created
    task = await until(client, created["taskId"], "input_required")
    assert len(task["inputRequests"]) == 2
    assert "waiting for your answer" in task["statusMessage"]
    [form] = [form for key, form in task["inputRequests"].items() if ":left:" in key]
    assert (form["method"], form["params"]["message"]) == ("elicitation/create", "left: left?")
    assert form["params"]["requestedSchema"]["properties"]["answer"]["enum"] == ["yes", "no"]
    assert await ask(client, "tasks/get", task["taskId"]) == task
    assert await answered(client, task, left=YES) == {}
    rest = await ask(client, "tasks/get", task["taskId"])
    assert rest["status"] == "input_required"
    assert set(rest["inputRequests"]) == {key for key in task["inputRequests"] if ":right:" in key}
    await answered(client, rest, right=YES)
    assert (await until(client, task["taskId"], "completed"))["result"]["structuredContent"]["state"] == "completed"


@keeps("task-questions")
async def test_who_declines_says_no_and_other_answers_are_ignored(client: Client) -> None:
    created = await begin(client, command=asking("left"), wait_seconds=SOON)
    task = await until(client, created["taskId"], "input_required")
    assert await ask(client, "tasks/update", task["taskId"], inputResponses={"other": YES, "more": {"roots": []}}) == {}
    assert await ask(client, "tasks/get", task["taskId"]) == task
    await answered(client, task, left={"action": "decline"})
    done = await until(client, task["taskId"], "completed")
    assert done["result"]["structuredContent"]["state"] == "failed"
    assert await answered(client, task, left=YES) == {}


@pytest.mark.parametrize("response", [{"action": "cancel"}, {"action": "accept", "content": {"answer": "perhaps"}}])
@keeps("task-questions", "decisions")
async def test_a_question_that_was_closed_ends_the_task_and_is_left_to_report(
    project: Path, response: dict[str, Any]
) -> None:
    async def agrees(*_: object) -> ElicitResult:
        return ElicitResult.model_validate(YES)

    async with connected(project, "auto", extensions=[TakesTasks()], elicitation_callback=agrees) as client:
        created = await begin(client, command=asking("left"), wait_seconds=SOON)
        task = await until(client, created["taskId"], "input_required")
        await answered(client, task, left=response)
        done = await until(client, task["taskId"], "completed")
        told = done["result"]["structuredContent"]
        assert [line["node"] for line in told["decisions"]] == ["left"]
        await answered(client, task, left=YES)
        assert "decisions" in await call(client, "status", run_id=task["taskId"])
        decisions = [{"node": "left", "answer": "yes"}]
        await call(client, "report", run_id=task["taskId"], decisions=decisions)
        assert (await ask(client, "tasks/get", task["taskId"]))["status"] == "completed"
        assert (await ended(client))["state"] == "completed"


@keeps("task-questions", "decisions")
async def test_where_nobody_can_be_asked_a_task_ends_with_the_question(project: Path) -> None:
    later = command(phase("first", node("gate-keeper", agent="gated")), phase("work", asked_for("left")), name="/later")
    async with connected(project, "auto", extensions=[TakesTasks()]) as client:
        task_id = (await begin(client, command=later, wait_seconds=SOON))["taskId"]
        await anyio.to_thread.run_sync(open_gate, project)
        done = await until(client, task_id, "completed")
        assert [line["node"] for line in done["result"]["structuredContent"]["decisions"]] == ["left"]


@keeps("task-cancel")
async def test_cancelling_a_task_cancels_its_run_and_is_no_more_after_the_end(client: Client) -> None:
    task_id = (await begin(client, command="/wait", wait_seconds=SOON))["taskId"]
    await until(client, task_id, "working", line="Gate")
    assert await ask(client, "tasks/cancel", task_id) == {}
    done = await until(client, task_id, "cancelled")
    assert done["statusMessage"] == "cancelled: its task was cancelled"
    assert "result" not in done
    assert await ask(client, "tasks/cancel", task_id) == {}
    assert (await ask(client, "tasks/get", task_id))["status"] == "cancelled"


@keeps("task-cancel")
async def test_a_task_of_an_interrupted_run_cannot_be_cancelled_into_a_rollback(client: Client, project: Path) -> None:
    async with connected(project, "auto", extensions=[TakesTasks()]) as other:
        task_id = (await begin(other, command="/wait", wait_seconds=SOON))["taskId"]
        await until(client, task_id, "working", line="Gate")
    assert await ask(client, "tasks/cancel", task_id) == {}
    assert (await call(client, "status", run_id=task_id))["state"] == "interrupted"


@keeps("task-cancel", "cancelled-run-call")
async def test_cancelling_the_call_that_became_a_task_does_not_cancel_the_run(client: Client, project: Path) -> None:
    task_id = (await begin(client, command="/wait", wait_seconds=SOON))["taskId"]
    for number in range(10):  # one of them is the call's
        params = CancelledNotificationParams(request_id=number)
        await client.session.send_notification(CancelledNotification(params=params))
    await until(client, task_id, "working", line="Gate")
    await anyio.to_thread.run_sync(open_gate, project)
    await until(client, task_id, "completed")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tasks/get", {"taskId": "r-000000000000"}),
        ("tasks/cancel", {"taskId": "r-000000000000"}),
        ("tasks/update", {"taskId": "r-000000000000", "inputResponses": {}}),
        ("tasks/get", {"taskId": ""}),
        ("tasks/get", {"taskId": "../journal"}),
        ("tasks/get", {"taskId": "x" * 10_000}),
        ("tasks/update", {"taskId": "RUN"}),
        ("tasks/update", {"taskId": "RUN", "inputResponses": [1]}),
        ("tasks/update", {"taskId": "RUN", "inputResponses": {"ASKED": "yes"}}),
        ("tasks/update", {"taskId": "RUN", "inputResponses": {"ASKED": {"action": "perhaps"}}}),
    ],
)
@keeps("task-errors")
async def test_what_is_no_task_or_no_answer_is_invalid(client: Client, method: str, params: dict[str, Any]) -> None:
    created = await begin(client, command=asking("left"), wait_seconds=SOON)
    task = await until(client, created["taskId"], "input_required")
    filled = {"RUN": task["taskId"], "ASKED": next(iter(task["inputRequests"]))}
    sent = {name: filled.get(str(value), value) for name, value in params.items()}
    if isinstance(sent.get("inputResponses"), dict):
        sent["inputResponses"] = {filled.get(key, key): value for key, value in sent["inputResponses"].items()}
    with pytest.raises(MCPError) as refused:
        await ask(client, method, sent.pop("taskId"), **sent)
    assert refused.value.error.code == INVALID_PARAMS
    assert len(refused.value.error.message) < 300
    assert await ask(client, "tasks/get", task["taskId"]) == task


@pytest.mark.parametrize("method", ["tasks/list", "tasks/result"])
@keeps("task-errors")
async def test_nobody_can_list_tasks(client: Client, method: str) -> None:
    with pytest.raises(MCPError) as refused:
        await ask(client, method, "r-000000000000")
    assert refused.value.error.code == METHOD_NOT_FOUND


@keeps("task-errors")
async def test_news_of_tasks_are_refused_to_who_does_not_offer_them(project: Path) -> None:
    wanted = SubscriptionFilter.model_validate({"taskIds": ["r-000000000000"]})
    async with connected(project, "auto") as client:
        request = SubscriptionsListenRequest(params=SubscriptionsListenRequestParams(notifications=wanted))
        with pytest.raises(MCPError) as refused:
            await client.session.send_request(request, Answer)
        assert refused.value.error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
