"""The process of a worker: serves the queues of a fleet until it is asked to end, and then finishes what it has begun.

Effects: network; runs agents; reads one JSON object from stdin, and ends at once when stdin closes, as its supervisor
is gone then. Prints one line of JSON for each change of its state. Started by `supervisor.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from temporalio.worker import FixedSizeSlotSupplier, Worker, WorkerTuner

from engine.errors import EnvironmentFault, InputError, OrchestrationError
from engine.executors.fleet import wire
from engine.executors.fleet.clones import Clones
from engine.executors.fleet.connection import Address, connect
from engine.executors.subprocesses.search import end_orphans
from engine.model.agent import AgentKind
from mcp_server.fleet.duties import BEAT, Duties, Terms, report_lost
from mcp_server.fleet.slots import SharedSlots
from mcp_server.project.logs import log_to_stderr
from mcp_server.project.user_settings import load_user_settings
from mcp_server.version import version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.executors.fleet.connection import Link

LOOK = 0.5
"""Seconds between two looks whether a worker that had no order for a while may end."""

QUIET = 1.0
"""Seconds without an order after which polls that are under way are taken to bring none."""

LEAVING = 10.0
"""Seconds that the library may take to end when no attempt is under way: its last answers may be on their way."""

log = logging.getLogger(__name__)
_supervisor = 1
"""The pipe to the supervisor."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker was started."""

    address: Mapping[str, Any]
    folder: str
    notes: str
    name: str
    slots: int = 4
    kinds: tuple[str, ...] = ("process",)
    labels: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    drain: float = 600.0
    once: bool = False
    idle_exit: float | None = None
    health: int | None = None


def main() -> None:
    """Run a worker as stdin says."""
    log_to_stderr(logging.INFO)
    logging.getLogger("temporalio").setLevel(logging.WARNING)  # its own words for what our lines say
    _keep_stdout()
    options = Options(**json.loads(sys.stdin.readline()))
    try:
        asyncio.run(_serve(options))
    except OrchestrationError as error:
        wrong = isinstance(error, InputError)
        _say(state="failed", code=error.code, message=error.message, hint=error.hint, wrong=wrong)
        sys.exit(2)
    except OSError as error:  # its folder cannot be written
        log.debug("the worker cannot work", exc_info=error)
        _say(state="failed", code="WORKER_FAILED", message=f"the worker cannot work: {error}", hint=None, wrong=False)
        sys.exit(2)


async def _serve(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(sys.stdin.fileno(), _end_with_supervisor)
    folder, notes = Path(options.folder), Path(options.notes)
    link = await connect(Address(**options.address), identity=options.name)
    await link.check_store()
    ended = await end_orphans(folder)
    lost = await report_lost(link, notes)
    kinds = [AgentKind(kind) for kind in options.kinds]
    terms = Terms(
        name=options.name, folder=folder, notes=notes, projects=frozenset(options.projects), package=version(),
        once=options.once, writes=any(kind.traits.needs_model for kind in kinds),
    )  # fmt: skip
    clones = await asyncio.to_thread(Clones, notes / "clones", folder)
    queues = wire.queues_of(kinds, options.labels)
    slots = SharedSlots(1 if options.once else options.slots, queues=len(queues))
    duties = Duties(link, terms, clones, slots, load_user_settings().agents.variables)
    await duties.room.check()
    async with contextlib.AsyncExitStack() as stack:
        if options.health is not None:
            server = await _probed(duties, options.health)
            stack.push_async_callback(_closed, server)
        how = _tuned(slots, len(queues))
        served = [await stack.enter_async_context(_worker(link, queue, duties, options, how)) for queue in queues]
        for work in (duties.watch_connection(), duties.room.watch(), _show_life(duties)):
            stack.callback(asyncio.create_task(work).cancel)
        _say(state="ready", name=options.name, queues=queues, lost=lost, ended=ended)
        await _until_over(stop, duties.ended if options.once else stop, duties, options)
        duties.close()
        _say(state="draining", name=options.name)
        await _until_quiet(slots, duties)
        await _shut_down(served, duties, options)
    _say(state="ended", name=options.name)


def _tuned(slots: SharedSlots, queues: int) -> dict[str, Any]:
    """The options of the library for *slots*."""
    few = FixedSizeSlotSupplier(1)
    tuner = WorkerTuner.create_composite(
        workflow_supplier=few, activity_supplier=slots, local_activity_supplier=few, nexus_supplier=few
    )
    return {"tuner": tuner} if queues == 1 else {"tuner": tuner, "max_concurrent_activity_task_polls": 1}


def _worker(link: Link, queue: str, duties: Duties, options: Options, tuned: dict[str, Any]) -> Worker:
    beat = timedelta(seconds=BEAT)
    return Worker(
        link.client,
        task_queue=queue,
        activities=[duties.work_order],
        identity=options.name,
        **tuned,
        graceful_shutdown_timeout=timedelta(seconds=options.drain),
        max_heartbeat_throttle_interval=beat,
        default_heartbeat_throttle_interval=beat,
    )


async def _show_life(duties: Duties) -> None:
    """Let the supervisor know each second, and when one begins, that attempts are under way and this process works."""
    shown: float | None = None
    while True:
        lease = duties.lease
        if lease is not None or shown is not None:
            _say(state="alive", lease=lease)
            shown = lease
        duties.begun.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT):
                await duties.begun.wait()


async def _until_quiet(slots: SharedSlots, duties: Duties) -> None:
    """Wait until polls that are under way bring no more orders: one for which its poll is ended would be lost."""
    seen = -1
    while seen != duties.given_back:
        seen = duties.given_back
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                await slots.unpolled.wait()
                return


async def _shut_down(served: Sequence[Worker], duties: Duties, options: Options) -> None:
    """End the library's workers, all at once: one after another, the last would go on to poll.

    Some servers answer the polls of a worker that ends (`frontend.enableCancelWorkerPollsOnShutdown`), and the library
    waits for that, for minutes if the server has gone. It has some seconds, once no attempt is under way; then this
    process ends without it.
    """
    ending = asyncio.gather(*(one.shutdown() for one in served))
    idle = 0.0
    while idle < LEAVING:
        if (await asyncio.wait([ending], timeout=LOOK))[0]:
            await ending
            return
        idle = 0.0 if duties.running else idle + LOOK
    log.warning("the fleet's server does not answer: the worker ends without it")
    _say(state="ended", name=options.name)
    os._exit(0)


async def _until_over(stop: asyncio.Event, over: asyncio.Event, duties: Duties, options: Options) -> None:
    """Wait until the worker is asked to *stop*, its one order is *over*, or it had none for long enough."""
    loop = asyncio.get_running_loop()
    last, seen = loop.time(), 0
    while not (stop.is_set() or over.is_set()):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await over.wait()
        if duties.taken != seen or duties.running:
            last, seen = loop.time(), duties.taken
        if options.idle_exit is not None and loop.time() - last >= options.idle_exit:
            return


async def _probed(duties: Duties, port: int) -> asyncio.Server:
    try:
        return await asyncio.start_server(partial(_healthy, duties), "127.0.0.1", port)
    except OSError as error:
        hint = "Choose another port for `--health`."
        raise EnvironmentFault(f"port {port} cannot be used for probes", code="PORT_UNUSABLE", hint=hint) from error


async def _healthy(duties: Duties, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a probe: whoever can connect hears that the loop of this worker is alive, and why it takes no attempts."""
    said = (duties.room.lacking or "ok").encode(errors="replace")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(said), said))
    with contextlib.suppress(OSError):
        await writer.drain()
    writer.close()


async def _closed(server: asyncio.Server) -> None:
    server.close()


def _end_with_supervisor() -> None:
    """Nothing is read from stdin: it is readable when the supervisor has ended, and wardens end the agents."""
    if not os.read(sys.stdin.fileno(), 1024):
        os._exit(3)


def _keep_stdout() -> None:
    """Keep the pipe to the supervisor for `_say`: libraries and agents write to stderr instead."""
    global _supervisor  # noqa: PLW0603 - one process, one supervisor
    _supervisor = os.dup(1)
    os.set_blocking(_supervisor, False)
    os.dup2(2, 1)


def _say(**what: object) -> None:
    """Tell the supervisor; one that is stopped does not stop this process too."""
    with contextlib.suppress(BlockingIOError):
        os.write(_supervisor, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
