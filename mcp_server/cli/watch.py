"""Waiting for a run, of this or of another process.

Effects: polls the engine, and shows the run on stderr in the meantime.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFault, StateError
from engine.runtime.clock import process_of
from mcp_server.cli import console

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.ids import OwnerId, RunId
    from engine.run.state import Run
    from engine.service import Engine, View

LOOK_AGAIN = 0.25
"""Seconds between two looks at a run of another process."""
ANSWER_SECONDS = 3.0
"""Seconds that the process of a run may take to read a request before the user is informed."""
SILENT_SECONDS = 30.0
"""Seconds after which it counts as silent."""


async def watch(
    engine: Engine, run_id: RunId, live: console.LiveTree | None, *, until: Callable[[Run], bool] = lambda _: False
) -> View:
    """Follow *run_id*, on *live* if given, to its end or until *until* is true of it."""

    def look(view: View) -> tuple[View, bool, console.Frame | None]:
        over = view.run.ended or until(view.run)
        return view, over, None if live is None else live.frame(view, last=over)

    with live or contextlib.nullcontext():
        while True:
            view, over, frame = await engine.read(run_id, look)
            if live is not None and frame is not None:
                live.show(frame)
            if over:
                return view
            await engine.wait(run_id, LOOK_AGAIN)


async def until_heard(engine: Engine, run_id: RunId, heard: Callable[[Run], bool]) -> None:
    """Wait until *heard* says that *run_id* has read its request, or it has ended; inform the user once if it is slow.

    A request to another process stays in the run's inbox, even if this process ends. Raises `EnvironmentFault`
    (OWNER_SILENT) if the process of the run has not read it within `SILENT_SECONDS`.
    """
    time = asyncio.get_running_loop().time
    began, informed = time(), False
    while True:
        over, owner = await engine.read(run_id, lambda view: (view.run.ended or heard(view.run), view.run.owner))
        if over:
            return
        waited = time() - began
        if waited >= SILENT_SECONDS and not await engine.archive.is_heard(run_id):
            raise silent(run_id, owner)
        if waited >= ANSWER_SECONDS and not informed:
            informed = True
            text = (
                f"process {process_of(owner)}, which runs {run_id}, has not answered yet; "
                "waiting (Ctrl+C exits, the request stays)"
            )
            console.notes.print(text, soft_wrap=True)
        await engine.wait(run_id, LOOK_AGAIN)


async def until_over(engine: Engine, run_id: RunId, ask: Callable[[], Awaitable[None]]) -> View:
    """Wait until *run_id*, which was asked to end, has ended, however long its rollback takes.

    If it has not changed for `SILENT_SECONDS`, it is asked once more, to see whether its process still responds.
    Raises as `until_heard`.
    """
    time = asyncio.get_running_loop().time
    events, since = -1, time()
    while not (view := await engine.view(run_id)).run.ended:
        if view.run.events != events:
            events, since = view.run.events, time()
        elif time() - since >= SILENT_SECONDS:
            if not await engine.archive.is_heard(run_id):
                raise silent(run_id, view.run.owner)
            since = time()
            with contextlib.suppress(StateError):  # it has ended in the meantime
                await ask()
        await engine.wait(run_id, LOOK_AGAIN)
    return view


def silent(run_id: RunId, owner: OwnerId) -> EnvironmentFault:
    """The error for a run whose process does not respond."""
    process = process_of(owner)
    return EnvironmentFault(
        f"process {process}, which runs {run_id}, has not answered for {SILENT_SECONDS:.0f} s: it hangs or is stopped",
        code="OWNER_SILENT",
        hint=f"Let the process continue (`kill -CONT {process}`), and it handles the request; or end it "
        f"(`kill -KILL {process}`) and try again: the run is then free.",
    )
