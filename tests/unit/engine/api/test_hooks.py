"""Hooks are told what happens, in order, and can hurt nobody."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from engine import AgentFailure, NodeResult, TodoWriteConfig
from engine.api.hooks import Caller
from tests.support.programs import Functions, opened, step, steps

if TYPE_CHECKING:
    from pathlib import Path

    from engine import Context
    from engine.views.todos import Todo

TWO = steps([step("a")], [step("b", "a")])
WORK = Functions(worker=lambda context: dict.fromkeys(context.outputs, 1))


class Told:
    """Hooks that write down what they are told."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def on_node_start(self, node_id: str, phase: str) -> None:
        self.lines.append(("start", node_id, phase))

    async def on_node_complete(self, node_id: str, duration_ms: int, success: bool) -> None:  # noqa: FBT001 - the guide's signature
        assert duration_ms >= 0
        self.lines.append(("complete", node_id, success))

    def on_phase_complete(self, phase_id: str, results: dict[str, NodeResult]) -> None:
        self.lines.append(("phase", phase_id, {name: result.status.value for name, result in results.items()}))

    @property
    def hooks(self) -> dict[str, Any]:
        names = ("on_node_start", "on_node_complete", "on_phase_complete")
        return {name: getattr(self, name) for name in names}


async def test_hooks_are_told_of_starts_ends_and_phases_in_order(project: Path) -> None:
    told = Told()
    async with opened(project, WORK, **told.hooks) as engine:
        await engine.execute(TWO)
    assert told.lines == [
        ("start", "a", "p1"),
        ("complete", "a", True),
        ("phase", "p1", {"a": "completed"}),
        ("start", "b", "p2"),
        ("complete", "b", True),
        ("phase", "p2", {"b": "completed"}),
    ]


async def test_hooks_are_told_of_a_list_and_of_each_of_its_items(project: Path) -> None:
    context = {"inputs": [{"key": "things", "default": ["x", "y"]}]}
    each = step("a", forEach={"items": "things", "maxParallelism": 1}, context=context)
    told = Told()
    async with opened(project, WORK, **told.hooks) as engine:
        done = await engine.execute(steps([each]))
    assert done.success
    assert told.lines == [
        ("start", "a", "p1"),
        ("start", "a/1", "a/items"),
        ("complete", "a/1", True),
        ("start", "a/2", "a/items"),
        ("complete", "a/2", True),
        ("phase", "a/items", {"a/1": "completed", "a/2": "completed"}),
        ("complete", "a", True),
        ("phase", "p1", {"a": "completed"}),
    ]


async def test_a_node_that_is_tried_again_starts_and_ends_once(project: Path) -> None:
    tries: list[str] = []

    def work(context: Context) -> int:
        tries.append(context.attempt)
        if len(tries) < 3:
            raise AgentFailure("FLAKY", "again")
        return 1

    told = Told()
    retry = {"maxAttempts": 3, "strategy": "immediate"}
    async with opened(project, Functions(worker=work), **told.hooks) as engine:
        await engine.execute(steps([step("a", retryPolicy=retry)]))
    assert told.lines[:2] == [("start", "a", "p1"), ("complete", "a", True)]


async def test_a_failure_is_told_and_undoing_is_no_end_of_a_node(project: Path) -> None:
    def work(context: Context) -> dict[str, int]:
        if context.node_id == "b":
            raise AgentFailure("NO", "no")
        return dict.fromkeys(context.outputs, 1)

    told = Told()
    undo = {"type": "rollback", "task": "Undo it"}
    async with opened(project, Functions(worker=work), **told.hooks) as engine:
        done = await engine.execute(steps([step("a", compensation=undo)], [step("b", "a")]))
        assert done.status == "compensated"
    assert [line for line in told.lines if line[0] == "complete"] == [("complete", "a", True), ("complete", "b", False)]


async def test_a_node_that_fails_before_it_starts_is_told_to_have_failed(project: Path) -> None:
    told = Told()
    raw = steps(
        [step("a", agent="breaker")], [step("b", context={"inputs": [{"key": "a"}], "outputs": [{"key": "b"}]})]
    )
    raw["phases"][0]["continueOnError"] = True

    def fail(_context: Context) -> None:
        raise AgentFailure("NO", "no")

    async with opened(project, Functions(worker=lambda _context: 1, breaker=fail), **told.hooks) as engine:
        await engine.execute(raw)
    assert told.lines == [
        ("start", "a", "p1"),
        ("complete", "a", False),
        ("phase", "p1", {"a": "failed"}),
        ("complete", "b", False),
    ]


async def test_a_failed_node_that_is_taken_up_starts_again(project: Path) -> None:
    tries: list[str] = []

    def work(_context: Context) -> int:
        tries.append("x")
        if len(tries) == 1:
            raise AgentFailure("NO", "no")
        return 1

    told = Told()
    async with opened(project, Functions(worker=work), **told.hooks) as engine:
        failed = await engine.execute(steps([step("a")]))
        await engine.resume(failed.run_id, failed=True)
    assert [line[:2] for line in told.lines] == [
        ("start", "a"),
        ("complete", "a"),
        ("start", "a"),
        ("complete", "a"),
        ("phase", "p1"),
    ]


async def test_a_hook_that_raises_is_logged_and_hurts_nobody(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_told: object) -> None:
        raise ValueError("it is broken")

    async def broken_too(*_told: object) -> None:
        raise ValueError("it is broken, too")

    hooks = {"on_node_start": broken, "on_node_complete": broken_too}
    async with opened(project, WORK, **hooks) as engine:
        assert (await engine.execute(TWO)).success
    assert "the hook on_node_start raised" in caplog.text
    assert "it is broken, too" in caplog.text


@pytest.mark.parametrize("raised", [StopIteration("spent"), SystemExit("spent"), pytest.fail.Exception("spent")])
async def test_whatever_a_hook_raises_in_its_thread_is_logged_at_once(
    raised: BaseException, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_told: object) -> None:
        raise raised

    async with opened(project, WORK, hook_timeout=60, on_node_start=broken) as engine:
        assert (await engine.execute(TWO)).success
    assert caplog.text.count("the hook on_node_start raised") == 2
    assert "spent" in caplog.text


async def test_hooks_that_hang_are_left_behind_and_called_no_more_after_three_times(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for_ever = threading.Event()
    calls: list[str] = []

    def hang(node: str, _phase: str) -> None:
        calls.append(node)
        for_ever.wait(30)

    async def hang_too(*_told: object) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.get_running_loop().create_future()

    raw = steps(*([step(f"n{number}")] for number in range(5)))
    hooks = {"on_node_start": hang, "on_phase_complete": hang_too}
    async with opened(project, WORK, hook_timeout=0.05, **hooks) as engine:
        done = await engine.execute(raw)
    for_ever.set()
    assert done.success
    assert calls == ["n0", "n1", "n2"]
    assert caplog.text.count("the hook on_node_start did not end within 0.05 seconds") == 3
    assert caplog.text.count("and will not be called again") == 2


async def test_a_plain_function_that_gives_something_to_await_is_awaited() -> None:
    called = asyncio.Event()

    async def later() -> None:
        called.set()

    caller = Caller(timeout=5)
    task = asyncio.create_task(caller.run())
    caller.ask("hook", lambda: later())  # noqa: PLW0108 - the lambda is what is tested
    await asyncio.wait_for(caller.drained(), 5)
    assert called.is_set()
    task.cancel()


async def test_an_object_with_an_async_call_runs_on_the_loop() -> None:
    class Hook:
        thread: int | None = None

        async def __call__(self) -> None:
            self.thread = threading.get_ident()

    hook, caller = Hook(), Caller(timeout=5)
    task = asyncio.create_task(caller.run())
    caller.ask("hook", hook)
    await asyncio.wait_for(caller.drained(), 5)
    assert hook.thread == threading.get_ident()
    task.cancel()


async def test_a_late_end_of_a_hook_is_not_missed_by_anybody(caplog: pytest.LogCaptureFixture) -> None:
    go_on, ended = threading.Event(), threading.Event()

    def slow() -> None:
        go_on.wait(30)
        ended.set()
        raise ValueError("too late")

    caplog.set_level(logging.WARNING)
    caller = Caller(timeout=0.01)
    task = asyncio.create_task(caller.run())
    caller.ask("slow", slow)
    await asyncio.wait_for(caller.drained(), 5)
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 5)
    await asyncio.to_thread(lambda: None)
    assert "did not end" in caplog.text
    assert "too late" not in caplog.text
    task.cancel()


async def test_todo_updates_come_at_once_for_phases_and_batched_for_the_rest(project: Path) -> None:
    told: list[list[Todo]] = []
    raw = steps([step(f"n{number}") for number in range(8)], [step("last")])
    async with opened(
        project, WORK, on_todo_write=told.append, todo_write=TodoWriteConfig(batch_delay=60_000)
    ) as engine:
        await engine.execute(raw)
    assert len(told) <= 5
    assert {todo.status for todo in told[-1]} == {"completed"}
    assert any({todo.status for todo in todos} == {"in_progress", "pending"} for todos in told)


async def test_every_update_comes_where_no_delay_is_wanted(project: Path) -> None:
    told: list[list[Todo]] = []
    raw = steps([step("a"), step("b", "a"), step("c", "b")])
    async with opened(project, WORK, on_todo_write=told.append, todo_write=TodoWriteConfig(batch_delay=0)) as engine:
        await engine.execute(raw)
    done = [sum(todo.status == "completed" for todo in todos) for todos in told]
    assert done == sorted(done)
    assert done[-1] == 3
    assert {1, 2} <= set(done)


async def test_an_update_that_was_put_off_comes_when_its_time_has_come(project: Path) -> None:
    told: asyncio.Queue[list[Todo]] = asyncio.Queue()
    go_on = asyncio.Event()

    async def see(todos: list[Todo]) -> None:
        told.put_nowait(todos)

    async def work(context: Context) -> dict[str, int]:
        if context.node_id == "c":
            await go_on.wait()
        return dict.fromkeys(context.outputs, 1)

    raw = steps([step("a"), step("b", "a"), step("c", "b")])
    config = TodoWriteConfig(batch_delay=50)
    async with opened(project, Functions(worker=work), on_todo_write=see, todo_write=config) as engine:
        call = asyncio.create_task(engine.execute(raw))
        while [todo.status for todo in await asyncio.wait_for(told.get(), 10)] != [
            "completed",
            "completed",
            "in_progress",
        ]:
            pass
        go_on.set()
        assert (await call).success
