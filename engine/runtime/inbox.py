"""What other processes ask of the live runs of this one.

Effects: reads the inbox while there are live runs. A message is a signal; what follows from it is decided as ever.
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
LOOK_AT_HOLDERS = 5
"""After so many looks it is also seen whether those live who hold locks that our runs wait for."""


class Inbox:
    """Obeys messages."""

    def __init__(self, storage: Storage, live_runs: LiveRuns, archive: Archive) -> None:
        self._storage = storage
        self._live_runs = live_runs
        self._archive = archive
        self._behind = False
        """Something was written that was not looked at to the end, since storage did not let us."""
        self._taken: list[Message] = []
        """Messages that were taken and not obeyed yet."""

    async def read(self) -> None:
        """Look for messages again and again, until cancelled."""
        for turn in itertools.count():
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._poll(holders=turn % LOOK_AT_HOLDERS == 0)
            except StateRemoved:  # others work on another database already
                self._live_runs.touch()
            except EnvironmentFault as fault:  # the disk may be well again the next time; commits say it if it is not
                log.warning("other processes cannot be heard: %s", fault)
            except Exception:  # ours; who listens no more could never be asked to cancel
                log.exception("looking for messages of other processes failed")

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
                    self._obey(message, held)
                except Exception:  # the messages behind it are none the worse
                    log.exception("a message of kind %r for run %s cannot be obeyed", message.kind, message.run)
        if holders and any(waits_for_locks(run) for run in self._live_runs.runs.values()):
            await self._archive.look_after_holders()

    def _obey(self, message: Message, held: Collection[Holder]) -> None:
        # A grant may be older than what its run did since: only the table says what is held.
        if message.kind == "granted" and Holder(message.run, message.payload["node"]) not in held:
            return
        signal = _signal(message)
        if signal is None:
            log.warning("a message of unknown kind %r for run %s is ignored", message.kind, message.run)
            return
        with contextlib.suppress(StateError):
            self._live_runs.send(message.run, signal)


def _signal(message: Message) -> sig.Signal | None:
    """What *message* asks for; None where nobody knows its kind."""
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
