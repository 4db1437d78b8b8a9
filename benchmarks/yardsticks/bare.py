"""The least that could run a graph: an event loop, a counter for each node, and where it must last two rows a node.

Effects: writes a database where it is told to. There are no limits, retries, timeouts, values or views here.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.yardsticks.dags import Dag

INSERT = "INSERT INTO journal(run, node, kind, data) VALUES (?,?,?,?)"


async def run_bare(dag: Dag) -> None:
    """Every node a task that does nothing and starts those that waited for it alone."""
    waiting = [len(needs) for needs in dag.needs]
    left = len(dag)
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    async def work() -> None:
        pass

    async def node(number: int) -> None:
        nonlocal left
        await work()
        left -= 1
        for user in dag.users[number]:
            waiting[user] -= 1
            if not waiting[user]:
                loop.create_task(node(user))  # noqa: RUF006 - nothing waits for one: `done` tells
        if not left:
            done.set_result(None)

    for number, count in enumerate(list(waiting)):
        if not count:
            loop.create_task(node(number))  # noqa: RUF006
    await done


async def run_durable(dag: Dag, path: Path) -> None:
    """The same with a row before a node and one after it, waited for; what one turn of the loop writes is a commit."""
    journal = _Journal(path)
    waiting = [len(needs) for needs in dag.needs]
    left = len(dag)
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    async def node(number: int) -> None:
        nonlocal left
        await journal.put(number, "started")
        await journal.put(number, "completed")
        left -= 1
        for user in dag.users[number]:
            waiting[user] -= 1
            if not waiting[user]:
                loop.create_task(node(user))  # noqa: RUF006
        if not left:
            done.set_result(None)

    for number, count in enumerate(list(waiting)):
        if not count:
            loop.create_task(node(number))  # noqa: RUF006
    await done
    journal.close()


async def run_fused(dag: Dag, path: Path) -> None:
    """A row before a node and one after it; the end of a node and the starts that follow are one commit, made at once.

    Nothing waits for another thread, and no two nodes share a commit: the least for a chain, and blocking for the loop.
    """
    journal = _Journal(path)
    waiting = [len(needs) for needs in dag.needs]
    left = len(dag)
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    async def work() -> None:
        pass

    async def node(number: int) -> None:
        nonlocal left
        await work()
        left -= 1
        ready = []
        for user in dag.users[number]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
        journal.write([(number, "completed"), *((user, "started") for user in ready)])
        for user in ready:
            loop.create_task(node(user))  # noqa: RUF006
        if not left:
            done.set_result(None)

    first = [number for number, count in enumerate(list(waiting)) if not count]
    journal.write([(number, "started") for number in first])
    for number in first:
        loop.create_task(node(number))  # noqa: RUF006
    await done
    journal.close()


class _Journal:
    """Rows in one SQLite table, FULL: what is acknowledged survives a power cut."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE journal(seq INTEGER PRIMARY KEY, run TEXT, node TEXT, kind TEXT, data TEXT)")
        self._rows: list[tuple[str, str, str, str]] = []
        self._waiters: list[asyncio.Future[None]] = []

    def put(self, node: int, kind: str) -> asyncio.Future[None]:
        """Write a row with the next commit, which the future waits for."""
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        if not self._rows:
            loop.call_soon(self._commit)
        self._rows.append(_row(node, kind))
        self._waiters.append(written)
        return written

    def _commit(self) -> None:
        rows, self._rows = self._rows, []
        waiters, self._waiters = self._waiters, []
        self._insert(rows)
        for waiter in waiters:
            waiter.set_result(None)

    def write(self, made: list[tuple[int, str]]) -> None:
        """Commit rows of nodes and kinds at once."""
        self._insert([_row(node, kind) for node, kind in made])

    def _insert(self, rows: list[tuple[str, str, str, str]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(INSERT, rows)
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


def _row(node: int, kind: str) -> tuple[str, str, str, str]:
    return "run-1", f"n{node}", kind, json.dumps({"attempt": 1, "text": "x" * 64})
