"""Functions of an agent that belongs to this program, for the tests of how such a one is called.

Effects: looks at its own process, leaves children, ends others.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from tests.support.leaving import PROGRAM

IMPORTED_BY = os.getpid()
calls: list[int] = []
_leaving: dict[str, Any] = {}
exec(PROGRAM, _leaving)  # noqa: S102 - the text of an agent, as all tests of processes have it


def look(_request: object) -> dict[str, Any]:
    """What a process knows of itself."""
    calls.append(1)
    status = open("/proc/self/status").read().split("\n")  # noqa: SIM115, PTH123
    number = {line.split()[0]: int(line.split()[1], 16) for line in status if line.startswith(("SigBlk", "SigIgn"))}
    facts = {
        "imported by itself": os.getpid() == IMPORTED_BY,
        "calls": len(calls),
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109
        "open": [int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")],  # noqa: PTH110, PTH208
        "leads": os.getsid(0) == os.getpid(),
        "blocked": number["SigBlk:"],
        "ignored": number["SigIgn:"],
        "interrupted": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    }
    print("printed by the agent")  # noqa: T201
    return {"outputs": {"n": facts}}


def leave(request: dict[str, Any]) -> dict[str, Any]:
    """Leave a child that lives on."""
    _leaving["leave"](request["inputs"]["way"])
    return {"outputs": {"n": 1}}


def wait(_request: object) -> None:
    """Leave a child, say so, and go on for long."""
    _leaving["leave"]("own session, ignores TERM")
    print("ready", file=sys.stderr, flush=True)  # noqa: T201
    signal.pause()


def bereave(_request: object) -> None:
    """Kill all that could end this process: its warden, and what forked that."""
    with open("pids", "a") as file:  # noqa: PTH123
        file.write(f"{os.getpid()}\n")
    parent = os.getppid()
    forker = int(open(f"/proc/{parent}/stat").read().rsplit(")")[1].split()[1])  # noqa: SIM115, PTH123
    os.kill(forker, signal.SIGKILL)
    os.kill(parent, signal.SIGKILL)
    signal.pause()


def leave_with_code(_request: object) -> None:
    """End the process."""
    sys.exit(3)


def fail(_request: object) -> None:
    """Raise."""
    raise ValueError("no such luck")
