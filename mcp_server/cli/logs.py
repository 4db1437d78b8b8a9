"""`orchestrate logs`: what the agents of a run printed, said and did.

Effects: opens the project, reads runs and their logs; prints to stdout. It follows runs of any process.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import chop_cells

from engine.ids import RunId
from engine.model.plan import NodeKind
from mcp_server.cli import console, lazy, terminal
from mcp_server.cli.shared import OK, finish, project_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.run.state import Run
    from engine.service import Engine, View
    from engine.storage.attempt_logs import LogReader
    from mcp_server.project.nodes import Chosen

LOOK_AGAIN = 0.25
"""Seconds between two looks at a log that grows."""
BATCH = 2000
"""Lines that are written at once."""
INDENT = 10
"""Columns of a time and two blanks."""


def logs(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run id.")],
    node: Annotated[
        str | None, typer.Argument(metavar="NODE[#ATTEMPT]", help="A node, or one of its attempts (default: all).")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until the agents have ended.")] = False,
) -> None:
    """Show what agents and their subagents printed, said and did."""
    finish((_follow if follow else _show)(RunId(run_id), node))


async def _show(run_id: RunId, name: str | None) -> int:
    async with lazy.open_runs(project_root()) as project:
        engine = await project.reader()
        run = (await engine.view(run_id)).run
        reader = await asyncio.to_thread(lazy.LogReader, engine.location.state, run.id)
        chosen = lazy.attempts_of(run, name)
        if not chosen:
            console.notes.print(_not_begun(run, name), soft_wrap=True)
        for one in chosen:
            await _write(_whole(run, reader, one))
    return OK


def _whole(run: Run, reader: LogReader, one: Chosen) -> Iterator[str]:
    from mcp_server.answers.logs import ending, entries_of, heading, lines_of, nothing_of  # noqa: PLC0415 - see lazy.py

    yield heading(run, one)
    shown = False
    for entry in entries_of(reader, one):
        shown = True
        yield from lines_of(entry)
    if not shown:
        yield nothing_of(run, one)
    yield from ending(run, one)


def _not_begun(run: Run, name: str | None) -> str:
    from engine.scheduling.readiness import waiting_for  # noqa: PLC0415 - rarely needed

    node = None if name is None else lazy.find_node(run, name)
    reason = None if node is None else waiting_for(run, node)
    return f"nothing has begun yet{f': it waits for {reason}' if reason else ''}"


async def _write(lines: Iterator[str]) -> None:
    """Write *lines* as they are read, in a thread, without holding all of them."""
    while batch := await asyncio.to_thread(lambda: list(islice(lines, BATCH))):
        _print(batch)


def _print(lines: Iterable[str], prefix: str = "") -> None:
    """Write *lines*, each after *prefix*.

    Those too long for the terminal continue below their text: broken by the terminal, the rest of a line of an agent
    could pass for one of ours.
    """
    width = console.results.width - len(prefix) if console.results.is_terminal else terminal.WIDE
    console.write("".join(f"{prefix}{part}\n" for line in lines for part in _broken(line, width)))


def _broken(line: str, width: int) -> list[str]:
    room = width - INDENT
    if len(line) <= width // 2 or room < INDENT:  # no character takes more than two cells
        return [line]
    first, *rest = chop_cells(line, width) or [""]
    return [first, *(f"{' ' * INDENT}{part}" for part in chop_cells("".join(rest), room) if part)]


async def _follow(run_id: RunId, name: str | None) -> int:
    async with lazy.open_runs(project_root()) as project:
        engine = await project.reader()
        follower = _Follower(engine, name)
        while await follower.look(run_id):
            await engine.wait(run_id, LOOK_AGAIN)
    return OK


class _Follower:
    """Prints what was added to the logs since its last look."""

    def __init__(self, engine: Engine, name: str | None) -> None:
        self._engine = engine
        self._name = name
        self._reader: LogReader | None = None
        self._places: dict[str, int] = {}
        """How far each log was read."""
        self._over: set[str] = set()
        """Attempts that have ended and were shown whole."""

    async def look(self, run_id: RunId) -> bool:
        """Print what is new; whether more may come. Raises `NotFound` once the run has been removed."""
        run, over = await self._engine.read(run_id, self._seen)
        if self._reader is None:
            self._reader = lazy.LogReader(self._engine.location.state, run_id)
        await asyncio.to_thread(self._reader.look)
        for one in lazy.attempts_of(run, self._name):
            if one.name not in self._over:
                await self._show(self._reader, run, one)
        return not over

    def _seen(self, view: View) -> tuple[Run, bool]:
        """A run as it was before its logs are read, and whether all that is asked for has ended."""
        run = view.run
        if run.ended or self._name is None:
            return run, run.ended
        node, number = lazy.parse_attempt(run, self._name)
        if number is not None:
            return run, all(one.record.ended_at is not None for one in lazy.attempts_of(run, self._name))
        return run, node.settled and node.live is None

    async def _show(self, reader: LogReader, run: Run, one: Chosen) -> None:
        from mcp_server.answers.logs import ending, heading, lines_of  # noqa: PLC0415 - see lazy.py

        if one.name not in self._places:
            self._places[one.name] = 0
            _print([heading(run, one)])
        prefix = f"{one.name} | " if self._prefixed(run) else ""
        key = one.node.plan.id, one.record.number
        while (page := await asyncio.to_thread(reader.read, *key, self._places[one.name])).entries:
            self._places[one.name] = page.place
            _print((line for entry in page.entries for line in lines_of(entry)), prefix)
        if one.record.ended_at is not None or one.record.lost or run.ended:
            self._over.add(one.name)
            _print(ending(run, one), prefix)

    def _prefixed(self, run: Run) -> bool:
        """Whether lines of several nodes may come in turn."""
        if self._name is None:
            return True
        return lazy.parse_attempt(run, self._name)[0].plan.kind is NodeKind.SUB_COMMAND
