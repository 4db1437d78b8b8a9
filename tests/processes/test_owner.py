"""Real processes that own runs: one that lives keeps them, one that was killed loses them to exactly one heir."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.errors import StateError
from engine.executors.inline import InlineExecutor
from engine.ids import OwnerId, RunId
from engine.opening import open_engine
from engine.run import events as ev
from engine.run.events import RunStatus
from engine.runtime.owner import FileOwner
from engine.service import Engine
from engine.statefolder.guard import open_state
from engine.statefolder.owners import FOLDER
from tests.processes.test_orphans import gone, killed_server
from tests.support.installed import ORCHESTRATE

pytestmark = pytest.mark.processes
SECONDS = 30
"""Bound of every wait."""

OWNING = """
import asyncio, sys
from pathlib import Path
from engine.executors.inline import InlineExecutor
from engine.opening import open_engine
from tests.support.definitions import command, node, phase, plan

async def hang(order):
    if order.node == "b":
        print(order.run, flush=True)
        await asyncio.Event().wait()
    return {"outputs": {}}

async def main():
    async with open_engine(Path(sys.argv[1])) as engine:
        engine.custom_executors["worker"] = InlineExecutor({"worker": hang})
        await engine.start(plan(command(phase("p", node("a"), node("b", "a"), node("c", "b")))))
        await asyncio.Event().wait()

asyncio.run(main())
"""
"""A program that owns a run in whose second node it hangs; it prints the run."""


@asynccontextmanager
async def owning(project: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, RunId]]:
    """A process that owns a run; it is gone at the end of the block."""
    root = str(Path(__file__).parents[2])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNING, str(project), cwd=root, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), SECONDS)
        yield process, RunId(line.decode().strip())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait_for(process.communicate(), SECONDS)


@asynccontextmanager
async def heir(project: Path) -> AsyncIterator[tuple[Engine, list[str]]]:
    """An engine whose agents succeed at once, and the nodes that they did."""
    did: list[str] = []

    def work(order: Any) -> dict[str, Any]:  # noqa: ANN401 - a work order
        did.append(order.node)
        return {"outputs": {}}

    async with open_engine(project) as engine:
        engine.custom_executors["worker"] = InlineExecutor({"worker": work})
        yield engine, did


async def to_the_end(engine: Engine, run: RunId) -> RunStatus:
    """Wait for the end of *run*."""

    async def ended() -> RunStatus:
        while not (status := (await engine.view(run)).run.status).value.startswith(("completed", "failed", "cancel")):
            await engine.wait(run, 1)
        return status

    return await asyncio.wait_for(ended(), SECONDS)


async def test_a_killed_owner_leaves_an_interrupted_run_that_goes_on_without_repeating_what_was_done(
    tmp_path: Path,
) -> None:
    async with owning(tmp_path) as (process, run), heir(tmp_path) as (engine, did):
        process.kill()
        await asyncio.wait_for(process.wait(), SECONDS)
        assert (await engine.view(run)).run.status is RunStatus.INTERRUPTED
        await engine.resume(run)
        assert await to_the_end(engine, run) is RunStatus.COMPLETED
        events = await engine.storage.events(run)
    assert did == ["b", "c"]
    assert [event.node for event in events if isinstance(event, ev.AttemptLost)] == ["b"]


async def test_a_run_whose_owner_lives_is_neither_interrupted_nor_resumed(tmp_path: Path) -> None:
    async with owning(tmp_path) as (_process, run), heir(tmp_path) as (engine, did):
        assert (await engine.view(run)).run.status is RunStatus.RUNNING
        with pytest.raises(StateError) as caught:
            await engine.resume(run)
        assert caught.value.code == "NOT_RESUMABLE"
    assert did == []


async def test_a_cancel_reaches_the_owner_that_lives(tmp_path: Path) -> None:
    async with owning(tmp_path) as (_process, run), heir(tmp_path) as (engine, _did):
        await engine.cancel(run, reason="enough")
        assert await to_the_end(engine, run) is RunStatus.CANCELLED
        assert (await engine.view(run)).run.message == "cancelled: enough"


async def test_of_those_who_take_up_a_run_at_once_one_wins(tmp_path: Path) -> None:
    async with (
        owning(tmp_path) as (process, run),
        heir(tmp_path) as (one, did_one),
        heir(tmp_path) as (other, did_other),
    ):
        process.kill()
        await asyncio.wait_for(process.wait(), SECONDS)
        results = await asyncio.gather(one.resume(run), other.resume(run), return_exceptions=True)
        assert [type(result) for result in results].count(type(None)) == 1, results
        assert [type(result) for result in results].count(StateError) == 1, results
        winner = one if results[0] is None else other
        assert await to_the_end(winner, run) is RunStatus.COMPLETED
    assert sorted(did_one + did_other) == ["b", "c"]


def test_an_owner_is_alive_until_it_closes_and_one_that_never_was_is_dead(tmp_path: Path) -> None:
    one, other = FileOwner(tmp_path), FileOwner(tmp_path)
    assert one.is_alive(one.id)
    assert other.is_alive(one.id)
    assert not other.is_alive(OwnerId("o-nobody"))
    one.close()
    assert not other.is_alive(one.id)
    other.close()
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_the_lock_that_a_dead_owner_left_is_found_free_and_taken_away(tmp_path: Path) -> None:
    owner = FileOwner(tmp_path)
    dead = tmp_path / FOLDER / "o-dead.lock"
    dead.write_text("", encoding="utf-8")
    os.utime(dead, (1, 1))
    assert not owner.is_alive(OwnerId("o-dead"))
    assert dead.exists()  # who only looks takes nothing away
    owner.remove_dead()
    assert not dead.exists()
    owner.close()


def test_an_owner_is_last_seen_when_it_renewed_its_record_and_one_that_never_was_is_not(tmp_path: Path) -> None:
    owner, other = FileOwner(tmp_path), FileOwner(tmp_path)
    for moment in (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, 2, 3, 456, tzinfo=UTC)):
        owner.renew(moment)
        assert other.last_seen(owner.id) == moment
    assert other.last_seen(OwnerId("o-nobody")) is None
    for one in (owner, other):
        one.close()


def test_locks_of_the_dead_are_removed_though_they_owned_no_run_and_those_of_the_living_and_the_newborn_stay(
    tmp_path: Path,
) -> None:
    owner, other = FileOwner(tmp_path), FileOwner(tmp_path)
    for name in ("o-dead", "o-newborn"):
        (tmp_path / FOLDER / f"{name}.lock").write_text("", encoding="utf-8")
    for name in ("o-dead", owner.id, other.id):
        os.utime(tmp_path / FOLDER / f"{name}.lock", (1, 1))
    owner.remove_dead()
    assert {path.stem for path in (tmp_path / FOLDER).iterdir()} == {owner.id, other.id, "o-newborn"}
    other.close()
    owner.close()


async def test_who_opens_a_project_removes_the_locks_that_killed_processes_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, remove_dead = asyncio.Event(), FileOwner.remove_dead

    def seen(owner: FileOwner) -> None:
        remove_dead(owner)
        looked.set()

    monkeypatch.setattr(FileOwner, "remove_dead", seen)
    owners = open_state(tmp_path) / FOLDER
    owners.mkdir()
    dead = owners / "o-dead.lock"
    dead.write_text("", encoding="utf-8")
    os.utime(dead, (1, 1))
    async with open_engine(tmp_path):
        await asyncio.wait_for(looked.wait(), SECONDS)
    assert not dead.exists()


async def test_who_only_reads_shows_that_an_owner_has_died_and_neither_records_nor_ends_anything(
    tmp_path: Path,
) -> None:
    async with owning(tmp_path) as (process, run):
        async with open_engine(tmp_path, reads=True) as reader:
            assert (await reader.view(run)).run.status is RunStatus.RUNNING
        process.kill()
        await asyncio.wait_for(process.wait(), SECONDS)
        with killed_server(tmp_path, f"{run}:b#1") as (orphan,):
            async with open_engine(tmp_path, reads=True) as reader:
                seen = (await reader.view(run)).run
                assert seen.status is RunStatus.INTERRUPTED
                assert [row.status for row in await reader.archive.look_after_all()] == [RunStatus.INTERRUPTED]
                await reader.locks()
                recorded = await reader.storage.summary(run)
            assert recorded is not None
            assert recorded.status is RunStatus.RUNNING
            assert not gone(orphan)
            async with open_engine(tmp_path) as engine:
                await engine.clean_up()
                recorded = await engine.storage.summary(run)
            assert recorded is not None
            assert recorded.status is RunStatus.INTERRUPTED
            assert gone(orphan)


@pytest.mark.parametrize("words", [["status"], ["runs"], ["report"], ["locks"]], ids=" ".join)
async def test_commands_that_only_read_leave_a_dead_run_as_it_is(words: list[str], tmp_path: Path) -> None:
    async with owning(tmp_path) as (process, run):
        process.kill()
        await asyncio.wait_for(process.wait(), SECONDS)
        command = await asyncio.create_subprocess_exec(
            ORCHESTRATE, "--project", str(tmp_path), *words, stdout=asyncio.subprocess.PIPE
        )
        shown, _nothing = await asyncio.wait_for(command.communicate(), SECONDS)
        assert (b"interrupted" in shown.lower()) is (words != ["locks"])
        async with open_engine(tmp_path, reads=True) as reader:
            recorded = await reader.storage.summary(run)
        assert recorded is not None
        assert recorded.status is RunStatus.RUNNING
