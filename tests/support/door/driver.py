"""Plays many conversations with real servers, each in a process of its own, which all begin with the SDK imported.

Effects: `python -m tests.support.door.driver JOBS RESULTS` forks one server for each job of the file JOBS, plays its
client, and writes what each of them said. When the import ends, which a door waits for, is up to the job. Two servers
have talked before in the process that is forked, so that no other one has to build the types of the SDK.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp.server.stdio import stdio_server

import mcp_server.project.project
import mcp_server.protocol.contents  # noqa: F401 - so that no server has to import it
from mcp_server.door.keys import project_key
from mcp_server.door.opening import Door
from mcp_server.door.store import Store
from mcp_server.protocol.app import OrchestrationServer, serve
from tests.support.door.conversations import LEARNED, TALKS, Talk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = 20
"""Seconds that a server may take to answer."""
PROGRAM = "this build"
PLAYERS = 4


class Client:
    """The ends of a server's streams."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self.answers: list[str] = []
        self._rest = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        server_in, self._to = os.pipe()
        self._from, server_out = os.pipe()
        wait, self._imported = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            for number, descriptor in enumerate((server_in, server_out, self._stderr.fileno())):
                os.dup2(descriptor, number)
            for descriptor in (server_in, server_out, self._to, self._from, self._imported):
                os.close(descriptor)
            os._exit(_serve(job, wait))
        for descriptor in (server_in, server_out, wait):
            os.close(descriptor)

    def play(self) -> dict[str, Any]:
        """The whole conversation; the import ends once the door has said as much as the job says."""
        asked = 0
        for line in self._job["lines"]:
            os.write(self._to, line.encode("utf-8", "surrogateescape"))
            if self._job["waits"]:
                asked += '"id"' in line
                self.read(asked)
        self.read(self._job["expected"])
        os.close(self._to)
        self.read(None)
        _, status = os.waitpid(self._pid, 0)
        self._stderr.seek(0)
        return {
            "answers": sorted(json.dumps(json.loads(line), sort_keys=True) for line in self.answers),
            "code": os.waitstatus_to_exitcode(status),
            "stderr": self._stderr.read().decode(),
        }

    def end_import(self) -> None:
        """Let a waiting door hand over."""
        if self._imported >= 0:
            os.close(self._imported)
            self._imported = -1

    def read(self, count: int | None) -> None:
        """Read until there are *count* answers; None is the end."""
        until = time.monotonic() + SECONDS
        while count is None or len(self.answers) < count:
            if len(self.answers) >= self._job["imported_after"] or count is None:
                self.end_import()
            ready, _, _ = select.select([self._from], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self._from, 1 << 16) if ready else b""
            if not data:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.answers += [line.decode() for line in lines]


class Streams:
    """The streams of a server in this process, and its client, who says the next thing when all before is answered."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._answers = asyncio.Semaphore(0)

    async def __aiter__(self) -> AsyncIterator[str]:
        for line in self._talk.lines:
            yield line
            if '"id"' in line:
                await self._answers.acquire()

    async def write(self, _line: str) -> None:
        self._answers.release()

    async def flush(self) -> None:
        """Nothing waits."""


async def prepare(talk: Talk, root: str) -> None:
    """Be the server of *talk*, so that servers forked from now on find imported and built what they need."""
    server = OrchestrationServer(root=root)._lowlevel_server
    streams: Any = Streams(talk)
    async with asyncio.timeout(SECONDS), stdio_server(stdin=streams, stdout=streams) as (read, write):
        await server.run(read, write, server.create_initialization_options())


def _serve(job: dict[str, Any], wait: int) -> int:
    door = None
    if job["store"] is not None:
        store = Store(job["store"], PROGRAM)
        opened = Door(store, lambda: project_key(job["root"]))

        def load() -> None:
            os.read(wait, 1)

        door = opened.attend(load)
    return asyncio.run(serve(root=job["root"], door=door))


def main(jobs: Path, results: Path) -> None:
    """Play all *jobs*, a few at a time: servers mostly wait."""
    found = json.loads(jobs.read_text("utf-8"))
    for talk in (TALKS[next(iter(TALKS))], LEARNED["discovers"]):
        asyncio.run(prepare(talk, found[0]["root"]))
    players = []
    for number in range(PLAYERS):
        players.append(os.fork())
        if players[-1] == 0:
            said = [Client(job).play() for job in found[number::PLAYERS]]
            results.with_suffix(f".{number}").write_text(json.dumps(said), encoding="utf-8")
            os._exit(0)
    for player in players:
        os.waitpid(player, 0)
    parts = [json.loads(results.with_suffix(f".{number}").read_text("utf-8")) for number in range(PLAYERS)]
    said = [parts[place % PLAYERS][place // PLAYERS] for place in range(len(found))]
    results.write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
