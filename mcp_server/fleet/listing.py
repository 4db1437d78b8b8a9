"""The workers and queues that a fleet's server knows.

Effects: network.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from engine.executors.fleet.connection import Address, Link, connect, unreachable
from engine.executors.fleet.store import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


class QueueLine(msgspec.Struct, frozen=True, kw_only=True):
    """One queue of a fleet."""

    queue: str
    waiting: int
    oldest_seconds: float
    """How long the oldest attempt has been waiting."""
    workers: tuple[tuple[str, datetime], ...]
    """Names of those that serve it, with the time at which each last asked for work."""


async def queue_lines(address: Address, queues: Iterable[str]) -> list[QueueLine]:
    """The *queues* of the fleet at *address*. Raises `EnvironmentFault` (FLEET_UNREACHABLE)."""
    link = await connect(address)
    try:
        async with asyncio.timeout(SECONDS):
            return [await _line(link, queue) for queue in queues]
    except (RPCError, TimeoutError) as error:
        raise unreachable(address, error) from error


async def _line(link: Link, queue: str) -> QueueLine:
    answer = await link.client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=link.client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            report_stats=True,
        )
    )
    newest: dict[str, datetime] = {}
    for poller in answer.pollers:
        at = poller.last_access_time.ToDatetime()
        newest[poller.identity] = max(at, newest.get(poller.identity, at))
    return QueueLine(
        queue=queue,
        waiting=answer.stats.approximate_backlog_count,
        oldest_seconds=answer.stats.approximate_backlog_age.ToTimedelta().total_seconds(),
        workers=tuple(sorted(newest.items())),
    )
