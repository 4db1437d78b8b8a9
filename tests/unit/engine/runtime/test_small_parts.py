"""The clock, the notifier, and what is observed of a project."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from engine.ids import NodeId
from engine.runtime.clock import EPOCH, SystemClock, VirtualClock, VirtualLoop, new_owner_id
from engine.runtime.notifier import Bell, Notifier
from engine.runtime.observations import ProjectObserver
from tests.support.by_hand import RUN, ByHand
from tests.support.definitions import command, node, phase


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"loop_factory": VirtualLoop})


def test_the_systems_clock_is_aware_and_its_ids_are_new() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert len({clock.new_run_id() for _ in range(100)}) == 100
    assert new_owner_id() != new_owner_id()


def test_a_loop_whose_time_jumps_waits_for_threads_until_they_have_ended() -> None:
    loop = VirtualLoop()
    working = loop.run_in_executor(None, lambda: subprocess.run([sys.executable, "-c", ""], check=True))
    loop.run_until_complete(loop.shutdown_default_executor(1))  # which pass at once
    assert loop.run_until_complete(working).returncode == 0
    assert loop.time() < 1
    loop.close()


@pytest.mark.parametrize("by", [7200.0, -7200.0])
def test_the_systems_clock_goes_on_with_lived_time_and_follows_a_jump_when_asked(
    by: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, steady = 1_900_000_000.0, 50.0
    monkeypatch.setattr("engine.runtime.clock.time.time", lambda: wall)
    monkeypatch.setattr("engine.runtime.clock.time.monotonic", lambda: steady)
    clock = SystemClock()
    begun = clock.now()
    assert begun.timestamp() == wall
    wall, steady = wall + by + 10, steady + 10
    assert clock.now() - begun == timedelta(seconds=10)
    assert clock.jump() == timedelta(seconds=by)
    assert clock.now().timestamp() == wall
    assert clock.jump() == timedelta(0)


def test_what_the_systems_clock_is_put_right_by_is_no_jump_until_it_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = 1_900_000_000.0
    monkeypatch.setattr("engine.runtime.clock.time.time", lambda: wall)
    monkeypatch.setattr("engine.runtime.clock.time.monotonic", lambda: 50.0)
    clock = SystemClock()
    wall += 0.7
    assert clock.jump() == timedelta(0)
    assert clock.now().timestamp() == wall - 0.7
    wall += 0.7
    assert clock.jump() == timedelta(seconds=1.4)


async def test_virtual_time_jumps_to_what_is_due_and_no_further() -> None:
    loop = asyncio.get_running_loop()
    clock = VirtualClock(loop, random.Random(1))  # noqa: S311 - repeatable by intent
    other = VirtualClock(loop, random.Random(1))  # noqa: S311 - repeatable by intent
    assert clock.now() == EPOCH
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.create_future(), 3600)
    assert 3600 <= (clock.now() - EPOCH).total_seconds() < 3601
    assert clock.new_run_id() == other.new_run_id()


async def test_who_waits_for_a_run_is_woken_when_it_moves_and_else_when_time_is_up() -> None:
    notifier = Notifier()
    notifier.moved(RUN)
    asyncio.get_running_loop().call_later(5, notifier.moved, RUN)
    moved = await asyncio.gather(notifier.wait(RUN, 60), notifier.wait(RUN, 1), notifier.wait(RUN, 60))
    assert list(moved) == [True, False, True]


async def test_a_waiter_that_was_cancelled_does_not_keep_the_others_from_being_woken() -> None:
    notifier = Notifier()
    gone = asyncio.ensure_future(notifier.wait(RUN, 60))
    kept = asyncio.ensure_future(notifier.wait(RUN, 60))
    asyncio.get_running_loop().call_later(1, gone.cancel)
    asyncio.get_running_loop().call_later(2, notifier.moved, RUN)
    assert await asyncio.wait_for(kept, 60) is True
    assert gone.cancelled()


async def test_who_is_cancelled_in_the_moment_in_which_the_run_moves_is_cancelled() -> None:
    notifier = Notifier()
    leaving = asyncio.ensure_future(notifier.wait(RUN, 60))
    await anyio.lowlevel.checkpoint()
    notifier.moved(RUN)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()


async def test_a_bell_is_heard_once_however_often_it_was_rung_before_or_while_its_task_waits() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    async with asyncio.timeout(1):
        await bell.heard()
    assert not bell.rung
    heard = asyncio.ensure_future(bell.heard())
    await anyio.lowlevel.checkpoint()
    assert not heard.done()
    bell.ring()
    bell.ring()
    async with asyncio.timeout(1):
        await heard
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await bell.heard()


async def test_a_bell_outlives_the_task_that_waited_for_it() -> None:
    bell = Bell()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await bell.heard()
    bell.ring()
    async with asyncio.timeout(1):
        await bell.heard()


def observations_about(project: Path, type_: str, expression: str) -> tuple[bool | None, str | None]:
    """Whether a condition holds, and the code of the failure to find out."""
    skip = {"type": type_, "expression": expression}
    story = ByHand(command(phase("p", node("first"), node("a", "first", skipCondition=skip))), initial={"mode": "fast"})

    def broken(_values: Any) -> bool:  # noqa: ANN401 - as registered
        raise RuntimeError

    observer = ProjectObserver(
        project,
        story.values,
        last_run_completed=lambda name: name == "/done",
        custom={"is-fast": lambda values: values["mode"] == "fast", "broken": broken},
    )
    found = observer.about(story.run, NodeId("a"))
    return found.holds, None if found.failure is None else found.failure.code


@pytest.mark.parametrize(
    ("type_", "expression", "holds"),
    [
        ("file_exists", "src/app.py", True),
        ("file_exists", "src/none.py", False),
        ("file_exists", "src/*.py", True),
        ("file_exists", "src/*.txt", False),
        ("file_exists", "src/[id].ts", True),
        ("file_exists", "src/[a]pp.py", True),
        ("file_exists", "src/[b]pp.py", False),
        ("command_success", "/done", True),
        ("command_success", "/other", False),
        ("custom", "is-fast", True),
    ],
)
def test_a_condition_about_the_world_holds_or_does_not(
    tmp_path: Path, type_: str, expression: str, *, holds: bool
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("", encoding="utf-8")
    (tmp_path / "src" / "[id].ts").write_text("", encoding="utf-8")
    assert observations_about(tmp_path, type_, expression) == (holds, None)


@pytest.mark.parametrize(
    ("type_", "expression", "code"),
    [
        ("file_exists", "/etc/passwd", "PATH_OUTSIDE_PROJECT"),
        ("file_exists", "a/../../b", "PATH_OUTSIDE_PROJECT"),
        ("file_exists", "src/../src", "PATH_OUTSIDE_PROJECT"),
        ("file_exists", "a\0b", "CONDITION_ERROR"),
        ("custom", "nobody", "UNKNOWN_CONDITION"),
        ("custom", "broken", "CONDITION_ERROR"),
    ],
)
def test_a_condition_that_cannot_be_judged_is_a_failure(tmp_path: Path, type_: str, expression: str, code: str) -> None:
    assert observations_about(tmp_path, type_, expression) == (None, code)


def test_a_link_out_of_the_project_is_no_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "secret.txt").write_text("", encoding="utf-8")
    (tmp_path / "project" / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert observations_about(tmp_path / "project", "file_exists", "*.txt") == (False, None)
    assert observations_about(tmp_path / "project", "file_exists", "link.txt") == (None, "PATH_OUTSIDE_PROJECT")
