"""How the commands of the command line wait for a run, of this or of another process.

Effects: asks the engine again and again; shows the run on stderr meanwhile.
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
"""Seconds after which a run of another process is looked at again."""
ANSWER_SECONDS = 3.0
"""How long the process of a run may take to hear what it is asked before that is told."""
SILENT_SECONDS = 30.0
"""How long it may take before it counts as silent."""


async def watch(
    engine: Engine, run_id: RunId, live: console.LiveTree | None, *, until: Callable[[Run], bool] = lambda _: False
) -> View:
    """Follow *run_id*, on *live* where there is one, to its end or until *until* holds for it."""

    def look(view: View) -> tuple[View, bool, console.Picture | None]:
        over = view.run.ended or until(view.run)
        return view, over, None if live is None else live.picture(view, last=over)

    with live or contextlib.nullcontext():
        while True:
            view, over, picture = await engine.read(run_id, look)
            if live is not None and picture is not None:
                live.show(picture)
            if over:
                return view
            await engine.wait(run_id, LOOK_AGAIN)


async def until_heard(engine: Engine, run_id: RunId, heard: Callable[[Run], bool]) -> None:
    """Wait until *heard* says that *run_id* has taken what it was asked, or has ended; say so once where that is long.

    The request of another process stays in the inbox of the run, whoever leaves meanwhile. Raises `EnvironmentFault`
    (OWNER_SILENT) where the process of the run has not taken it within `SILENT_SECONDS`.
    """
    time = asyncio.get_running_loop().time
    began, told = time(), False
    while True:
        over, owner = await engine.read(run_id, lambda view: (view.run.ended or heard(view.run), view.run.owner))
        if over:
            return
        waited = time() - began
        if waited >= SILENT_SECONDS and not await engine.archive.is_heard(run_id):
            raise silent(run_id, owner)
        if waited >= ANSWER_SECONDS and not told:
            told = True
            text = (
                f"process {process_of(owner)}, which runs {run_id}, was asked and has not answered yet; "
                "waiting (Ctrl+C leaves, the request stays)"
            )
            console.notes.print(text, soft_wrap=True)
        await engine.wait(run_id, LOOK_AGAIN)


async def until_over(engine: Engine, run_id: RunId, ask: Callable[[], Awaitable[None]]) -> View:
    """Wait until *run_id*, which was asked to end, has ended, however long what it undoes takes.

    Where it has not moved for `SILENT_SECONDS`, it is asked once more, to see whether its process still listens. Raises
    as `until_heard`.
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
            with contextlib.suppress(StateError):  # it has ended meanwhile
                await ask()
        await engine.wait(run_id, LOOK_AGAIN)
    return view


def silent(run_id: RunId, owner: OwnerId) -> EnvironmentFault:
    """What there is to say where the process of a run does not listen."""
    process = process_of(owner)
    return EnvironmentFault(
        f"process {process}, which runs {run_id}, has not answered for {SILENT_SECONDS:.0f} s: it hangs or is stopped",
        code="OWNER_SILENT",
        hint=f"Let it go on (`kill -CONT {process}`), and it does what it was asked; or end it "
        f"(`kill -KILL {process}`) and ask again: the run is free then.",
    )
