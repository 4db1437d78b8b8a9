"""Isolated agents in runs: what they change comes back, or is kept where the failure says."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from engine.executors.port import HERE
from engine.executors.worktrees.merging import alone
from engine.executors.worktrees.worktree import prepare
from engine.ids import AttemptId, NodeId
from engine.model.policy import Failure, FailureKind
from engine.opening import open_engine
from engine.run.events import RunStatus
from engine.run.signals import EndAttempt
from engine.run.state import NodeStatus
from engine.statefolder.guard import open_state
from tests.support.definitions import command, node, phase, plan
from tests.support.real_agents import ended, let_go, ready, until
from tests.support.repositories import (
    branches,
    editor,
    git,
    leftovers,
    make_repository,
    on_branch,
    write_files,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine.run.state import NodeState, Run
    from engine.service import Engine
    from tests.support.definitions import Raw

pytestmark = [pytest.mark.processes, pytest.mark.measured]

LINES = "".join(f"line {number}\n" for number in range(1, 21))
FILES: dict[str, str | bytes] = {
    "a.txt": "a\n",
    "lines.txt": LINES,
    "src/gone.txt": "gone\n",
    "src/tool.sh": "#!/bin/sh\n",
}

EVERY_CHANGE = r"""
os.remove('src/gone.txt')
os.rename('a.txt', 'renamed.txt')
os.chmod('src/tool.sh', 0o755)
write('picture.bin', bytes(range(255, -1, -1)))
os.remove('link')
os.symlink('lines.txt', 'link')
os.symlink('nowhere', 'new link')
shutil.rmtree('dir')
write('dir', 'a file now')
os.remove('plain')
write('plain/deep/er', 'a folder now')
os.remove('to-link')
os.symlink('plain', 'to-link')
write('sp ace and line \u00e9.txt', 'odd')
write(os.fsdecode(b'\xff\xfe.bin'), 'bytes')
write('empty', '')
"""


def step(name: str, task: str, *needs: str, **fields: Any) -> Raw:  # noqa: ANN401 - fields of a node
    return node(name, *needs, task=task, **fields)


@contextlib.asynccontextmanager
async def running(project: Path, *steps: Raw, agent: dict[str, Any] | None = None) -> AsyncIterator[tuple[Engine, Any]]:
    """The engine of *project* and a run in it of *steps*, whose agents may meet the test at their pipes."""
    for name in (one["id"] for one in steps if "meet()" in one["task"]):
        os.mkfifo(project / f"{name}.ready")
        os.mkfifo(project / f"{name}.go")
    compiled = plan(command(phase("work", *steps)), agents=(editor(project, **(agent or {})),))
    async with open_engine(project) as engine:
        yield engine, await engine.start(compiled)


async def run_of(project: Path, *steps: Raw, agent: dict[str, Any] | None = None) -> Run:
    """A run of *steps* at its end."""
    async with running(project, *steps, agent=agent) as (engine, run):
        return await ended(engine, run)


def state_of(run: Run, name: str) -> NodeState:
    return run.nodes[next(one for one in run.nodes if one == name)]


def failure_of(run: Run, name: str) -> Failure:
    failure = state_of(run, name).failure
    assert failure is not None
    return failure


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", FILES)


async def together(project: Path, *names: str) -> None:
    """Let agents go on when all of them have changed what they change, so that none has seen another's work."""
    await asyncio.gather(*(ready(project, name) for name in names))
    await asyncio.gather(*(let_go(project, name) for name in names))


async def test_parallel_agents_change_different_files_and_parts_of_one(project: Path) -> None:
    first = step("first", "write('first.txt', 'first'); replace('lines.txt', 'line 2\\n', 'LINE 2\\n'); meet()")
    second = step("second", "write('second.txt', 'second'); replace('lines.txt', 'line 19\\n', 'LINE 19\\n'); meet()")
    async with running(project, first, second) as (engine, run):
        await together(project, "first", "second")
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED
    assert (project / "first.txt").read_text() == "first"
    assert (project / "second.txt").read_text() == "second"
    assert (project / "lines.txt").read_text() == LINES.replace("line 2\n", "LINE 2\n").replace(
        "line 19\n", "LINE 19\n"
    )
    assert branches(project) == []
    assert leftovers(project) == []


async def test_of_two_that_conflict_one_comes_back_and_the_others_work_is_on_its_branch(project: Path) -> None:
    tasks = {name: f"write('a.txt', {name!r}); write('{name}.txt', 'more'); meet()" for name in ("first", "second")}
    steps = [step(name, task) for name, task in tasks.items()]
    async with running(project, *steps) as (engine, run):
        await asyncio.gather(ready(project, "first"), ready(project, "second"))
        await let_go(project, "first")
        await until(engine, run, lambda seen: state_of(seen, "first").status is NodeStatus.COMPLETED)
        await let_go(project, "second")
        seen = await ended(engine, run)
    assert seen.status is RunStatus.FAILED
    assert (project / "a.txt").read_bytes() == b"first"
    assert (project / "first.txt").exists()
    assert not (project / "second.txt").exists(), "all of it or nothing"
    failure = failure_of(seen, "second")
    branch = f"{seen.id}/second/1"
    assert failure.code == "MERGE_CONFLICT"
    assert "a.txt" in failure.message
    assert "second.txt" not in failure.message
    assert f"orchestration/{branch}" in (failure.hint or "")
    assert branches(project) == [branch]
    assert (on_branch(project, branch, "a.txt"), on_branch(project, branch, "second.txt")) == ("second", "more")
    assert leftovers(project) == []


async def test_what_is_kept_can_be_taken_as_the_hint_says(project: Path) -> None:
    (project / "mine.txt").write_text("not committed yet")
    seen = await run_of(project, step("half", "write('half.txt', 'half'); sys.exit('it broke')"))
    branch = f"orchestration/{seen.id}/half/1"
    assert f"`git cherry-pick {branch}`" in (failure_of(seen, "half").hint or "")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=Mine")
    git(project, "cherry-pick", branch)
    assert (project / "half.txt").read_text() == "half"
    assert git(project, "show", "--name-only", "--format=", "HEAD") == "half.txt"


async def test_a_conflict_is_retried_on_top_of_what_the_others_did(project: Path) -> None:
    policy = {"maxAttempts": 1, "strategy": "immediate", "retryableErrors": ["MERGE_CONFLICT"]}
    slow = step("slow", "write('a.txt', pathlib.Path('a.txt').read_text() + 'slow'); meet()", retryPolicy=policy)
    quick = step("quick", "write('a.txt', 'quick '); meet()")
    async with running(project, slow, quick) as (engine, run):
        await asyncio.gather(ready(project, "slow"), ready(project, "quick"))
        await let_go(project, "quick")
        await until(engine, run, lambda seen: state_of(seen, "quick").status is NodeStatus.COMPLETED)
        await let_go(project, "slow")
        await ready(project, "slow")
        await let_go(project, "slow")
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED
    assert (project / "a.txt").read_text() == "quick slow"
    assert [one.failure and one.failure.code for one in state_of(seen, "slow").attempts] == ["MERGE_CONFLICT", None]
    assert branches(project) == [f"{seen.id}/slow/1"]


async def test_an_agent_sees_what_is_not_committed_and_what_agents_before_it_left(project: Path) -> None:
    write_files(project, {"a.txt": "edited\n", "untracked.txt": "here\n", ".gitignore": "*.log\n", "x.log": "no\n"})
    look = "assert (open('a.txt').read(), open('untracked.txt').read()) == ('edited\\n', 'here\\n'); "
    first = step("first", look + "assert not os.path.exists('x.log'); write('made.txt', 'by first')")
    second = step("second", "assert open('made.txt').read() == 'by first'; write('made.txt', 'by second')", "first")
    seen = await run_of(project, first, second)
    assert seen.status is RunStatus.COMPLETED
    assert (project / "made.txt").read_text() == "by second"
    assert (project / "x.log").read_text() == "no\n"


async def test_nobodys_index_head_branches_and_stash_are_touched(project: Path) -> None:
    write_files(project, {"stashed.txt": "s"})
    git(project, "stash", "push", "--quiet", "--include-untracked")
    write_files(project, {"a.txt": "staged\n", "new.txt": "staged\n", "src/gone.txt": "unstaged\n"})
    git(project, "add", "a.txt", "new.txt")
    write_files(project, {"a.txt": "staged and edited\n", "untracked.txt": "u\n"})
    (project / "src" / "tool.sh").unlink()

    def seen_by_git() -> list[str]:
        words = (
            ("status", "--porcelain=v2", "--branch"),
            ("diff", "--cached"),
            ("diff",),
            ("ls-files", "--stage"),
            ("for-each-ref",),
            ("reflog", "--all"),
            ("stash", "list"),
            ("config", "--local", "--list"),
        )
        return [git(project, *word) for word in words]

    before, index = seen_by_git(), (project / ".git" / "index").read_bytes()
    seen = await run_of(project, step("adds", "write('lines.txt', open('lines.txt').read() + 'more\\n')"))
    assert seen.status is RunStatus.COMPLETED
    assert (project / ".git" / "index").read_bytes() == index
    assert (project / "lines.txt").read_text() == LINES + "more\n"
    (project / "lines.txt").write_text(LINES)
    assert seen_by_git() == before
    assert leftovers(project) == []


async def test_every_kind_of_change_comes_back(project: Path) -> None:
    write_files(project, {"picture.bin": bytes(range(256)), "dir/inside.txt": "i\n", "plain": "p\n", "to-link": "t\n"})
    (project / "link").symlink_to("a.txt")
    seen = await run_of(project, step("all", EVERY_CHANGE))
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert not (project / "src" / "gone.txt").exists()
    assert (not (project / "a.txt").exists(), (project / "renamed.txt").read_text()) == (True, "a\n")
    assert (project / "src" / "tool.sh").stat().st_mode & 0o111
    assert (project / "picture.bin").read_bytes() == bytes(range(255, -1, -1))
    assert ((project / "link").readlink().name, (project / "new link").readlink().name) == ("lines.txt", "nowhere")
    assert ((project / "dir").read_text(), (project / "plain/deep/er").read_text()) == ("a file now", "a folder now")
    assert (project / "to-link").readlink().name == "plain"
    assert (project / "sp ace and line é.txt").read_text() == "odd"
    assert (project / os.fsdecode(b"\xff\xfe.bin")).read_text() == "bytes"
    assert (project / "empty").read_bytes() == b""
    assert leftovers(project) == []


async def test_an_edit_follows_a_file_that_another_agent_has_renamed(project: Path) -> None:
    edits = step("edits", "replace('lines.txt', 'line 3\\n', 'LINE 3\\n'); meet()")
    renames = step("renames", "os.rename('lines.txt', 'moved.txt'); meet()")
    async with running(project, edits, renames) as (engine, run):
        await together(project, "edits", "renames")
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    assert not (project / "lines.txt").exists()
    assert (project / "moved.txt").read_text() == LINES.replace("line 3\n", "LINE 3\n")


async def test_a_new_file_stays_in_its_folder_though_the_others_in_it_were_moved(project: Path) -> None:
    moves = step("moves", "os.rename('src', 'lib'); meet()")
    adds = step("adds", "write('src/new.txt', 'n'); meet()")
    async with running(project, moves, adds) as (engine, run):
        await together(project, "moves", "adds")
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    moved = [(project / name).exists() for name in ("lib/gone.txt", "lib/tool.sh", "src/new.txt", "src/gone.txt")]
    assert moved == [True, True, True, False]


async def test_what_people_change_meanwhile_is_merged_or_is_a_conflict(project: Path) -> None:
    merged = step("merged", "replace('lines.txt', 'line 2\\n', 'LINE 2\\n'); meet()")
    clashes = step("clashes", "write('a.txt', 'by the agent'); write('made.txt', 'agent'); meet()", "merged")
    async with running(project, merged, clashes) as (engine, run):
        await ready(project, "merged")
        (project / "lines.txt").write_text(LINES.replace("line 18\n", "by hand\n"))
        await let_go(project, "merged")
        await ready(project, "clashes")
        write_files(project, {"made.txt": "by hand", ".gitignore": "made.txt\n"})
        await let_go(project, "clashes")
        seen = await ended(engine, run)
    assert (project / "lines.txt").read_text() == LINES.replace("line 2\n", "LINE 2\n").replace(
        "line 18\n", "by hand\n"
    )
    failure = failure_of(seen, "clashes")
    assert (failure.code, "made.txt" in failure.message) == ("MERGE_CONFLICT", True), failure
    assert (project / "made.txt").read_text() == "by hand", "an ignored file is nobody's to write over"
    assert (project / "a.txt").read_text() == "a\n"
    assert on_branch(project, f"{seen.id}/clashes/1", "made.txt") == "agent"


async def test_what_git_ignores_does_not_come_back(project: Path) -> None:
    write_files(project, {".gitignore": "build/\n"})
    seen = await run_of(project, step("builds", "write('build/out', 'x'); write('kept.txt', 'k')"))
    assert seen.status is RunStatus.COMPLETED
    assert (project / "kept.txt").exists()
    assert not (project / "build").exists()
    assert leftovers(project) == []


async def test_a_file_keeps_its_permissions(project: Path) -> None:
    (project / "a.txt").chmod(0o600)
    seen = await run_of(project, step("edits", "write('a.txt', 'secret')"))
    assert seen.status is RunStatus.COMPLETED
    assert (project / "a.txt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("task", ["sys.exit('it broke')", "sys.exit(print(json.dumps({'failure': {'code': 'BAD'}})))"])
async def test_a_failed_attempt_merges_nothing_and_says_where_its_work_is(task: str, project: Path) -> None:
    seen = await run_of(project, step("fails", f"write('half.txt', 'half'); {task}"))
    failure = failure_of(seen, "fails")
    assert not (project / "half.txt").exists()
    assert f"kept on the branch orchestration/{seen.id}/fails/1" in (failure.hint or "")
    assert on_branch(project, f"{seen.id}/fails/1", "half.txt") == "half"
    assert leftovers(project) == []


async def test_a_failed_attempt_that_changed_nothing_leaves_no_branch(project: Path) -> None:
    seen = await run_of(project, step("fails", "sys.exit('it broke')"))
    assert "orchestration/" not in (failure_of(seen, "fails").hint or "")
    assert (branches(project), leftovers(project)) == ([], [])


async def test_the_work_of_a_cancelled_attempt_is_kept(project: Path) -> None:
    async with running(project, step("slow", "write('half.txt', 'half'); meet()")) as (engine, run):
        await ready(project, "slow")
        await engine.cancel(run)
        seen = await ended(engine, run)
    assert seen.status is RunStatus.CANCELLED
    assert not (project / "half.txt").exists()
    assert on_branch(project, f"{run}/slow/1", "half.txt") == "half"
    [attempt] = state_of(seen, "slow").attempts
    assert attempt.failure is not None
    assert f"orchestration/{run}/slow/1" in (attempt.failure.hint or "")
    assert leftovers(project) == []


async def test_the_work_of_an_attempt_that_took_too_long_is_kept(project: Path) -> None:
    late = Failure(FailureKind.TIMEOUT, "TIMEOUT", "it took too long", hint="Raise `timeout`.")
    async with running(project, step("slow", "write('half.txt', 'half'); meet()")) as (engine, run):
        await ready(project, "slow")
        engine.live_runs.send(run, EndAttempt(NodeId("slow"), 1, late))
        seen = await ended(engine, run)
    failure = failure_of(seen, "slow")
    assert failure.code == "TIMEOUT"
    assert (failure.hint or "").startswith("Raise `timeout`. The attempt's changes are kept on the branch ")
    assert f"orchestration/{seen.id}/slow/1" in (failure.hint or "")
    assert on_branch(project, f"{seen.id}/slow/1", "half.txt") == "half"
    assert not (project / "half.txt").exists()
    assert leftovers(project) == []


async def test_while_others_have_the_files_of_the_project_no_time_of_an_isolated_attempt_runs(project: Path) -> None:
    open_state(project)
    async with contextlib.AsyncExitStack() as others:
        await others.enter_async_context(alone(await prepare(project, AttemptId("r-1:check#1")), project, lambda: None))
        async with running(project, step("waits", "write('new.txt', 'new')")) as (engine, run):
            seen = await until(engine, run, lambda run: bool(state_of(run, "waits").attempts))
            [attempt] = state_of(seen, "waits").attempts
            assert (attempt.started_at, attempt.deadline, seen.next_due()) == (None, None, None)
            await others.aclose()
            seen = await ended(engine, run)
    [attempt] = state_of(seen, "waits").attempts
    assert attempt.started_at is not None
    assert attempt.deadline == attempt.started_at + state_of(seen, "waits").plan.timeout
    assert (seen.status, attempt.worker) == (RunStatus.COMPLETED, HERE)
    assert (project / "new.txt").read_text(encoding="utf-8") == "new"


async def test_the_end_of_the_server_keeps_what_was_begun(project: Path) -> None:
    async with running(project, step("slow", "write('half.txt', 'half'); meet()")) as (_engine, run):
        await ready(project, "slow")
    assert on_branch(project, f"{run}/slow/1", "half.txt") == "half"
    assert leftovers(project) == []


async def test_a_compensation_works_isolated_as_well(project: Path) -> None:
    undo = {"type": "rollback", "task": "assert '.claude/worktrees' in os.getcwd(); os.remove('made.txt')"}
    makes = step("makes", "write('made.txt', 'm')", compensation=undo)
    seen = await run_of(project, makes, step("fails", "sys.exit('it broke')", "makes"))
    assert seen.status is RunStatus.COMPENSATED
    assert not (project / "made.txt").exists()


async def test_an_agent_that_works_on_its_own_git_state_loses_nothing(project: Path) -> None:
    commits = (
        "subprocess.run(['git', '-c', 'user.name=x', '-c', 'user.email=x@x', 'commit', '-qam', 'mine'], check=True)"
    )
    tasks = {
        "commits": f"write('a.txt', 'committed'); {commits}; write('later.txt', 'l')",
        "forgets": "subprocess.run(['git', 'rm', '-q', '--cached', 'lines.txt'], check=True); write('f.txt', 'f')",
        "removes": "os.remove('.git'); write('r.txt', 'r')",
        "begins": "os.remove('.git'); subprocess.run(['git', 'init', '-q'], check=True); write('b.txt', 'b')",
        "moves": "subprocess.run(['git', 'checkout', '-q', '--orphan', 'lost'], check=True); write('m.txt', 'm')",
    }
    head = git(project, "rev-parse", "HEAD")
    for name, task in tasks.items():
        seen = await run_of(project, step(name, task))
        assert seen.status is RunStatus.COMPLETED, seen.message
        assert leftovers(project) == []
    assert (project / "a.txt").read_text() == "committed"
    assert [(project / f"{name}.txt").exists() for name in ("later", "f", "r", "b", "m")] == [True] * 5
    assert (project / "lines.txt").read_text() == LINES
    assert git(project, "rev-parse", "HEAD") == head


async def test_a_folder_that_the_agent_has_closed_is_removed_with_the_rest(project: Path) -> None:
    seen = await run_of(project, step("closes", "write('shut/x.txt', 'x'); os.chmod('shut', 0o500)"))
    assert seen.status is RunStatus.COMPLETED
    assert leftovers(project) == []


async def test_an_agent_without_isolation_works_in_the_project(project: Path) -> None:
    seen = await run_of(project, step("plain", "write('made.txt', os.getcwd())"), agent={"isolation": None})
    assert seen.status is RunStatus.COMPLETED
    assert (project / "made.txt").read_text() == str(project)
