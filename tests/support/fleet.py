"""A fleet for tests: the development server, workers in folders of their own, and a project that counts its starts.

Effects: starts processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from mcp_server.fleet.lab import COLLECTOR, PRAGMAS, server_command
from tests.support.installed import ORCHESTRATE
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS = 40.0
PROGRAM = """\
import json, os, signal, subprocess, sys, time
asked = json.load(sys.stdin)
trace = os.environ["TRACE"]
def tell(*what):
    with open(trace, "a") as file:
        file.write(json.dumps(what) + "\\n")
tell("start", asked["node"], os.getpid(), os.getcwd(), os.environ.get("MARK", ""))
words = asked["task"].split()
if words[0] == "wait":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    tell("child", asked["node"], child.pid)
    while not os.path.exists(trace + ".open"):
        time.sleep(0.05)
    child.kill()
if words[0] == "die":
    import psutil
    worker = [one for one in psutil.Process().parents() if "mcp_server.fleet.worker" in one.cmdline()]
    worker[-1].send_signal(signal.SIGKILL)
    time.sleep(600)
tell("end", asked["node"])
print(json.dumps({"outputs": {"made": "x" * int(words[1]) if words[0] == "make" else os.getcwd()}}))
"""
AGENT = """\
---
name: tracer
description: Traces
executor: process
command: ["{python}", "trace.py"]
env:
  TRACE: "$TRACE"
  MARK: "${MARK:-}"
---
"""


class Server:
    """The development server, in memory, or with a *file* that outlives it."""

    def __init__(self, file: Path | None = None, *, host: str = "127.0.0.1", inside: Sequence[str] = ()) -> None:
        """*host* is its address, and *inside* the words that start a program where it has that."""
        self._host = host
        self._inside = inside
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._file = file
        self.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._host}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        listen = "127.0.0.1" if self._host == "127.0.0.1" else "0.0.0.0"  # noqa: S104 - of a namespace of its own
        command = server_command(port=self.port, file=self._file or Path("nowhere"), listen=listen)
        if self._file is None:  # in memory
            command = [
                word for word in command if word not in {"--db-filename", "nowhere", "--sqlite-pragma", *PRAGMAS}
            ]
        self.process = subprocess.Popen(
            [*self._inside, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=COLLECTOR | os.environ,
        )
        try:
            until(self._answers, "the server answers")
        except BaseException:
            self.kill()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            with socket.create_connection((self._host, self.port), timeout=1):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """Gone, from one moment to the next."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it, if it runs."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(SECONDS)


class Wire:
    """A connection to a server that can be cut."""

    def __init__(self, port: int) -> None:
        """*port* is the server's."""
        self._port = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def _run(self, work: Callable[..., None], *given: socket.socket) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    self._run(self._pass, one, other)

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)

    def cut(self) -> None:
        """From now on nothing passes."""
        for one in (self._listener, *self._open):  # a shutdown also ends the thread that waits for a connection
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)
        for one in (self._listener, *self._open):
            one.close()


class Yard:
    """A project, workers in copies of it, and what all of them trace."""

    def __init__(self, folder: Path, address: str, **fleet: object) -> None:
        self.folder = folder
        self.address = address
        self.project = folder / "project"
        self.home = folder / "home"
        self.trace = folder / "trace"
        self.workers: list[subprocess.Popen[bytes]] = []
        for place in (self.project / ".claude" / "agents", self.home):
            place.mkdir(parents=True)
        (self.project / "trace.py").write_text(PROGRAM)
        (self.project / ".claude" / "agents" / "tracer.md").write_text(AGENT)
        settings = {"connect": address, "project": "yard", "agents": ["process"], "heartbeat": 60, "grace": 8, **fleet}
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        (self.project / ".claude" / "orchestration.toml").write_text("\n".join(["[fleet]", *lines]) + "\n")
        self.trust()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        self.environment = inherited | {"TRACE": str(self.trace), "HOME": str(self.home)}

    def trust(self) -> None:
        """Agree to all that the project is now."""
        trust_all(self.project, self.home)

    def start_worker(
        self, name: str, *options: str, wire: Wire | None = None, at: str | None = None, inside: Sequence[str] = (),
        says: str = "is ready", **more: str,
    ) -> Worker:  # fmt: skip
        """Start a worker in a copy of the project, and wait until it *says* that it is ready, or something else.

        It reaches the server by *wire*, or as *at*; *inside* are the words that start a program where it does.
        """
        place = self.folder / name
        if not place.exists():
            shutil.copytree(self.project, place)
        address = wire.address if wire is not None else at or self.address
        words = ["--connect", address, "--folder", str(place), "--name", name]
        log = (self.folder / f"{name}.log").open("ab")
        begins = log.tell()
        allowed = () if "--allow-project" in options else ("--allow-project", "yard")
        process = subprocess.Popen(
            [*inside, ORCHESTRATE, "worker", *words, *allowed, *options],
            stdout=log,
            stderr=log,
            env=self.environment | more,
        )
        self.workers.append(process)
        worker = Worker(name, process, Path(log.name), place)
        log.close()
        until(lambda: says.encode() in worker.log.read_bytes()[begins:], f"{name} {says}", worker.log)
        return worker

    def traced(self, what: str = "start") -> list[list[Any]]:
        """What programs wrote so far."""
        if not self.trace.exists():
            return []
        lines = [json.loads(line) for line in self.trace.read_text().splitlines()]
        return [line for line in lines if line[0] == what]

    def open(self) -> None:
        """Let programs that wait end."""
        Path(f"{self.trace}.open").touch()

    def close(self) -> None:
        """End all workers."""
        for process in self.workers:
            if process.poll() is None:
                process.kill()
        for process in self.workers:
            process.wait(SECONDS)


class Worker:
    """A worker that was started."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path, folder: Path) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.folder = folder

    @property
    def child(self) -> psutil.Process:
        """The process that runs attempts; the other one watches it."""
        found = [
            one for one in psutil.Process(self.process.pid).children() if "mcp_server.fleet.worker" in one.cmdline()
        ]
        assert found
        return found[0]

    def kill(self) -> None:
        """Kill both."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """Have it finish what it has begun; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


def node(name: str, task: str, *needs: str, **fields: object) -> dict[str, Any]:
    """A node of the tracing agent, which makes the key `made`."""
    return {
        "id": name,
        "agentId": "tracer",
        "task": task,
        "dependencies": list(needs),
        "estimatedTime": 60_000,
        "context": {"outputs": [{"key": "made", "merge": "append"}]},
        **fields,
    }


def command(*nodes: dict[str, Any]) -> dict[str, Any]:
    """A command of one phase."""
    phases = [{"id": "p", "name": "P", "agents": list(nodes), "parallel": True}]
    return {"version": "2.0.0", "name": "/traced", "description": "Traces", "phases": phases}


def until(holds: Callable[[], bool], what: str, log: Path | None = None) -> None:
    """Wait until *holds*."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, f"{what}: {'' if log is None else log.read_text()[-3000:]}"
        time.sleep(0.05)  # noqa: TID251 - a bounded wait on a condition
