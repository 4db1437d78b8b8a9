"""Servers that are killed while isolated agents work or their work is merged; and runs that are forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from engine.executors.subprocesses.search import end_orphans
from engine.executors.worktrees import changes, merging
from engine.executors.worktrees.leftover import keep_abandoned
from engine.ids import NodeId, RunId
from engine.opening import open_engine
from engine.run.events import RunStatus
from tests.support.definitions import command, node, phase, plan
from tests.support.real_agents import SECONDS, ended, held_back, let_go, ready
from tests.support.repositories import (
    branches,
    configure_user,
    editor,
    git,
    leftovers,
    make_repository,
    on_branch,
    write_files,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.run.state import Run
    from engine.service import Engine

pytestmark = pytest.mark.processes

SERVER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from engine.executors.worktrees import changes
from engine.opening import open_engine
from tests.support.definitions import command, node, phase, plan
from tests.support.repositories import editor

project, task, moves = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
keep = changes._keep_permissions

def mortal(*arguments):
    global moves
    moves -= 1
    if moves == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    keep(*arguments)

changes._keep_permissions = mortal

async def main():
    compiled = plan(command(phase("p", node("edits", task=task))), agents=(editor(project),))
    async with open_engine(project) as engine:
        print(await engine.start(compiled), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
"""A server with one isolated agent; it is killed before it moves the given file of a merge into place (0: never)."""

CHANGES = "write('a.txt', 'A'); os.remove('b.txt'); write('c.txt', 'C'); write('new/d.txt', 'D')"
BEFORE = {"a.txt": "a\n", "b.txt": "b\n", "c.txt": "c\n"}


@contextlib.asynccontextmanager
async def server(project: Path, task: str, moves: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, RunId]]:
    """A process that runs *task*; it is gone at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(project), task, str(moves)),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), SECONDS)
        yield process, RunId(line.decode().strip())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait_for(process.communicate(), SECONDS)


async def killed(project: Path, task: str, moves: int = 0) -> RunId:
    """The run of a server that was killed: where its task meets us, or in the middle of its merge."""
    async with server(project, task, moves) as (process, run):
        if not moves:
            await ready(project, "edits")
            process.kill()
        await asyncio.wait_for(process.wait(), SECONDS)
    return run


def files(project: Path) -> dict[str, str]:
    """All files of the project that git does not ignore."""
    listed = git(project, "ls-files", "--others", "--cached", "--exclude-standard").splitlines()
    return {name: (project / name).read_text() for name in sorted(set(listed)) if (project / name).is_file()}


async def resumed(engine: Engine, run: RunId) -> Run:
    await engine.resume(run)
    return await ended(engine, run)


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Path]:
    project = make_repository(tmp_path / "project", BEFORE)
    for name in ("edits.ready", "edits.go"):
        os.mkfifo(project / name)
    yield project
    await end_orphans(project)  # the agents of killed servers, where no later server has looked


async def test_what_an_agent_had_changed_when_its_server_was_killed_is_on_its_branch(project: Path) -> None:
    run = await killed(project, f"{CHANGES}; meet()")
    assert leftovers(project) != []
    async with open_engine(project) as engine:
        await engine.clean_up()
        assert (branches(project), leftovers(project)) == ([f"{run}/edits/1"], [])
        assert (files(project), on_branch(project, f"{run}/edits/1", "new/d.txt")) == (BEFORE, "D")
        working = asyncio.ensure_future(resumed(engine, run))
        await ready(project, "edits")
        await let_go(project, "edits")
        assert (await working).status is RunStatus.COMPLETED
    assert files(project) == {"a.txt": "A", "c.txt": "C", "new/d.txt": "D"}
    assert leftovers(project) == []


async def test_servers_that_find_it_at_once_are_not_in_each_others_way(project: Path) -> None:
    run = await killed(project, f"{CHANGES}; meet()")
    told = await asyncio.gather(*(keep_abandoned(project) for _ in range(3)))
    assert [where for found in told for where in found] == [f"on the branch orchestration/{run}/edits/1"]
    assert leftovers(project) == []


async def test_a_resume_waits_for_nobody_else_to_keep_the_work(project: Path) -> None:
    async with open_engine(project) as engine:
        run = await killed(project, f"{CHANGES}; meet()")
        assert (await engine.view(run)).run.status is RunStatus.INTERRUPTED
        working = asyncio.ensure_future(resumed(engine, run))
        await ready(project, "edits")
        assert branches(project) == [f"{run}/edits/1"]
        await let_go(project, "edits")
        assert (await working).status is RunStatus.COMPLETED
    assert (branches(project), leftovers(project)) == ([], []), "its work was redone"


@pytest.mark.parametrize("moves", [1, 2, 3])
async def test_a_merge_that_was_cut_off_is_taken_back(project: Path, moves: int) -> None:
    run = await killed(project, CHANGES, moves)
    cut = files(project)
    assert "b.txt" not in cut
    assert list(cut.values()).count("A") == (moves > 1)
    async with open_engine(project) as engine:
        await engine.clean_up()
        assert files(project) == BEFORE
        assert not (project / "new").exists()
        assert [on_branch(project, f"{run}/edits/1", name) for name in ("a.txt", "c.txt", "new/d.txt")] == [
            "A",
            "C",
            "D",
        ]
        assert (await resumed(engine, run)).status is RunStatus.COMPLETED
    assert files(project) == {"a.txt": "A", "c.txt": "C", "new/d.txt": "D"}


async def test_the_next_to_look_at_the_project_finds_no_half_of_a_merge(project: Path) -> None:
    task = "assert (open('a.txt').read(), os.path.exists('b.txt')) == ('a\\n', True); write('e.txt', 'E')"
    async with open_engine(project) as engine:
        await killed(project, CHANGES, 2)
        compiled = plan(command(phase("p", node("next", task=task))), agents=(editor(project),))
        seen = await ended(engine, await engine.start(compiled))
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert files(project) == {**BEFORE, "e.txt": "E"}


async def no_room(*_given: object, **_more: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_half_a_merge_is_known_until_there_is_room_to_take_it_back(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await killed(project, CHANGES, 2)
    half = files(project)
    with monkeypatch.context() as full:
        full.setattr(merging, "undo", no_room)
        async with open_engine(project) as engine:
            seen = await resumed(engine, run)
    failure = seen.nodes[NodeId("edits")].failure
    assert failure is not None
    assert failure.code == "ISOLATION_UNAVAILABLE"
    assert "No space left" in failure.message
    assert "merging.json" in (failure.hint or "")
    assert files(project) == half, "nothing is put on top of it"
    async with open_engine(project) as engine:
        await engine.clean_up()
    assert files(project) == BEFORE


async def test_a_merge_that_can_be_neither_ended_nor_taken_back_is_taken_back_later(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, calls = changes._keep_permissions, iter(range(9))

    def no_room_at_last(*given: Any) -> None:  # noqa: ANN401 - as the function
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        keep(*given)

    compiled = plan(command(phase("p", node("edits", task=CHANGES))), agents=(editor(project),))
    with monkeypatch.context() as full:
        full.setattr(changes, "undo", no_room)
        full.setattr(changes, "_keep_permissions", no_room_at_last)
        async with open_engine(project) as engine:
            seen = await ended(engine, await engine.start(compiled))
    assert seen.status is RunStatus.FAILED
    assert "b.txt" not in files(project)
    async with open_engine(project) as engine:
        await engine.clean_up()
        assert files(project) == BEFORE
        await engine.resume(seen.id, failed=True)
        assert (await ended(engine, seen.id)).status is RunStatus.COMPLETED
    assert files(project) == {"a.txt": "A", "c.txt": "C", "new/d.txt": "D"}


async def test_what_somebody_has_written_over_a_half_merge_stays(project: Path) -> None:
    await killed(project, CHANGES, 3)
    write_files(project, {"a.txt": "by hand"})
    async with open_engine(project) as engine:
        await engine.clean_up()
    assert files(project) == {**BEFORE, "a.txt": "by hand"}


async def test_the_worktree_of_a_server_that_lives_is_left_alone(project: Path) -> None:
    async with server(project, f"{CHANGES}; meet()") as (_process, _run):
        await ready(project, "edits")
        found = leftovers(project)
        assert await keep_abandoned(project) == []
        assert leftovers(project) == found


async def test_the_worktree_of_a_server_of_another_machine_is_left_alone(project: Path) -> None:
    """A container that shares the project has processes of its own, which nobody sees from here."""
    await killed(project, f"{CHANGES}; meet()")
    [record] = (project / ".claude" / "orchestration" / "worktrees").glob("*/worktree.json")
    text = record.read_text()
    record.write_text(
        text.replace("om2-", "om2-0000000000000000", 1).replace(text[text.index("om2-") + 4 :][:16], "", 1)
    )
    found = leftovers(project)
    assert await keep_abandoned(project) == []
    assert leftovers(project) == found
    record.write_text(text)
    assert len(await keep_abandoned(project)) == 1


async def test_no_git_of_a_killed_server_runs_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A filter that waits keeps git at work while the server is killed.
    os.mkfifo(project / "filter")
    configure_user(monkeypatch, project.parent, **{"filter.waits.clean": f"cat {project}/filter {project}/filter"})
    write_files(project, {".gitattributes": "*.slow filter=waits\n", "x.slow": "x"})
    async with (
        server(project, CHANGES) as (process, _run),
        held_back(project / "filter"),  # git has started the filter
    ):
        process.kill()
        await asyncio.wait_for(process.wait(), SECONDS)
        async with open_engine(project) as engine:
            await engine.clean_up()
    left = [found for found in psutil.process_iter(["cwd", "name"]) if found.info["cwd"] == str(project)]
    assert left == []


async def test_a_state_that_cannot_be_read_is_nobodys(project: Path) -> None:
    for name, text in (("empty", None), ("broken", "{"), ("odd", json.dumps({"attempt": "no attempt"}))):
        folder = project / ".claude" / "orchestration" / "worktrees" / name
        folder.mkdir(parents=True)
        if text is not None:
            (folder / "worktree.json").write_text(text)
    assert await keep_abandoned(project) == []
    assert sorted(leftovers(project)) == ["broken", "odd"], "nothing says that they are ours"


async def test_to_forget_a_run_is_to_forget_its_branches(project: Path) -> None:
    git(project, "branch", "orchestration/mine")
    runs = []
    async with open_engine(project) as engine:
        for name in ("older", "newer"):
            steps = [node("fails", task=f"write('{name}.txt', 'x'); sys.exit('it broke')")]
            compiled = plan(command(phase("p", *steps)), agents=(editor(project),))
            runs.append(await engine.start(compiled))
            await ended(engine, runs[-1])
        assert sorted(branches(project)) == sorted(["mine", *(f"{run}/fails/1" for run in runs)])
        await engine.prune(keep=1)
        assert sorted(branches(project)) == sorted(["mine", f"{runs[1]}/fails/1"])
        git(project, "checkout", "--quiet", f"orchestration/{runs[1]}/fails/1")
        await engine.prune(keep=0)
        assert sorted(branches(project)) == sorted(["mine", f"{runs[1]}/fails/1"]), "somebody works on it"


async def test_to_forget_a_run_removes_what_no_branch_could_hold(project: Path) -> None:
    task = "subprocess.run(['git', 'init', '-q', 'own'], check=True); write('own/x', 'x')"
    compiled = plan(command(phase("p", node("makes", task=task))), agents=(editor(project),))
    async with open_engine(project) as engine:
        await ended(engine, await engine.start(compiled))
        assert leftovers(project) != []
        await engine.prune(keep=0)
    assert leftovers(project) == []


async def test_what_no_branch_can_hold_outlives_its_server(project: Path) -> None:
    task = "subprocess.run(['git', 'init', '-q', 'own'], check=True); write('own/x', 'x'); write('y', 'y'); meet()"
    run = await killed(project, task)
    place = project / ".claude" / "worktrees" / f"{run}-edits-1"
    for _ in range(2):
        assert len(await keep_abandoned(project)) in {0, 1}
        assert (place / "own" / "x").read_text() == "x"
        assert on_branch(project, f"{run}/edits/1", "y") == "y"
    assert await keep_abandoned(project) == []
