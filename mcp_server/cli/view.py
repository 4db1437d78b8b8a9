"""`orchestrate view`: the live page of the project's runs, in a browser.

Effects: serves on loopback until a signal comes, and opens a browser.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from engine.ids import RunId
from mcp_server.cli import console, lazy
from mcp_server.cli.shared import OK, finish, project_root

if TYPE_CHECKING:
    from mcp_server.live.access import Secrets


def view(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="Run id (default: the list of runs).")] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Loopback port; 0 picks a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser where there is a screen.")] = True,
) -> None:
    """Show runs in a browser while they go on: graph, timeline, logs, and what can be done with them."""
    finish(_view(run_id, port=port, opens=open_))


async def _view(name: str | None, *, port: int, opens: bool) -> int:
    from mcp_server.live.server import serve_page  # noqa: PLC0415 - the web server

    async with lazy.open_runs(project_root()) as project:
        run_id = None if name is None else (await project.view(RunId(name))).run.id

        def opened(known: Secrets) -> None:
            address = known.address(run_id)
            console.results.print(address, soft_wrap=True)
            console.notes.print("Ctrl+C ends the page; runs go on without it", soft_wrap=True)
            if opens and _has_screen():
                webbrowser.open(address)

        await serve_page(project, port=port, opened=opened)
    return OK


def _has_screen() -> bool:
    """Whether a browser would open a window here: a text browser would take over the terminal."""
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
