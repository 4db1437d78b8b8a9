"""Cleans up after isolated attempts: an outcome is deleted once the journal has it.

Effects: passes commits and gone runs on to an outbox; tasks that remove branches. Outcomes of attempts that are live in
the journal are left from a crash: resuming the run turns them into reports.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import NotFound, OrchestrationError
from engine.executors.port import NO_OUTBOX
from engine.ids import attempt_id, parse_attempt_id
from engine.run import events as ev
from engine.run.state import agent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.executors.port import Outbox, Outcome
    from engine.ids import AttemptId, NodeId, RunId
    from engine.run.signals import ReportOutcome
    from engine.run.state import Run
    from engine.runtime.archive import Archive
    from engine.runtime.live_runs import LiveRuns

log = logging.getLogger(__name__)


class OutcomeCleanup:
    """Listens to the commits of live runs on behalf of an outbox."""

    def __init__(
        self,
        live_runs: LiveRuns,
        outbox: Outbox,
        report_of: Callable[[Run, NodeId, int, Outcome], ReportOutcome],
        warn: Callable[[RunId, str], None],
    ) -> None:
        """*report_of* makes the report of an outcome, *warn* adds a warning to a run."""
        self._outbox = outbox
        self._report_of = report_of
        self._warn = warn
        self._tasks: set[asyncio.Task[None]] = set()
        if outbox is not NO_OUTBOX:
            live_runs.listeners.append(self._committed)

    async def reports(self, run: Run, attempts: Sequence[AttemptId]) -> tuple[ReportOutcome, ...]:
        """The reports of those live *attempts* of *run* that ended without being recorded."""
        found = await self._outbox.found(attempts) if attempts else {}
        parsed = [(parse_attempt_id(attempt), outcome) for attempt, outcome in found.items()]
        return tuple(
            self._report_of(run, parts[1], parts[2], outcome) for parts, outcome in parsed if parts is not None
        )

    async def clean_up(self, archive: Archive) -> None:
        """Delete the outcomes that no journal waits for."""
        for attempt in await self._outbox.attempts():
            try:
                waits = await self._is_awaited(attempt, archive)
            except OrchestrationError as error:
                log.warning("cannot determine whether the outcome of %s is in the journal: %s", attempt, error)
            else:
                if not waits:
                    await asyncio.to_thread(self._outbox.recorded, attempt)

    async def _is_awaited(self, attempt: AttemptId, archive: Archive) -> bool:
        parsed = parse_attempt_id(attempt)
        if parsed is None:
            return False
        try:
            run = await archive.find(parsed[0])
        except NotFound:
            return False
        node = run.nodes.get(parsed[1])
        return node is not None and node.live is not None and node.live.number == parsed[2]

    async def close(self) -> None:
        """Wait for the tasks that have begun."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _committed(self, run: Run, events: Sequence[ev.Event]) -> None:
        for event in events:
            if not isinstance(event, (ev.AttemptSucceeded, ev.AttemptFailed)) or not self._covers(run, event):
                continue
            self._outbox.recorded(attempt_id(run.id, event.node, event.number))
            if isinstance(event, ev.AttemptSucceeded):
                self._redone(run, event)

    def _redone(self, run: Run, event: ev.AttemptSucceeded) -> None:
        records = run.nodes[event.node].attempts
        role = records[event.number - 1].role
        lost = [record.number for record in records if record.lost and record.role is role]
        if lost:
            attempts = [attempt_id(run.id, event.node, number) for number in lost]
            task = asyncio.get_running_loop().create_task(self._forget(run.id, event, attempts))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forget(self, run: RunId, event: ev.AttemptSucceeded, attempts: Sequence[AttemptId]) -> None:
        try:
            gone = await self._outbox.redone(attempts)
        except (OrchestrationError, OSError) as error:
            log.warning("cannot remove what lost attempts of %s:%s left behind: %s", run, event.node, error)
            return
        for branch in gone:
            text = f'The branch {branch} of a lost attempt was removed: attempt {event.number} of node "{event.node}"'
            log.info("%s has done its work again", text)
            self._warn(run, f"{text} has done its work again.")

    def _covers(self, run: Run, event: ev.AttemptSucceeded | ev.AttemptFailed) -> bool:
        node = run.nodes[event.node]
        undo = node.attempts[event.number - 1].role is ev.Role.COMPENSATE
        agent = agent_of(run, node.plan, undo=undo)
        return agent is not None and self._outbox.covers(agent)
