"""The server of a lab: Temporal's development server with the settings that a fleet needs.

Effects: starts a program that listens on a port. It has no TLS and no users of its own: it is for one machine, or for
a private network whose machines have a payload key.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from engine.errors import EnvironmentFault, InputError, StateError
from engine.executors.fleet.sealing import KEY_VARIABLE, parse_key
from mcp_server.fleet.folders import unusable
from mcp_server.project.loopback import loopback
from registry.packaged.extras import how_to_install

SETTINGS = (
    "matching.enableFairness=true",
    "matching.useNewMatcher=true",
    'matching.longPollExpirationInterval="10s"',
    "history.visibilityProcessorMaxPollRPS=1",
    "history.visibilityProcessorSchedulerWorkerCount=1",
)
"""A run that comes later does not wait behind all attempts of an earlier one. And the last polls of a machine that is
gone, to which attempts could be handed, are forgotten in ten seconds instead of sixty: with a short heartbeat, one
attempt after another would be lost to it. The server's list of activities, which a fleet does not ask for, is brought
up to date each second, by one writer: written with each change of an attempt it takes a third of the server's time."""
PRAGMAS = ("journal_mode=wal", "synchronous=1", "locking_mode=exclusive", "wal_autocheckpoint=10000")
"""Many times the throughput of the default; a crash of the machine may lose the last moments of what is under way."""
COLLECTOR = {"GOGC": "400"}
"""The server is a Go program that collects garbage at twice its live memory: at five times it takes 100 MB more, and a
tenth less time."""


def server_program() -> str:
    """The program of the server, beside our interpreter or on the PATH. Raises `EnvironmentFault`."""
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if beside.is_file() else shutil.which("temporal")
    if found is None:
        raise EnvironmentFault(
            "the program `temporal` was not found",
            code="FLEET_NOT_INSTALLED",
            hint=how_to_install("fleet-server"),
        )
    return found


def server_command(*, port: int, file: Path, listen: str = "127.0.0.1", ui: bool = False) -> list[str]:
    """The command line of the server; *file* keeps its state."""
    settings = [word for one in SETTINGS for word in ("--dynamic-config-value", one)]
    pragmas = [word for one in PRAGMAS for word in ("--sqlite-pragma", one)]
    place = ["--ip", listen, "--port", str(port), "--db-filename", str(file), "--log-level", "error"]
    return [server_program(), "server", "start-dev", *place, *settings, *pragmas, *([] if ui else ["--headless"])]


def check_listen(listen: str, *, insecure: bool) -> None:
    """Raise `InputError` (INVALID_FLEET) if others could give orders through a server that listens on *listen*."""
    if listen == "127.0.0.1":
        return
    key = os.environ.get(KEY_VARIABLE)
    if listen != "0.0.0.0":  # noqa: S104 - the only other address that the server can be reached at
        raise InputError(
            f"the development server cannot listen on {listen} alone: it would give out no work",
            code="INVALID_FLEET",
            hint="Use `--listen 0.0.0.0`, and a firewall for the other networks.",
        )
    if not (insecure and key):
        raise InputError(
            "the development server has neither TLS nor users: whoever reaches it can have the workers run programs",
            code="INVALID_FLEET",
            hint=f"In a private network, add `--insecure` here and for each worker, and set {KEY_VARIABLE}.",
        )
    parse_key(key)


def check_port(port: int) -> None:
    """Raise `EnvironmentFault` (PORT_UNUSABLE) if the server cannot listen on *port*."""
    try:
        with loopback(port):
            pass
    except EnvironmentFault as error:
        raise EnvironmentFault(
            error.message,
            code=error.code,
            hint=f"It may be a server of a fleet: `orchestrate fleet status --connect 127.0.0.1:{port}` shows that. "
            "A second one needs `--port` and `--state` of its own.",
        ) from None


def check_state(file: Path) -> None:
    """Look at the state that is in *file*; one that does not exist yet is the server's to make.

    Raises `StateError` (FLEET_STATE_IN_USE) if a server has it open, `EnvironmentFault` (FILE_UNWRITABLE) if none could
    keep its state there. The server itself says both in the words of its database, after ours that it listens.
    """
    if not file.exists():  # made empty, it would be a state without tables
        return
    try:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as state:
            state.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise StateError(
                f"another server keeps its state in {file}",
                code="FLEET_STATE_IN_USE",
                hint="Use that server, or give this one a file of its own with `--state`.",
            ) from None
        raise unusable(f"file {file}", str(error)) from error


def run_server(command: list[str]) -> NoReturn:
    """Become the server: a signal to this process ends it, and leaves none behind."""
    os.execve(command[0], command, COLLECTOR | os.environ)  # noqa: S606 - our own command
