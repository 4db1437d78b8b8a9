"""Listeners of the runs of a project besides its clients: traces and metrics, and notifications.

Effects: those of what is attached. Each is loaded only where it was asked for, and none of them can harm a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING

from engine.executors.environment import given_variables, own_variables
from mcp_server.project.settings import SETTINGS_FILE
from mcp_server.project.telemetry import Wanted, wanted
from registry.packaged.extras import how_to_install

if TYPE_CHECKING:
    from engine.service import Engine
    from mcp_server.project.otel import Telemetry
    from mcp_server.project.settings import NotifySettings, Settings
    from mcp_server.project.trusted import Trust

NOTIFY = "notify"
TARGETS = ("command", "webhook")
log = logging.getLogger(__name__)


async def attach(
    engine: Engine, settings: Settings, trust: Trust, own: NotifySettings, last: contextlib.AsyncExitStack
) -> None:
    """Attach to *engine* what its user asks for; *last* is left after the engine has closed, whose end is news as well.

    *settings* are those of the project, *own* what the user's own say about notifications.
    """
    asked = wanted(os.environ)
    for note in asked.notes:
        log.warning("%s", note)
    if asked:
        await _trace(engine, asked, last)
    _notify(engine, settings, trust, own, last)


def _notify(
    engine: Engine, settings: Settings, trust: Trust, own: NotifySettings, stack: contextlib.AsyncExitStack
) -> None:
    """Send notifications; those that the project's file asks for only after a yes, which is said."""
    if NOTIFY in settings.guarded and not trust.accepts(trust.setting(NOTIFY)):
        engine.notices.append(
            f"the notifications that {SETTINGS_FILE} sets wait for your yes: run `orchestrate trust` in a terminal"
        )
    if any((own.command, own.webhook, settings.notify.command, settings.notify.webhook)):
        from mcp_server.project.notifying import Notifier  # noqa: PLC0415 - for those who ask

        file = settings.guarded.get(NOTIFY, {})
        of_file, of_environment = (
            settings.notify.model_copy(
                update={key: None for key in TARGETS if (f"{NOTIFY}.{key}" in file) is not guarded}
            )
            for guarded in (True, False)
        )
        notifier = Notifier(engine)
        notifier.add(own, own_variables)
        notifier.add(of_environment, own_variables)
        notifier.add(of_file, given_variables, lambda: trust.accepts(trust.setting(NOTIFY)))
        stack.push_async_callback(notifier.close)


async def _trace(engine: Engine, asked: Wanted, stack: contextlib.AsyncExitStack) -> None:
    try:
        telemetry = await asyncio.to_thread(_telemetry, asked)
    except ImportError as error:
        text = "traces and metrics need packages that are not installed: %s. %s"
        log.warning(text, error.name, how_to_install("otel"))
    except (RuntimeError, ValueError) as error:  # of a variable
        log.warning("there are no traces and metrics, because a variable of OpenTelemetry is not valid: %s", error)
    else:
        telemetry.attach(engine)
        stack.push_async_callback(telemetry.close)


def _telemetry(asked: Wanted) -> Telemetry:
    """Load what exports: in a thread, as it takes a quarter of a second."""
    from mcp_server.project.otel import Telemetry  # noqa: PLC0415 - for those who ask

    return Telemetry(asked)
