"""Isolated agents on a fleet: their files travel, and what they change is merged here."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.ids import NodeId
from engine.run.events import RunStatus
from mcp_server.project.project import RunRequest
from tests.support.fleet import Server, command, until
from tests.support.fleet_files import LINES, FilesYard, node
from tests.support.fleet_runs import opened, resumed_from_an_old_copy, started
from tests.support.real_agents import ended
from tests.support.real_agents import until as until_run
from tests.support.repositories import branches, git, leftovers, make_repository, on_branch, write_files
from tests.support.workers import kill_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model.policy import Failure
    from engine.run.state import Run

pytestmark = [
    pytest.mark.processes,
    pytest.mark.measured,
]


@pytest.fixture
def yard(fleet_server: Server, tmp_path: Path) -> Iterator[FilesYard]:
    with closing(FilesYard(tmp_path, fleet_server.address)) as yard:
        yield yard


async def ran(yard: FilesYard, *nodes: dict[str, object]) -> Run:
    async with opened(yard) as project:
        engine = await project.engine()
        return await ended(engine, await project.start(RunRequest(source=command(*nodes))))


def failure(run: Run, name: str) -> Failure:
    found = run.nodes[NodeId(name)].failure
    assert found is not None, run.nodes[NodeId(name)]
    return found


async def test_changes_of_agents_on_two_workers_are_merged_and_seen_by_the_next(yard: FilesYard) -> None:
    yard.start_worker("w1", "--slots", "1")
    yard.start_worker("w2", "--slots", "1")
    (yard.project / "new.txt").write_text("untracked")
    seen = await ran(
        yard,
        node("a", "replace('lines.txt', 'line 2\\n', 'of a\\n'); write('from/a.txt', 'a'); wait()"),
        node("b", "replace('lines.txt', 'line 18\\n', 'of b\\n'); os.remove('keep.txt'); open_all()"),
        node("c", "write('new.txt', open('new.txt').read() + open('lines.txt').read())", "a", "b"),
        node("d", "write('new.txt', 'lost'); sys.exit('it broke')", "c"),
    )
    assert failure(seen, "d").hint is not None
    assert f"git cherry-pick orchestration/{seen.id}/d/1" in str(failure(seen, "d").hint)
    assert {one.worker for name in "ab" for one in seen.nodes[NodeId(name)].attempts} == {"w1", "w2"}
    text = LINES.replace("line 2\n", "of a\n").replace("line 18\n", "of b\n")
    assert yard.read("new.txt") == f"untracked{text}"
    assert not (yard.project / "keep.txt").exists()
    assert (yard.read("from/a.txt"), on_branch(yard.project, f"{seen.id}/d/1", "new.txt")) == ("a", "lost")
    assert leftovers(yard.project) == []
    assert len(yard.clones()) == 2
    assert not [path for clone in yard.clones() for path in clone.glob(".claude/worktrees/r-*")]
    assert [sorted(path.name for path in (yard.folder / name).iterdir()) for name in ("w1", "w2")] == [[], []]


async def test_a_killed_coordinator_finds_the_changes_again(yard: FilesYard) -> None:
    yard.start_worker("w1")
    nodes = [node(f"n{number}", f"wait(); write('n{number}.txt', 'x')") for number in range(3)]
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start_in_background(RunRequest(source=command(*nodes, node("last", "pass", "n0"))))
        await started(yard, 3)
        await kill_worker(engine, run)
        await until_run(engine, run, lambda seen: seen.status is RunStatus.INTERRUPTED)
        (yard.project / "lines.txt").write_text("changed meanwhile\n")
        yard.open()
        await asyncio.to_thread(until, lambda: len(yard.traced("end")) == 3, "all have ended")
        await project.resume(run)
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert [yard.read(f"n{number}.txt") for number in range(3)] == ["x", "x", "x"]
    assert yard.read("lines.txt") == "changed meanwhile\n"
    assert (len(yard.traced()), leftovers(yard.project), branches(yard.project)) == (4, [], [])


@pytest.mark.nightly
async def test_two_agents_on_one_line_conflict_and_may_try_again(yard: FilesYard) -> None:
    yard.start_worker("w1")
    again = {"retryPolicy": {"maxAttempts": 2, "retryableErrors": ["MERGE_CONFLICT"]}}
    edit = "replace('lines.txt', 'line 5', 'line 5 of ' + asked['node'])"
    seen = await ran(yard, node("a", f"{edit}; wait()"), node("b", f"wait(); {edit}"), opener())
    codes = [one.failure.code for one in seen.nodes.values() if one.failure is not None]
    assert codes == ["MERGE_CONFLICT"]
    (lost,) = [name for name, one in seen.nodes.items() if one.failure is not None]
    assert f"orchestration/{seen.id}/{lost}/1" in str(failure(seen, lost).hint)
    assert f"line 5 of {lost}" in on_branch(yard.project, f"{seen.id}/{lost}/1", "lines.txt")
    seen = await ran(yard, node("c", edit, **again), node("d", edit, **again))
    assert seen.status is RunStatus.COMPLETED, seen.message


def opener() -> dict[str, object]:
    """A node that lets the others end once they have begun."""
    return node("opener", "while open(trace).read().count('start') < 3: time.sleep(0.05)\nopen_all()")


@pytest.mark.nightly
async def test_a_retry_on_another_worker_begins_with_the_files_as_they_are_by_then(
    fleet_server: Server, tmp_path: Path
) -> None:
    yard = FilesYard(tmp_path, fleet_server.address, heartbeat=2)
    try:
        first = yard.start_worker("w1")
        async with opened(yard) as project:
            engine = await project.engine()
            task = "write('mine.txt', open('lines.txt').read()); wait()"
            run = await project.start(RunRequest(source=command(node("a", task))))
            await started(yard, 1)
            first.kill()
            (yard.project / "lines.txt").write_text("as they are by then\n")
            yard.start_worker("w2")
            await started(yard, 2)
            yard.open()
            seen = await ended(engine, run)
        attempts = [(one.worker, one.lost_worker) for one in seen.nodes[NodeId("a")].attempts]
        assert (seen.status, attempts) == (RunStatus.COMPLETED, [("w1", "w1"), ("w2", "")])
        assert (yard.read("mine.txt"), branches(yard.project)) == ("as they are by then\n", [])
        yard.start_worker("w1")  # it removes what the lost attempt has left
        assert not [path for clone in yard.clones() for path in clone.glob(".claude/worktrees/r-*")]
    finally:
        yard.close()


@pytest.mark.nightly
async def test_what_a_cancelled_agent_has_changed_is_on_a_branch(yard: FilesYard) -> None:
    yard.start_worker("w1")
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=command(node("a", "write('half.txt', 'half'); wait()"))))
        await started(yard, 1)
        (clone,) = yard.clones()
        halves = partial(clone.glob, ".claude/worktrees/*/half.txt")
        await asyncio.to_thread(until, lambda: bool(list(halves())), "it has written")
        await engine.cancel(run)
        seen = await ended(engine, run)
    assert seen.status is RunStatus.CANCELLED
    assert on_branch(yard.project, f"{run}/a/1", "half.txt") == "half"
    assert f"orchestration/{run}/a/1" in str(seen.nodes[NodeId("a")].attempts[0].failure)
    assert not (yard.project / "half.txt").exists()


@pytest.mark.nightly
async def test_items_of_a_loop_work_at_once_and_undo_changes_files_too(yard: FilesYard) -> None:
    yard.start_worker("w1")
    yard.start_worker("w2")
    names = ["one", "two", "three", "four"]
    paint = node("paint", "name = asked['inputs']['name']; write(f'{name}.txt', name)")
    paint["forEach"] = {"items": "names", "as": "name"}
    paint["context"] = {"inputs": [{"key": "names", "default": names}]}
    seen = await ran(yard, paint)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert [yard.read(f"{name}.txt") for name in names] == names
    undo = {"type": "rollback", "task": "replace('lines.txt', 'done', 'undone')"}
    seen = await ran(
        yard,
        node("do", "replace('lines.txt', 'line 1\\n', 'done\\n')", compensation=undo),
        node("fail", "assert 'done' in open('lines.txt').read(); sys.exit('broken')", "do"),
    )
    assert yard.read("lines.txt").startswith("undone\n"), seen.message


@pytest.mark.nightly
async def test_an_old_copy_of_the_journal_merges_what_it_has_forgotten_once(yard: FilesYard) -> None:
    yard.start_worker("w1")
    edits = [f"replace('lines.txt', 'line {line}\\n', 'edited\\n')" for line in (2, 7, 12, 17)]
    nodes = [
        node("n0", edits[0]),
        node("n1", edits[1], "n0"),
        node("n2", edits[2], "n1"),
        node("n3", f"wait(); {edits[3]}", "n2"),
    ]
    seen = await resumed_from_an_old_copy(yard, *nodes)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert [number for number, line in enumerate(yard.read("lines.txt").splitlines(), 1) if line == "edited"] == [
        2,
        7,
        12,
        17,
    ]
    assert len(yard.traced()) == 4


@pytest.mark.nightly
async def test_what_cannot_be_sent_is_refused_before_the_run_begins(fleet_server: Server, tmp_path: Path) -> None:
    for name, why in (("store", "need a store"), ("lfs", "Git LFS"), ("module", "submodules")):
        yard = FilesYard(tmp_path / name, fleet_server.address, blobs=name != "store")
        if name == "lfs":
            write_files(yard.project, {".gitattributes": "*.psd filter=lfs\n", "picture.psd": "x"})
            yard.commit()
        if name == "module":
            make_repository(tmp_path / "other", {"x": "x"})
            words = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
            git(yard.project, *words, str(tmp_path / "other"), "module")
        async with opened(yard) as project:
            with pytest.raises(EnvironmentFault, match=why) as refused:
                await project.start(RunRequest(source=command(node("a", "pass"))))
        assert (refused.value.code, bool(refused.value.hint)) == ("ISOLATION_UNAVAILABLE", True)


@pytest.mark.nightly
async def test_a_shallow_clone_and_a_key_do_as_any(
    fleet_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATE_FLEET_KEY", "ab" * 32)
    yard = FilesYard(tmp_path, fleet_server.address)
    try:
        for number in range(3):
            git(yard.project, "commit", "--quiet", "--allow-empty", f"--message={number}")
        git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{yard.project}", "shallow")
        yard.project = tmp_path / "shallow"
        yard.trust()
        yard.start_worker("w1")
        seen = await ran(yard, node("a", "replace('lines.txt', 'line 1\\n', 'a marker\\n')"))
        assert seen.status is RunStatus.COMPLETED, seen.message
        assert yard.read("lines.txt").startswith("a marker\n")
        assert not [path for path in yard.store.rglob("*") if path.is_file() and b"PACK" in path.read_bytes()]
        assert len(yard.bundles()) >= 2
    finally:
        yard.close()
