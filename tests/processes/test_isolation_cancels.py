"""Cancels at every step of an isolated attempt: nothing is merged, nothing is lost, nothing stays behind."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from engine.executors.folders import remove_folder
from engine.executors.port import Outcome
from engine.executors.process import ProcessExecutor
from engine.executors.worktrees import changes
from engine.executors.worktrees.isolated import IsolatedExecutor
from tests.support.orders import Beats, alive_with, order_for
from tests.support.real_agents import SECONDS, held_back, let_go, ready
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
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.model.log import LogLine

pytestmark = pytest.mark.processes

TASK = "write('a.txt', 'A'); os.remove('b.txt'); write('new/c.txt', 'C')"
BEFORE: dict[str, str | bytes] = {"a.txt": "a\n", "b.txt": "b\n"}
BRANCH = "r-1/check/1"


class Listening(Beats):
    """A heartbeat that tells when an action is told for the first time."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.heard = asyncio.Event()
        self._action = action

    def __call__(self, action: str | None = None, said: str = "", log: Sequence[LogLine] | None = None) -> None:
        super().__call__(action, said, log)
        if action == self._action:
            self.heard.set()


class Meddling(ThreadPoolExecutor):
    """Threads of the event loop; just before one of them begins with *work*, something else is done."""

    def __init__(self, work: Callable[..., Any], first: Callable[[], object]) -> None:
        super().__init__()
        self.work, self.first = work, first

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        if self.work in (*getattr(fn, "args", ()), *args):
            self.first()
        return super().submit(fn, *args, **kwargs)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", BEFORE)


def begin(project: Path, beats: Beats, task: str = TASK) -> asyncio.Task[Outcome | list[str]]:
    """An attempt; cancelled, it gives what the cancellation has to say."""
    order = order_for(editor(project), project=project, outputs=(), task=task)
    executor = IsolatedExecutor(ProcessExecutor(), permit=lambda _agent: None)

    async def attempt() -> Outcome | list[str]:
        try:
            return await executor.execute(order, beats)
        except asyncio.CancelledError as error:
            return list(getattr(error, "__notes__", ()))

    return asyncio.ensure_future(attempt())


async def end_of(attempt: asyncio.Task[Outcome | list[str]], project: Path) -> list[str]:
    """What the cancelled attempt has to say; it has left nothing behind."""
    notes = await asyncio.wait_for(attempt, SECONDS)
    assert isinstance(notes, list)
    assert leftovers(project) == []
    assert alive_with(order_for(editor(project), project=project)) == []
    return notes


async def outcome_of(attempt: asyncio.Task[Outcome | list[str]]) -> Outcome:
    outcome = await asyncio.wait_for(attempt, SECONDS)
    assert isinstance(outcome, Outcome)
    return outcome


def assert_untouched(project: Path) -> None:
    assert git(project, "status", "--porcelain", "a.txt", "b.txt", "new") == ""


async def test_while_the_worktree_is_made(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(project / "filter")
    configure_user(monkeypatch, project.parent, **{"filter.waits.smudge": f"cat {project}/filter; cat"})
    write_files(project, {".gitattributes": "*.slow filter=waits\n", "x.slow": "x"})
    attempt = begin(project, Beats())
    async with held_back(project / "filter"):
        attempt.cancel()
        assert await end_of(attempt, project) == []
    assert branches(project) == []


async def test_while_others_merge(project: Path) -> None:
    beats = Listening("Merging changes")
    for name in ("check.ready", "check.go"):
        os.mkfifo(project / name)
    attempt = begin(project, beats, f"{TASK}; meet()")
    async with asyncio.timeout(SECONDS):
        await ready(project, "check")
        with FileLock(project / ".claude" / "orchestration" / "worktrees" / "lock"):
            await let_go(project, "check")
            await beats.heard.wait()
            count = beats.count
            while beats.count < count + 3:  # it gives signs of life while it waits
                await asyncio.wait([attempt], timeout=0.01)
            attempt.cancel()
            [note] = await end_of(attempt, project)
    assert f"orchestration/{BRANCH}" in note
    assert on_branch(project, BRANCH, "new/c.txt") == "C"
    assert_untouched(project)


async def test_while_files_are_moved_into_place(project: Path) -> None:
    attempt = begin(project, Beats())
    asyncio.get_running_loop().set_default_executor(Meddling(changes._move, attempt.cancel))
    [note] = await end_of(attempt, project)
    assert f"orchestration/{BRANCH}" in note
    assert on_branch(project, BRANCH, "new/c.txt") == "C"
    assert_untouched(project)
    assert not (project / "new").exists()


async def test_when_all_is_merged_it_comes_too_late(project: Path) -> None:
    attempt = begin(project, Beats())
    # The first folder that is removed is that of the worktree, after its work was merged.
    asyncio.get_running_loop().set_default_executor(Meddling(remove_folder, attempt.cancel))
    outcome = await outcome_of(attempt)
    assert outcome.failure is None
    assert (project / "new" / "c.txt").read_text() == "C"
    assert (branches(project), leftovers(project)) == ([], [])


async def test_while_the_work_of_a_failed_attempt_is_kept(project: Path) -> None:
    attempt = begin(project, Beats(), f"{TASK}; sys.exit('it broke')")
    asyncio.get_running_loop().set_default_executor(Meddling(remove_folder, attempt.cancel))
    [note] = await end_of(attempt, project)
    assert f"orchestration/{BRANCH}" in note
    assert on_branch(project, BRANCH, "new/c.txt") == "C"


def saving(attempt: asyncio.Task[Any], path: Path, *texts: str) -> None:
    """Let a person write *path* between the merge of what was changed and the moment in which files are moved."""
    left = iter(texts)

    def save() -> None:
        text = next(left, None)
        if text is not None:
            path.write_text(text)

    assert not attempt.done()
    asyncio.get_running_loop().set_default_executor(Meddling(changes._emptied, save))


async def test_somebody_who_saves_a_file_at_the_last_moment_wins(project: Path) -> None:
    attempt = begin(project, Beats(), "write('new.txt', 'n'); write('a.txt', 'A')")
    saving(attempt, project / "a.txt", "by hand\n")
    outcome = await outcome_of(attempt)
    assert outcome.failure is not None
    assert outcome.failure.code == "MERGE_CONFLICT"
    assert (project / "a.txt").read_text() == "by hand\n"
    assert not (project / "new.txt").exists()


async def test_what_is_saved_at_the_last_moment_is_merged_anew(project: Path) -> None:
    lines = "".join(f"line {number}\n" for number in range(1, 21))
    write_files(project, {"lines.txt": lines})
    attempt = begin(project, Beats(), "replace('lines.txt', 'line 2\\n', 'LINE 2\\n')")
    saving(attempt, project / "lines.txt", lines.replace("line 19\n", "by hand\n"))
    assert (await outcome_of(attempt)).failure is None
    assert (project / "lines.txt").read_text() == lines.replace("line 2\n", "LINE 2\n").replace(
        "line 19\n", "by hand\n"
    )


async def test_who_never_stops_to_save_wins_in_the_end(project: Path) -> None:
    lines = [f"line {number}\n" for number in range(1, 41)]
    write_files(project, {"lines.txt": "".join(lines)})
    attempt = begin(project, Beats(), "replace('lines.txt', 'line 2\\n', 'LINE 2\\n')")
    texts = ["".join([*lines, f"save {number}\n"]) for number in range(100)]
    saving(attempt, project / "lines.txt", *texts)
    outcome = await outcome_of(attempt)
    assert outcome.failure is not None
    assert (outcome.failure.code, "lines.txt" in outcome.failure.message) == ("MERGE_CONFLICT", True)
    assert (project / "lines.txt").read_text() in texts
    assert "LINE 2" in on_branch(project, BRANCH, "lines.txt")
