"""The commands about other machines: worker, workers, fleet.

Effects: runs workers and the server of a lab; prints results to stdout, all else to stderr.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from msgspec import structs

from engine.errors import EnvironmentFault, InputError
from engine.text.shown import clean
from mcp_server.cli import console, lazy
from mcp_server.cli.shared import OK, Json, counted, errors, finish, project_root

if TYPE_CHECKING:
    from engine.executors.fleet.connection import Address
    from mcp_server.fleet.listing import QueueLine

HOST = "127.0.0.1"
PORT = 7233
Connect = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Host and port of the fleet's server.")]


def worker(
    connect: Annotated[str, typer.Option(metavar="ADDRESS", help="Host and port of the fleet's server.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="The worker's own copy of the project.")],
    allow_project: Annotated[
        list[str], typer.Option(metavar="NAME", help="Work for the project of this name (repeatable; * for all).")
    ],
    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Kind of agents: process, claude or python (repeatable).")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="LABEL", help="Label of this worker, such as gpu (repeatable).")
    ] = None,
    slots: Annotated[int, typer.Option(min=1, max=1000, help="Agents at once.")] = 4,
    name: Annotated[str | None, typer.Option(help="Name of the worker (default: host and process).")] = None,
    namespace: Annotated[str, typer.Option(help="Namespace of the server.")] = "default",
    blobs: Annotated[str | None, typer.Option(metavar="URL", help="Store for large values and files.")] = None,
    drain: Annotated[float, typer.Option(min=0, help="Seconds to finish what has begun when asked to end.")] = 600,
    once: Annotated[bool, typer.Option("--once", help="Take one attempt, and end.")] = False,
    idle_exit: Annotated[float | None, typer.Option(min=0, help="End after this many seconds without work.")] = None,
    health: Annotated[int | None, typer.Option(metavar="PORT", help="Answer HTTP probes on this local port.")] = None,
    tls_ca: Annotated[str | None, typer.Option(metavar="FILE", help="Authority of the server's certificate.")] = None,
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="Certificate of this machine.")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Key of that certificate.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do without TLS; needs a payload key.")] = False,
) -> None:
    """Run attempts of other machines here until asked to end."""
    with errors():
        _check_installed()
        from engine.executors.fleet.connection import Address  # noqa: PLC0415 - as for all of the fleet
        from mcp_server.fleet.supervisor import supervise  # noqa: PLC0415
        from mcp_server.fleet.worker import Options  # noqa: PLC0415

        address = Address(
            connect=connect, namespace=namespace, blobs=blobs, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key,
            insecure=insecure,
        )  # fmt: skip
        _check_worker(address, kind or [], label or [], folder)
        options = Options(
            address=structs.asdict(address),
            folder=str(folder.resolve()),
            notes="",
            name=name or f"{socket.gethostname()}-{os.getpid()}",
            slots=slots,
            kinds=tuple(kind or ["process"]),
            labels=tuple(label or ()),
            projects=tuple(allow_project),
            drain=drain,
            once=once,
            idle_exit=idle_exit,
            health=health,
        )
    finish(supervise(options, lambda text: console.notes.print(clean(text), soft_wrap=True)))


def workers(connect: Connect = None, as_json: Json = False) -> None:
    """List the workers of the fleet."""
    finish(_workers(connect, as_json=as_json))


def fleet(
    action: Annotated[Literal["up", "status"], typer.Argument(help="up: run the server of a lab. status: its queues.")],
    connect: Connect = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="up: the port to listen on.")] = PORT,
    listen: Annotated[str, typer.Option(metavar="IP", help="up: 0.0.0.0 for other machines too.")] = HOST,
    insecure: Annotated[bool, typer.Option("--insecure", help="up: listen without TLS; needs a payload key.")] = False,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="up: where the server keeps its state.")] = None,
    as_json: Json = False,
) -> None:
    """Run the server of a lab, or show the queues of a fleet."""
    if action == "status":
        if port != PORT or listen != HOST or insecure or state is not None:
            raise typer.BadParameter(
                "--port, --listen, --insecure and --state are of `fleet up`; --connect names a server"
            )
        finish(_status(connect, as_json=as_json))
    if connect is not None or as_json:
        raise typer.BadParameter("--connect and --json are of `fleet status`; --listen and --port say where to listen")
    with errors():
        _check_installed()
        from mcp_server.fleet import lab  # noqa: PLC0415 - as for all of the fleet
        from mcp_server.fleet.folders import made  # noqa: PLC0415

        lab.check_listen(listen, insecure=insecure)
        file = state or Path.home() / ".local" / "state" / "orchestration-mcp" / "fleet.sqlite3"
        made(file.parent)
        lab.check_port(port)
        lab.check_state(file)
        command = lab.server_command(port=port, file=file, listen=listen)
        console.notes.print(f"the fleet's server listens on {listen}:{port}; Ctrl+C ends it", soft_wrap=True)
        lab.run_server(command)


def _check_worker(address: Address, kinds: list[str], labels: list[str], folder: Path) -> None:
    from engine.executors.fleet.connection import API_KEY_VARIABLE, check_guard  # noqa: PLC0415
    from engine.executors.fleet.sealing import KEY_VARIABLE  # noqa: PLC0415
    from engine.model.agent import LABEL, MAX_LABELS  # noqa: PLC0415

    keyed, api_key = (bool(os.environ.get(name)) for name in (KEY_VARIABLE, API_KEY_VARIABLE))
    check_guard(address, keyed=keyed, api_key=api_key)
    unknown = sorted({*kinds} - {"process", "claude", "python"})
    if unknown:
        raise InputError(f"unknown kind of agents: {', '.join(unknown)}", hint="Kinds are process, claude and python.")
    if odd := [one for one in labels if not LABEL.fullmatch(one)]:
        hint = "Labels are words of small letters, digits and . _ -, such as gpu."
        raise InputError(f"{odd[0]!r} cannot be a label", hint=hint)
    if len(labels) > MAX_LABELS:
        raise InputError(f"a worker has at most {MAX_LABELS} labels", hint="Start another worker for the rest.")
    if not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist", hint="Clone the project there first.")


def _check_installed() -> None:
    """Raise `EnvironmentFault` (FLEET_NOT_INSTALLED) without the packages of the fleet."""
    import mcp_server.project.fleet  # noqa: F401, PLC0415


def _address(connect: str | None) -> Address:
    from engine.executors.fleet.connection import Address  # noqa: PLC0415
    from mcp_server.project.fleet import address_of  # noqa: PLC0415

    if connect is not None:
        return Address(connect=connect, insecure=True)
    settings = lazy.load_settings(project_root())
    trust = lazy.open_trust(lazy.open_catalog(project_root(), settings), settings)
    del trust  # opening it resets what the user has not agreed to
    if settings.fleet.connect is None:
        raise EnvironmentFault(
            "no fleet is configured for this project",
            code="FLEET_NOT_CONFIGURED",
            hint="Name its server with `--connect`, or set `connect` in [fleet] and run `orchestrate trust`.",
        )
    return address_of(settings.fleet)


async def _lines(connect: str | None) -> list[QueueLine]:
    _check_installed()
    from engine.executors.fleet.wire import queue_of  # noqa: PLC0415
    from engine.model.agent import AgentKind  # noqa: PLC0415
    from mcp_server.fleet.listing import queue_lines  # noqa: PLC0415

    queues = [queue_of(kind) for kind in (AgentKind.PROCESS, AgentKind.CLAUDE, AgentKind.PYTHON)]
    return await queue_lines(_address(connect), queues)


async def _workers(connect: str | None, *, as_json: bool) -> int:
    found: dict[str, dict[str, object]] = {}
    for line in await _lines(connect):
        for name, at in line.workers:
            known = found.setdefault(name, {"name": name, "queues": [], "lastSeen": ""})
            known["queues"] = [*known["queues"], line.queue]  # type: ignore[misc]
            known["lastSeen"] = max(str(known["lastSeen"]), f"{at.isoformat(timespec='seconds')}Z")
    if as_json:
        console.print_json({"workers": list(found.values())})
        return OK
    for one in found.values():
        console.results.print(clean(f"{one['name']}  {', '.join(one['queues'])}  last seen {one['lastSeen']}"))  # type: ignore[arg-type]
    if not found:
        console.notes.print("no workers; start some with `orchestrate worker`", soft_wrap=True)
    return OK


async def _status(connect: str | None, *, as_json: bool) -> int:
    lines = await _lines(connect)
    if as_json:
        rows = [
            {
                "queue": one.queue,
                "waiting": one.waiting,
                "oldestSeconds": one.oldest_seconds,
                "workers": len(one.workers),
            }
            for one in lines
        ]
        console.print_json({"queues": rows})
        return OK
    for one in lines:
        text = (
            f"{one.queue}: {one.waiting} waiting, the oldest for {one.oldest_seconds:.0f} s; "
            f"{counted(len(one.workers), 'worker')}"
        )
        console.results.print(clean(text), soft_wrap=True)
    return OK
