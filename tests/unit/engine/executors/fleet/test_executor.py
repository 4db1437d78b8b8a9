"""What is asked of the server about an attempt that runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import structs
from temporalio.api.workflowservice.v1 import DescribeActivityExecutionResponse
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from engine.executors.fleet import executor as executors
from engine.executors.fleet import wire
from engine.executors.fleet.connection import Address, Link
from engine.executors.fleet.executor import Fleet, FleetExecutor
from engine.executors.fleet.sealing import Sealer
from engine.executors.port import Outcome, WorkOrder
from engine.ids import AttemptId, NodeId, RunId
from engine.model.agent import Agent, AgentKind

if TYPE_CHECKING:
    import pytest
    from temporalio.api.workflowservice.v1 import DescribeActivityExecutionRequest

ORDER = WorkOrder(
    run=RunId("r-1"),
    node=NodeId("a"),
    attempt=AttemptId("r-1:a#1"),
    role="forward",
    agent=Agent(id="x", kind=AgentKind.PROCESS, command=("x",), timeout=timedelta(seconds=5)),
    task="Do it",
    inputs={},
    outputs=(),
    produced={},
    project=Path("/coordinator"),
    timeout=timedelta(minutes=2),
    max_cost_usd=None,
    cost_usd=0.0,
)
TOOK = timedelta(milliseconds=1500)


class Server:
    """The library's client, and the handle of the one attempt: it ends once all answers were given."""

    namespace = "default"
    data_converter = DataConverter.default

    def __init__(self, *answers: DescribeActivityExecutionResponse | RPCError) -> None:
        self._answers = [*answers]
        self.asked: list[bytes] = []
        self._over = asyncio.Event()
        self.workflow_service = self

    async def start_activity(self, *_given: object, **_more: object) -> Server:
        """See the library."""
        return self

    async def describe_activity_execution(
        self,
        request: DescribeActivityExecutionRequest,
        *,
        timeout: timedelta,  # noqa: ASYNC109 - the library's
    ) -> DescribeActivityExecutionResponse:
        """See the library."""
        assert timeout > timedelta(seconds=20)
        self.asked.append(request.long_poll_token)
        if not self._answers:
            self._over.set()
            await asyncio.Event().wait()
        answer = self._answers.pop(0)
        if isinstance(answer, RPCError):
            raise answer
        return answer

    async def result(self) -> bytes:
        """See the library."""
        await self._over.wait()
        answer = structs.replace(wire.answer_of(Outcome(), worker="w"), took=TOOK)
        return b"=0" + wire.encode(answer)


class Heard:
    """A heartbeat that notes who has begun the attempt."""

    def __init__(self) -> None:
        self.workers: list[str] = []
        self.ages: list[timedelta] = []

    def __call__(self, *_what: object, **_more: object) -> None:
        """Hear something."""

    def started(self, worker: str, ago: timedelta = timedelta()) -> None:
        """Hear who has begun it."""
        self.workers.append(worker)
        self.ages.append(ago)


def described(token: bytes = b"", worker: str = "", *, waited: int = 0) -> DescribeActivityExecutionResponse:
    """What the server says of an attempt that *waited* so many seconds; its clock shows 1970."""
    answer = DescribeActivityExecutionResponse(long_poll_token=token)
    answer.info.last_worker_identity = worker
    answer.info.schedule_time.FromSeconds(3600)
    answer.info.last_started_time.FromSeconds(3600 + waited)
    return answer


async def test_the_server_is_asked_for_news_of_an_attempt_and_not_for_what_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits, begun = described(b"waits"), described(b"begun", "w", waited=7)
    nothing_new = DescribeActivityExecutionResponse()
    away = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
    server, heard = Server(waits, nothing_new, begun, away), Heard()

    async def connected(_address: Address) -> Link:
        return Link(cast("Any", server), Sealer(None), None)

    monkeypatch.setattr(executors, "connect", connected)
    monkeypatch.setattr(executors, "_LOOK", 0.0)
    fleet = Fleet(
        address=Address(connect="127.0.0.1:1"), kinds=frozenset({AgentKind.PROCESS}), project="p", package="1"
    )
    outcome = await FleetExecutor(fleet, lambda _agent: None, cast("Any", None)).execute(ORDER, heard)
    assert outcome.failure is None
    assert server.asked == [b"", b"waits", b"waits", b"begun", b""]
    assert heard.workers == ["w", "w"]  # when the server told of it, and with the answer
    # It was asked for a moment ago and then waited seven seconds: only durations of the server's clock count.
    assert timedelta(seconds=-7) < heard.ages[0] < timedelta(0)
    assert heard.ages[1] == TOOK
