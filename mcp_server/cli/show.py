"""`orchestrate show`: everything about one node of a run.

Effects: opens the project and reads one run; prints to stdout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.ids import RunId
from mcp_server.cli import console, lazy
from mcp_server.cli.shared import OK, Json, as_data, finish, project_root

if TYPE_CHECKING:
    from engine.service import View


def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run id.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node of the run.")],
    as_json: Json = False,
) -> None:
    """Show one node of a run: its prompt, data, attempts, and cost."""
    finish(_show(RunId(run_id), node, as_json=as_json))


async def _show(run_id: RunId, name: str, *, as_json: bool) -> int:
    from mcp_server.answers.nodes import node_answer, node_lines  # noqa: PLC0415 - brings the executors and the wire

    async with lazy.open_runs(project_root()) as project:
        engine = await project.reader()

        def found(view: View) -> dict[str, Any] | str:
            node = lazy.find_node(view.run, name)
            folder = engine.location.folder_of(view.run.worktree)
            if as_json:
                return as_data(node_answer(view, node, engine.values, folder))
            return "\n".join(node_lines(view, node, engine.values, folder)) + "\n"

        shown = await engine.read(run_id, found)
    if isinstance(shown, str):
        console.write(shown)
    else:
        console.print_json(shown)
    return OK
