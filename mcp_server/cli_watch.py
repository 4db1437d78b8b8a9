"""How the commands of the command line wait for a run, of this or of another process.

Effects: asks the engine again and again; shows the run on stderr meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from engine.runtime.clock import process_of
from mcp_server import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.ids import RunId
    from engine.run.state import Run
    from engine.service import Engine, View

LOOK_AGAIN = 0.25
"""Seconds after which a run of another process is looked at again."""
ANSWER_SECONDS = 3.0
"""How long the process of a run may take to hear what it is asked before that is told."""


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

    The request of another process stays in the inbox of the run, whoever leaves meanwhile.
    """
    time = asyncio.get_running_loop().time
    late = time() + ANSWER_SECONDS
    while True:
        over, owner = await engine.read(run_id, lambda view: (view.run.ended or heard(view.run), view.run.owner))
        if over:
            return
        if time() >= late:
            late = float("inf")
            text = (
                f"process {process_of(owner)}, which runs {run_id}, was asked and has not answered yet; "
                "waiting (Ctrl+C leaves, the request stays)"
            )
            console.notes.print(text, highlight=False, markup=False, soft_wrap=True)
        await engine.wait(run_id, LOOK_AGAIN)
