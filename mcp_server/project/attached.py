"""Listeners of the runs of a project besides its clients: traces and metrics.

Effects: those of what is attached. Each is loaded only where it was asked for, and none of them can harm a run.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from mcp_server.project.telemetry import Wanted, wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.service import Engine

EXTRA = "otel"
log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def attached(engine: Engine, *, reads: bool = False) -> AsyncIterator[None]:
    """Attach to *engine*, for the length of the block, what its user asks for; nothing to one that only *reads*."""
    async with contextlib.AsyncExitStack() as stack:
        asked = wanted(os.environ)
        for note in asked.notes:
            log.warning("%s", note)
        if asked and not reads:
            await _trace(engine, asked, stack)
        yield


async def _trace(engine: Engine, asked: Wanted, stack: contextlib.AsyncExitStack) -> None:
    try:
        from mcp_server.project.otel import Telemetry  # noqa: PLC0415 - for those who ask
    except ImportError as error:
        log.warning(
            "traces and metrics need the extra %s: pip install 'orchestration-mcp[%s]' (%s)", EXTRA, EXTRA, error
        )
        return
    try:
        telemetry = Telemetry(asked)
    except ValueError as error:  # of a variable
        log.warning("there are no traces and metrics, because a variable of OpenTelemetry is not valid: %s", error)
        return
    telemetry.attach(engine)
    stack.push_async_callback(telemetry.close)
