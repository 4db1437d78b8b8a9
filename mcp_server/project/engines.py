"""The engine of a project, opened when it is first needed, and a reader for questions, which needs no write access.

Effects: opens and closes engines.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFault
from engine.statefolder.guard import found_state, is_copy
from engine.statefolder.links import state_of
from engine.statefolder.location import locate
from engine.storage.database import faults
from engine.tables.breakers import BreakerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from engine.service import Engine
    from mcp_server.project.settings import Settings

UNWRITABLE = frozenset({"DISK_FULL", "READ_ONLY", "STAMP_NOT_KEPT"})
"""Codes of faults after which runs can still be read and simulated."""


class Engines:
    """The engines of one project."""

    def __init__(
        self,
        root: Path,
        stack: contextlib.AsyncExitStack,
        *,
        open_one: Callable[[], AbstractAsyncContextManager[Engine]],
        home: Path | None,
        notes: Sequence[str] = (),
    ) -> None:
        """*stack* closes what is opened, *open_one* opens the ordinary engine; *notes* are shown with every run."""
        self._root = root
        self._stack = stack
        self._open_one = open_one
        self._home = home
        self._notes = notes
        self._engine: Engine | None = None
        self._readers: dict[bool, Engine] = {}
        """Keyed by whether there was a state folder when they were opened."""
        self._opening = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the ordinary engine is open."""
        return self._engine is not None

    async def engine(self) -> Engine:
        """The engine. Raises `EnvironmentFault` if the state folder cannot be used."""
        async with self._opening:
            if self._engine is None:
                self._engine = await self._stack.enter_async_context(self._open_one())
                self._note(self._engine)
        return self._engine

    async def reader(self) -> Engine:
        """The engine for questions: the ordinary one if there is a journal that can be written to.

        Otherwise one that reads what others record and changes nothing. Raises `EnvironmentFault` if that cannot be
        read.
        """
        from engine.opening import open_reader  # noqa: PLC0415 - for runs only

        if self._engine is not None:
            return self._engine
        kept = await asyncio.to_thread(self._only_read)
        if kept is None:
            try:
                return await self.engine()
            except EnvironmentFault as fault:  # a full disk has no room for what is made beside an open journal
                if fault.code not in UNWRITABLE:
                    raise
                kept = True
        async with self._opening:
            if kept not in self._readers:
                engine = await self._stack.enter_async_context(open_reader(self._root, home=self._home))
                self._note(engine)
                self._readers[kept] = engine
            return self._readers[kept]

    async def recorder(self) -> tuple[Engine, bool]:
        """An engine to record a simulated run, and whether the record is durable: not if nothing can be written."""
        try:
            return await self.engine(), True
        except EnvironmentFault as fault:
            if fault.code not in UNWRITABLE:
                raise
        return await self.reader(), False

    def _only_read(self) -> bool | None:
        """None if there is a journal that can be written to; otherwise whether there is a state folder to read."""
        location = locate(self._root)
        journal = location.state.journal
        writable = os.path.lexists(journal) and os.access(journal, os.W_OK) and os.access(journal.parent, os.W_OK)
        if writable and not is_copy(location.root, home=self._home):  # a question must not move a copy aside
            return None
        with faults(journal):
            return found_state(location.root, home=self._home) is not None

    def _note(self, engine: Engine) -> None:
        notes = list(self._notes)
        location = engine.location
        if location.worktree and os.path.lexists(state_of(location.project).journal):
            notes.append(f"{location.project} has a journal of its own; its runs are kept below {location.root} now")
        engine.notices.extend(notes)


def breakers_of(settings: Settings) -> dict[str, BreakerConfig]:
    """The circuit breakers that *settings* configure, by name."""
    return {
        name: BreakerConfig(
            failure_threshold=one.failure_threshold,
            reset_timeout=timedelta(milliseconds=one.reset_timeout_ms),
            monitoring_period=timedelta(milliseconds=one.monitoring_period_ms),
        )
        for name, one in settings.breakers.items()
    }
