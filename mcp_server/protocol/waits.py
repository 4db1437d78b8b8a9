"""Calls that wait for a run: until the client has to know something, asking the person there what the run waits for.

Effects: reads runs, sends progress and questions, and passes answers on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_types import InputRequiredResult

from mcp_server.answers.follow import Seen, follow, seen_in
from mcp_server.answers.guidance import ESC_CANCELS, ESC_LEAVES
from mcp_server.protocol.elicitation import ask, asked_run
from mcp_server.protocol.results import is_claude_code, takes_tasks

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from engine.ids import RunId
    from mcp_server.answers.wire import Until
    from mcp_server.project.project import Project
    from mcp_server.protocol.session import Session

    Ctx = Context[Session, Any]

HELD_SECONDS = 60.0
"""How long a call of `run` waits, and Esc cancels the run, until it becomes a task if the client supports them."""
NOTHING = Seen(events=-1, phases=())


async def wait_for_end(
    ctx: Ctx, project: Project, run_id: RunId, *, seconds: float, detached: bool
) -> InputRequiredResult | None:
    """Wait for the end of a run, or until it needs the client; returns a question that the client has to be asked."""
    note = _note(ctx, ESC_LEAVES if detached else ESC_CANCELS)

    async def wait(longest: float) -> None:
        await follow(project, run_id, ctx.report_progress, seconds=longest, seen=NOTHING, at_failures=False, note=note)

    if takes_tasks(ctx.request_context):  # the task asks
        await wait(min(seconds, HELD_SECONDS))
        return None
    await wait(seconds)
    while asked := await ask(ctx, project, run_id):
        if isinstance(asked, InputRequiredResult):
            return asked
        await wait(seconds)
    return None


async def wait_for_news(
    ctx: Ctx, project: Project, run_id: RunId | None, *, seconds: float, until: Until
) -> tuple[RunId, InputRequiredResult | None]:
    """Wait until there is something in a run that the client has to know; the run, and a question for the client.

    If it knows nothing of the run yet, that is what happens from now on, or has already failed, or is asked.
    """
    session: Session = ctx.request_context.lifespan_context
    engine = await project.reader()
    wanted = await asked_run(ctx, project) or run_id
    found, current = await engine.read(wanted, lambda view: (view.run.id, seen_in(view.run)))
    seen = session.seen.get(found) or Seen(events=current.events, phases=current.phases)
    handed = session.orders.get(found, ())
    note = _note(ctx, ESC_LEAVES)

    async def wait() -> None:
        await follow(
            project, found, ctx.report_progress, seconds=seconds, seen=seen, until=until, handed=handed, note=note
        )

    await wait()
    while asked := await ask(ctx, project, found):
        if isinstance(asked, InputRequiredResult):
            return found, asked
        await wait()
    return found, None


def _note(ctx: Ctx, text: str) -> str:
    return text if is_claude_code(ctx.request_context) else ""
