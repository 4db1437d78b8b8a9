"""Children that an agent leaves behind in every way that programs know, and what of them is still alive.

Effects: reads the process table, kills.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

WAYS = (
    "plain",
    "own session",
    "empty environment",
    "two forks",
    "own session, ignores TERM",
    "daemon without a trace, ignores TERM",
    "another title",
)
"""By name, as `leave` of `PROGRAM` knows them."""

PROGRAM = r'''
import ctypes, os, signal, subprocess, sys, time

def leave(way):
    """Start a child that lives on in this *way*, and wait until it does; `pids` has a line for each."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        if way.startswith(("two forks", "daemon", "another title")) and os.fork():
            os._exit(0)
        if way not in {"plain", "empty environment", "two forks"}:
            os.setsid()
        stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" if "TERM" in way else ""
        title = ""
        if way == "another title":
            title = "import ctypes; ctypes.CDLL(None).prctl(15, b'kworker/0:1', 0, 0, 0);"
        note = "import os; open('pids', 'a').write(f'{os.getpid()}\\n');"
        ready = f"os.write({writing}, b'x'); os.close({writing});"
        os.set_inheritable(writing, True)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        bare = way.startswith(("empty environment", "daemon"))
        code = f"{stubborn}{title}{note}{ready}import time; time.sleep(600)"
        name = "kworker/0:1" if title else sys.executable
        os.execve(sys.executable, [name, "-S", "-c", code], {} if bare else dict(os.environ))
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
'''
"""For the text of an agent."""


def left_in(folder: Path) -> list[psutil.Process]:
    """What of an agent that worked in *folder* is alive: all that still stands there, whatever else it gave up.

    Numbers of processes that have ended are given again soon, so none is remembered.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextlib.contextmanager
def nothing_stays(folder: Path) -> Iterator[None]:
    """Kill what a failed test would leave."""
    try:
        yield
    finally:
        for process in left_in(folder):
            with contextlib.suppress(psutil.Error):
                process.kill()
