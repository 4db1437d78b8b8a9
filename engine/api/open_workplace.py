"""An open workplace, with the agents and listeners of a program, and the runs it waits for.

Effects: starts, awaits and cancels runs through the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from engine.api.agents import ProgramExecutor
from engine.executors.shielding import uncancelled
from engine.ids import RunId
from engine.run.events import RunCreated
from engine.run.reducer import apply, create

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from engine.api.agents import Program
    from engine.api.hooks import Caller
    from engine.api.options import ContextManagerConfig
    from engine.api.port import Request, Workplace
    from engine.run.events import Event, Limits
    from engine.run.state import Run
    from engine.service import Engine

RECHECK_SECONDS = 30.0
"""Seconds after which a run is checked even if it reported no change."""
CANCEL_SECONDS = 30.0
"""How long a cancelled call waits for its run to end."""
CANCELLED = "the program cancelled its call"


class OpenPlace:
    """The state that concurrent calls share."""

    def __init__(self, workplace: Workplace, engine: Engine, caller: Caller) -> None:
        """Start without agents and listeners."""
        self.workplace = workplace
        self.engine = engine
        self.caller = caller
        self.stack = contextlib.AsyncExitStack()
        """Closes what is open."""
        self.listeners: list[Callable[[Run, Sequence[Event]], None]] = []
        self.default_program: Program | None = None
        """The program for agents that no other program names."""
        self._calling: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Listen to runs, and call hooks."""
        self.engine.live_runs.listeners.append(self._notify)
        self._calling = asyncio.create_task(self.caller.run())

    async def stop(self) -> None:
        """Stop calling hooks."""
        if self._calling is not None:
            self._calling.cancel()
            await asyncio.gather(self._calling, return_exceptions=True)

    def set_executor(self, program: Program, names: Iterable[str]) -> None:
        """Let *program* do the work of the agents *names*."""
        executor = ProgramExecutor(
            program=program,
            executors=self.engine.executors,
            find=self.workplace.agent,
            permit=self.engine.permits.attempt,
        )
        self.engine.custom_executors.update(dict.fromkeys(names, executor))

    def set_cache(self, cache: ContextManagerConfig) -> None:
        """Restart with an empty cache configured like this."""
        self.engine.values.configure(
            max_bytes=cache.max_cache_size, policy=cache.eviction_policy, compress=cache.compression_enabled
        )

    async def start(self, request: Request) -> RunId:
        """Start a run; see `Workplace.start`."""
        if self.default_program is not None:
            self._set_default_executor(self.default_program, self.workplace.agent_ids(request.source))
        return await self.workplace.start(request)

    async def resume(self, run_id: RunId, *, failed: bool, limits: Limits) -> RunId:
        """Resume a run; see `Workplace.resume`."""
        if self.default_program is not None:
            self._set_default_executor(self.default_program, (await self.engine.view(run_id)).run.plan.agents)
        await self.workplace.resume(run_id, failed=failed, limits=limits)
        return run_id

    def _set_default_executor(self, program: Program, names: Iterable[str]) -> None:
        self.set_executor(program, [name for name in names if name not in self.engine.custom_executors])

    async def to_its_end(self, starting: Coroutine[Any, Any, RunId]) -> RunId:
        """Wait for the end of the run that *starting* starts; a cancelled caller cancels the run first."""
        begun = asyncio.ensure_future(starting)
        try:
            run_id = await asyncio.shield(begun)
            await self._ended(run_id)
        except asyncio.CancelledError:
            await uncancelled(self._cancel(begun))
            raise
        return run_id

    async def _ended(self, run_id: RunId) -> None:
        view = await self.engine.view(run_id)
        if view.run.executor == "simulate":
            await self._replay(run_id)
        while not view.run.ended:
            await self.engine.wait(run_id, RECHECK_SECONDS)
            view = await self.engine.view(run_id)

    def _notify(self, run: Run, events: Sequence[Event]) -> None:
        for listener in self.listeners:
            listener(run, events)

    async def _replay(self, run_id: RunId) -> None:
        """Replay the events of a simulated run, which is recorded only after its end."""
        run: Run | None = None
        for event in await self.engine.storage.events(run_id) if self.listeners else ():
            if run is not None:
                apply(run, event)
            elif isinstance(event, RunCreated):
                run = create(event)
            if run is not None:
                self._notify(run, [event])

    async def _cancel(self, begun: asyncio.Future[RunId]) -> None:
        """Cancel the run if it has begun, and wait until it is undone."""
        with contextlib.suppress(Exception):
            run_id = await begun
            await self.engine.cancel(run_id, reason=CANCELLED)
            async with asyncio.timeout(CANCEL_SECONDS):
                while not (await self.engine.view(run_id)).run.ended:
                    await self.engine.wait(run_id, 1)
