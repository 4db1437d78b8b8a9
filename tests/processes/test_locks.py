"""Locks between processes: each run is owned by a worker of its own, all on one project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StateError
from engine.run.events import RunStatus, WaitReason
from engine.run.state import END_STATES
from mcp_server.answers.follow import glimpse
from mcp_server.answers.status import status_of
from mcp_server.cli.console import tree
from mcp_server.project.project import Project, RunRequest, open_project
from tests.support.definitions import command, node, phase
from tests.support.real_agents import (
    ended,
    let_go,
    logged,
    make_programs,
    ready,
    until,
    write_agents,
    write_command,
)
from tests.support.workers import kill_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine.ids import RunId
    from engine.run.state import Run

pytestmark = pytest.mark.processes

NAMES = ("first", "second", "third", "reader")
UNDO = {"type": "rollback", "task": "Undo it", "agentId": "undoer"}


def lock(
    kind: str = "exclusive", *, wait: int = 30_000, resource: str = "database", priority: int = 0
) -> dict[str, Any]:
    return {"locks": [{"resource": resource, "type": kind, "priority": priority}], "maxWaitTime": wait}


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    """Commands /first, /second, /third that hold the database, and /reader that shares a table of it."""
    root = make_programs(tmp_path / "project", *(f"{name}-node" for name in NAMES))
    write_agents(root, worker="wait", undoer="")
    for name in NAMES:
        needs = lock("shared", resource="database.users") if name == "reader" else lock()
        write_command(root, command(phase("work", node(f"{name}-node", resources=needs)), name=f"/{name}"))
    undone = node("first-node", resources=lock(), compensation=UNDO)
    write_command(root, command(phase("work", undone), name="/undone"))
    async with open_project(root, home=root / "home") as opened:
        yield opened
        for row in await (await opened.engine()).archive.look_after_all():  # of a test that failed half way
            if row.status not in END_STATES:
                await (await opened.engine()).cancel(row.id, compensate=False)


async def started(project: Project, name: str) -> RunId:
    return await project.start_in_background(RunRequest(source=name))


def waits(run: Run) -> bool:
    return any(state.waiting is not None and state.waiting.reason is WaitReason.LOCKS for state in run.nodes.values())


async def test_an_exclusive_lock_keeps_other_processes_out_and_passes_on_in_order(project: Project) -> None:
    engine = await project.engine()
    first = await started(project, "/first")
    await ready(project.root, "first-node")
    second = await started(project, "/second")
    await until(engine, second, waits)
    third = await started(project, "/third")
    await until(engine, third, waits)
    lines = [(line.run, line.state) for line in await engine.locks()]
    assert lines == [(first, "held"), (second, "waiting"), (third, "waiting")]
    assert logged(project.root) == ["first-node: Do first-node"]
    await let_go(project.root, "first-node")
    await ready(project.root, "second-node")
    assert waits((await engine.view(third)).run)
    await let_go(project.root, "second-node")
    await ready(project.root, "third-node")
    await let_go(project.root, "third-node")
    for run in (first, second, third):
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    assert await engine.locks() == []


async def test_a_status_says_what_a_run_has_locked_and_whom_it_waits_for(project: Project) -> None:
    engine = await project.engine()
    first = await started(project, "/first")
    await ready(project.root, "first-node")
    second = await started(project, "/second")
    await until(engine, second, waits)
    has = status_of(await engine.view(first), view_name="nodes", values=None)
    assert [(line.resource, line.state, line.node) for line in has.locks or ()] == [("database", "held", "first-node")]
    seen = await engine.view(second)
    wants = status_of(seen, values=None)
    holder = f"database (locked by {first}:first-node)"
    assert [line.waits_for for line in wants.locks or ()] == [[holder]]
    assert (wants.display or "").endswith(f"🔒 second-node waits for {holder}")
    assert f"waiting for {holder}" in glimpse(seen).line
    assert f"🔒 second-node waits for {holder}" in str(tree(seen).children[-1].label)
    await let_go(project.root, "first-node")
    await ready(project.root, "second-node")
    await let_go(project.root, "second-node")
    for run in (first, second):
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    over = status_of(await engine.view(second), values=None)
    assert over.locks is None
    assert (over.display or "").startswith("✅ /second completed in ")


async def test_readers_of_other_processes_share_and_a_writer_waits_for_them(project: Project) -> None:
    engine = await project.engine()
    reader = await started(project, "/reader")
    await ready(project.root, "reader-node")
    writer = await started(project, "/first")
    await until(engine, writer, waits)
    line = next(line for line in await engine.locks() if line.state == "waiting")
    assert (line.resource, line.waits_for) == ("database", (f"database (locked by {reader}:reader-node)",))
    await let_go(project.root, "reader-node")
    await ready(project.root, "first-node")
    await let_go(project.root, "first-node")
    assert (await ended(engine, writer)).status is RunStatus.COMPLETED


async def test_a_killed_holder_frees_its_locks_for_who_waits(project: Project) -> None:
    engine = await project.engine()
    first = await started(project, "/first")
    await ready(project.root, "first-node")
    second = await started(project, "/second")
    await until(engine, second, waits)
    await kill_worker(engine, first)
    await ready(project.root, "second-node")  # nobody but the waiting process has looked
    await let_go(project.root, "second-node")
    assert (await ended(engine, second)).status is RunStatus.COMPLETED
    assert (await engine.view(first)).run.status is RunStatus.INTERRUPTED


async def test_the_locks_of_a_killed_holder_with_work_to_undo_stay_reserved(project: Project) -> None:
    engine = await project.engine()
    first = await started(project, "/undone")
    await ready(project.root, "first-node")
    second = await started(project, "/second")
    await until(engine, second, waits)
    await kill_worker(engine, first)
    refused = await ended(engine, second)
    assert refused.status is RunStatus.FAILED
    [failure] = [state.failure for state in refused.nodes.values()]
    assert failure is not None
    assert failure.code == "LOCK_RESERVED"
    assert f"resume {first}" in (failure.hint or "")
    assert f"orchestrate locks --release {first}" in (failure.hint or "")
    third = await ended(engine, await started(project, "/third"))
    assert third.status is RunStatus.FAILED, "so is everybody who comes later, at once"


async def test_resuming_the_dead_run_is_a_way_out_of_its_reserved_locks(project: Project) -> None:
    engine = await project.engine()
    first = await started(project, "/undone")
    await ready(project.root, "first-node")
    await kill_worker(engine, first)
    assert [line.state for line in await engine.locks()] == ["reserved"]
    await project.resume_in_background(first)
    await ready(project.root, "first-node")
    assert [line.state for line in await engine.locks()] == ["held"]
    await let_go(project.root, "first-node")
    assert (await ended(engine, first)).status is RunStatus.COMPLETED
    assert await engine.locks() == []


async def test_releasing_the_locks_of_the_dead_run_is_the_other_way_out(project: Project) -> None:
    engine = await project.engine()
    first = await started(project, "/undone")
    await ready(project.root, "first-node")
    with pytest.raises(StateError) as caught:
        await engine.release_locks(first)
    assert caught.value.code == "RUN_IS_LIVE"
    await kill_worker(engine, first)
    released = await engine.release_locks(first)
    assert [(line.resource, line.state) for line in released] == [("database", "reserved")]
    second = await started(project, "/second")
    await ready(project.root, "second-node")
    await let_go(project.root, "second-node")
    assert (await ended(engine, second)).status is RunStatus.COMPLETED


async def test_cancelling_the_dead_run_undoes_its_work_and_frees_its_locks(project: Project) -> None:
    engine = await project.engine()
    first = await started(project, "/undone")
    await ready(project.root, "first-node")
    await kill_worker(engine, first)
    await engine.cancel(first)
    seen = await ended(engine, first)
    assert seen.status is RunStatus.CANCELLED
    assert logged(project.root)[-1] == "first-node: Undo it"
    assert await engine.locks() == []


async def test_who_waits_too_long_is_told_who_holds_the_lock(project: Project) -> None:
    engine = await project.engine()
    brief = node("second-node", resources=lock(wait=300))
    write_command(project.root, command(phase("work", brief), name="/brief"))
    first = await started(project, "/first")
    await ready(project.root, "first-node")
    seen = await ended(engine, await started(project, "/brief"))
    [failure] = [state.failure for state in seen.nodes.values()]
    assert failure is not None
    assert failure.code == "LOCK_TIMEOUT"
    assert f"database (locked by {first}:first-node)" in failure.message
    await let_go(project.root, "first-node")
    assert (await ended(engine, first)).status is RunStatus.COMPLETED


async def test_pruning_never_takes_a_live_or_an_interrupted_run_unless_asked(project: Project) -> None:
    engine = await project.engine()
    dead = await started(project, "/undone")
    await ready(project.root, "first-node")
    await kill_worker(engine, dead)
    refused = await started(project, "/second")
    await ended(engine, refused)
    assert [row.id for row in await project.prune(keep=0)] == [refused]
    assert [row.id for row in await project.prune(keep=0, interrupted=True)] == [dead]
    assert await engine.locks() == []
    live = await started(project, "/third")
    await ready(project.root, "third-node")
    assert await project.prune(keep=0, interrupted=True) == []
    await let_go(project.root, "third-node")
    assert (await ended(engine, live)).status is RunStatus.COMPLETED


async def test_with_one_slot_the_urgent_node_starts_first_though_it_asks_for_a_lock(project: Project) -> None:
    write_agents(project.root, worker="")
    make_programs(project.root, "urgent", "chore")
    urgent, chore = node("urgent", priority=100, resources=lock(priority=100)), node("chore", priority=1)
    write_command(project.root, command(phase("work", urgent, chore, maxParallelism=1), name="/urgent"))
    run = await started(project, "/urgent")
    assert (await ended(await project.engine(), run)).status is RunStatus.COMPLETED
    assert logged(project.root) == ["urgent: Do urgent", "chore: Do chore"]
