"""Messages of other processes to the live runs of this one.

Effects: reads the inbox while there are live runs. A message becomes a signal, decided like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFault, StateError
from engine.ids import NodeId
from engine.model.policy import Failure, FailureKind
from engine.run import signals as sig
from engine.runtime.resource_requests import waits_for_locks
from engine.storage.port import StateRemoved
from engine.tables.claims import Holder

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.runtime.archive import Archive
    from engine.runtime.live_runs import LiveRuns
    from engine.storage.port import Message, Storage

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
"""How often a process with live runs looks for messages of other processes."""
POLLS_PER_HOLDER_CHECK = 5
"""Every so many polls, also check whether the holders of locks that our runs wait for are alive."""


class Inbox:
    """Turns messages into signals."""

    def __init__(self, storage: Storage, live_runs: LiveRuns, archive: Archive) -> None:
        self._storage = storage
        self._live_runs = live_runs
        self._archive = archive
        self._behind = False
        """Something was written that was not read completely, since storage failed."""
        self._taken: list[Message] = []
        """Messages that were read and not sent to their runs yet."""

    async def read(self) -> None:
        """Poll for messages until cancelled."""
        for turn in itertools.count():
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._poll(holders=turn % POLLS_PER_HOLDER_CHECK == 0)
            except StateRemoved:  # others already work on another database
                self._live_runs.touch()
            except EnvironmentFault as fault:  # the disk may work again next time; commits report it if not
                log.warning("cannot read messages of other processes: %s", fault)
            except Exception:  # our bug; without polling, runs could never be cancelled
                log.exception("polling for messages of other processes failed")

    async def _poll(self, *, holders: bool) -> None:
        if self._live_runs.runs and (self._behind or await self._storage.changed()):
            self._behind = True
            self._taken += await self._storage.inbox(list(self._live_runs.runs))
            held = set()
            if any(message.kind == "granted" for message in self._taken):
                held = {claim.holder for claim in await self._storage.claims() if claim.granted}
            messages, self._taken, self._behind = self._taken, [], False
            for message in messages:
                try:
                    self._handle(message, held)
                except Exception:  # the messages behind it may be fine
                    log.exception("a message of kind %r for run %s could not be handled", message.kind, message.run)
        if holders and any(waits_for_locks(run) for run in self._live_runs.runs.values()):
            await self._archive.look_after_holders()

    def _handle(self, message: Message, held: Collection[Holder]) -> None:
        # A grant may be older than the latest events of its run: only the table knows what is held.
        if message.kind == "granted" and Holder(message.run, message.payload["node"]) not in held:
            return
        signal = _signal(message)
        if signal is None:
            log.warning("ignored a message of unknown kind %r for run %s", message.kind, message.run)
            return
        with contextlib.suppress(StateError):
            self._live_runs.send(message.run, signal)


def _signal(message: Message) -> sig.Signal | None:
    """The signal that *message* stands for; None if its kind is unknown."""
    payload = message.payload
    if message.kind == "cancel":
        return sig.RequestCancel(str(payload["reason"]), bool(payload["compensate"]))
    if message.kind == "decide":
        return sig.Decide(NodeId(str(payload["node"])), str(payload["answer"]))
    if message.kind == "granted":
        return sig.GrantLocks(payload["node"])
    if message.kind == "refused":
        failure = Failure(FailureKind.ERROR, payload["code"], payload["message"], payload["hint"])
        return sig.RefuseLocks(payload["node"], failure)
    return None
