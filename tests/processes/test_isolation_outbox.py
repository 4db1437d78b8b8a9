"""What an isolated agent changed is merged once, wherever between its merge and the journal its server ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.executors.port import Outcome
from engine.executors.process import ProcessExecutor
from engine.executors.worktrees.isolated import IsolatedExecutor
from engine.executors.worktrees.outbox import FileOutbox
from engine.executors.worktrees.worktree import Worktree
from engine.ids import AttemptId, NodeId, RunId
from engine.opening import open_engine
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from tests.support.definitions import command, node, phase, plan
from tests.support.orders import Beats, order_for
from tests.support.real_agents import SECONDS, ended, until
from tests.support.repositories import branches, editor, git, leftovers, make_repository

if TYPE_CHECKING:
    from engine.run.state import Run
    from engine.service import Engine

pytestmark = pytest.mark.processes

SERVER = """
import asyncio, os, signal, sys
from pathlib import Path
from engine.executors.worktrees import merging
from engine.executors.worktrees.outbox import FileOutbox
from engine.executors.worktrees.worktree import Worktree
from engine.opening import open_engine
from engine.runtime.attempts import Attempts
from tests.processes.test_isolation_outbox import changing

project, point = Path(sys.argv[1]), sys.argv[2]

def die(*_given, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

def after(action):
    async def acted(*given, **more):
        await action(*given, **more)
        die()
    return acted

if point == "before the mark":
    merging.apply = after(merging.apply)
elif point == "after the mark":
    Worktree.leave = die
elif point == "after the worktree is gone":
    Worktree.leave = after(Worktree.leave)
elif point == "before the report":
    Attempts._report = die
elif point == "after the commit":
    FileOutbox.recorded = die

async def main():
    async with open_engine(project) as engine:
        print(await engine.start(changing(project)), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
"""A server with one isolated agent, that is killed at a point of its end."""

TASK = """
open('log.txt', 'a').write('changed\\n')
open(sys.argv[1] + '/../ran', 'a').write('x')
print(json.dumps({"outputs": {"n": 7}})); sys.stdout.flush(); os._exit(0)
"""


def changing(project: Path, *, idempotent: bool = False) -> object:
    """A plan with one agent that adds a line to a file, and says 7; another reads that."""
    steps = [
        node("edits", task=TASK, idempotent=idempotent, context={"outputs": [{"key": "n"}]}),
        node("reads", "edits", task="assert order['inputs']['n'] == 7, order", context={"inputs": [{"key": "n"}]}),
    ]
    return plan(command(phase("p", *steps)), agents=(editor(project),))


async def killed(project: Path, point: str) -> RunId:
    """The run of a server that was killed at *point*."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(project), point),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), SECONDS)
        await asyncio.wait_for(process.wait(), SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait_for(process.communicate(), SECONDS)
    return RunId(line.decode().strip())


async def resumed(engine: Engine, run: RunId) -> Run:
    await engine.resume(run)
    return await ended(engine, run)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", {"log.txt": "begun\n", ".gitignore": ".claude/\n"})


def ran(project: Path) -> int:
    """How often the agent has done its work."""
    return len((project.parent / "ran").read_text())


AFTER = ("after the mark", "after the worktree is gone", "before the report")


@pytest.mark.parametrize("point", AFTER)
async def test_what_was_merged_before_the_crash_is_reported_and_not_merged_again(point: str, project: Path) -> None:
    run = await killed(project, point)
    assert (project / "log.txt").read_text() == "begun\nchanged\n"
    async with open_engine(project) as engine:
        assert (await engine.view(run)).run.status is RunStatus.INTERRUPTED
        await engine.clean_up()
        seen = await resumed(engine, run)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert [(one.number, one.failure, one.lost) for one in seen.nodes[NodeId("edits")].attempts] == [(1, None, False)]
    assert (project / "log.txt").read_text() == "begun\nchanged\n"
    assert (ran(project), branches(project), leftovers(project)) == (1, [], [])


async def test_a_merge_without_its_mark_is_taken_back_and_the_work_done_again(project: Path) -> None:
    run = await killed(project, "before the mark")
    assert (project / "log.txt").read_text() == "begun\nchanged\n"
    async with open_engine(project) as engine:
        await engine.clean_up()
        assert ((project / "log.txt").read_text(), branches(project)) == ("begun\n", [f"{run}/edits/1"])
        await engine.resume(run)
        seen = await until(engine, run, lambda seen: seen.nodes[NodeId("edits")].waiting is not None)
        assert seen.nodes[NodeId("edits")].status is NodeStatus.WAITING, "it is not idempotent: a person decides"
        await engine.decide(run, NodeId("edits"), "retry")
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    assert (project / "log.txt").read_text() == "begun\nchanged\n"
    assert (ran(project), leftovers(project)) == (2, [])


async def test_the_branch_of_a_lost_attempt_goes_when_its_work_was_redone_and_that_is_told(project: Path) -> None:
    run = await killed(project, "before the mark")
    async with open_engine(project) as engine:
        await engine.clean_up()
        git(project, "branch", f"orchestration/{run}/other/1")
        await engine.resume(run)
        await until(engine, run, lambda seen: seen.nodes[NodeId("edits")].waiting is not None)
        await engine.decide(run, NodeId("edits"), "retry")
        await ended(engine, run)
        async with asyncio.timeout(SECONDS):
            while not (warnings := (await engine.view(run)).warnings):
                await engine.notifier.wait(run, 0.1)
    [told] = warnings
    assert told.startswith(f"The branch orchestration/{run}/edits/1 of a lost attempt was removed: attempt 2 of")
    assert branches(project) == [f"{run}/other/1"]


async def test_a_branch_that_somebody_works_on_stays(project: Path) -> None:
    run = await killed(project, "before the mark")
    async with open_engine(project) as engine:
        await engine.clean_up()
        git(project, "checkout", "--quiet", f"orchestration/{run}/edits/1")
    assert await FileOutbox(project).redone([AttemptId(f"{run}:edits#1"), AttemptId("no attempt")]) == []
    assert branches(project) == [f"{run}/edits/1"]


async def test_what_the_journal_has_is_forgotten_by_the_next_server(project: Path) -> None:
    run = await killed(project, "after the commit")
    assert await FileOutbox(project).attempts() == [f"{run}:edits#1"]
    async with open_engine(project) as engine:
        await engine.clean_up()
        assert await FileOutbox(project).attempts() == []
        assert (await resumed(engine, run)).status is RunStatus.COMPLETED
    assert (ran(project), (project / "log.txt").read_text()) == (1, "begun\nchanged\n")


async def test_an_end_of_the_server_after_the_merge_is_no_second_merge(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is reported once a server ends, though what has begun is brought to its end."""
    leave, reached, goes_on = Worktree.leave, asyncio.Event(), asyncio.Event()

    async def slowly(tree: Worktree) -> None:
        reached.set()
        await goes_on.wait()
        await leave(tree)

    with monkeypatch.context() as patch:
        patch.setattr(Worktree, "leave", slowly)
        async with open_engine(project) as engine:
            run = await engine.start(changing(project))  # type: ignore[arg-type]
            await asyncio.wait_for(reached.wait(), SECONDS)
            asyncio.get_running_loop().call_soon(goes_on.set)
    async with open_engine(project) as engine:
        assert (await resumed(engine, run)).status is RunStatus.COMPLETED
    assert (ran(project), (project / "log.txt").read_text()) == (1, "begun\nchanged\n")
    assert leftovers(project) == []


async def test_outcomes_of_forgotten_runs_go_with_them(project: Path) -> None:
    await killed(project, "after the mark")
    async with open_engine(project) as engine:
        await engine.clean_up()
        assert len(await FileOutbox(project).attempts()) == 1
        await engine.prune(keep=0, interrupted=True)
    assert await FileOutbox(project).attempts() == []
    assert leftovers(project) == []


async def test_only_what_is_marked_as_merged_and_says_whose_it_is_is_an_outcome(project: Path) -> None:
    outbox, attempt = FileOutbox(project), AttemptId("r-1:check#1")
    executor = IsolatedExecutor(ProcessExecutor(), permit=lambda _agent: None, journaled=True)
    outcome = await executor.execute(order_for(editor(project), project=project, task=TASK), Beats())
    assert (outcome.failure, outcome.in_time) == (None, True)
    [state] = (project / ".claude/orchestration/worktrees").glob("*/")
    assert await outbox.found([attempt, AttemptId("r-1:other#1")]) == {attempt: Outcome(outputs={"n": 7}, in_time=True)}
    assert await outbox.found([]) == {}
    kept = (state / "outcome.json").read_bytes()
    for damaged in (b"{", b"[]", b'{"outputs": 1, "usage": null}', b'{"outputs": {}, "usage": {"odd": 1}}'):
        (state / "outcome.json").write_bytes(damaged)
        assert await outbox.found([attempt]) == {}
    (state / "outcome.json").write_bytes(kept)
    record = json.loads((state / "worktree.json").read_text())
    (state / "worktree.json").write_text(json.dumps({**record, "attempt": "r-1:other#1"}))
    assert await outbox.attempts() == []
    (state / "worktree.json").write_text(json.dumps(record))
    (state / "merged.json").rename(state / "merging.json")
    assert (await outbox.attempts(), await outbox.found([attempt])) == ([], {})
    outbox.recorded(attempt)
    assert state.exists(), "it is not merged, so nothing is settled"
    (state / "merging.json").rename(state / "merged.json")
    outbox.recorded(attempt)
    assert not state.exists()
