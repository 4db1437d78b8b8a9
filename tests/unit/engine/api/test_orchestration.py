"""`OrchestrationEngine` runs what a program makes, and says how it went."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.lowlevel
import pytest

from engine import (
    AgentFailure,
    CircuitBreaker,
    CommandDefinition,
    EnvironmentFault,
    InputError,
    InvalidCommand,
    MetricsCollector,
    NotFound,
    OrchestrationEngine,
    StateError,
    TodoWriteConfig,
)
from mcp_server.project.workplace import open_workplace
from tests.support.programs import Functions, opened, step, steps
from tests.support.state import contents, plant

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from engine import Context
    from engine.api.port import Workplace
    from engine.views.todos import Todo

TWO = steps([step("a")], [step("b", "a")])
CHAIN = Functions(worker=lambda context: dict.fromkeys(context.outputs, sum(context.data.values()) + 1))
UNDO = {"type": "rollback", "task": "Undo it"}


async def test_a_definition_made_by_a_program_is_run_and_gives_its_outputs(project: Path) -> None:
    async with opened(project, CHAIN) as engine:
        done = await engine.execute(TWO)
    assert done.success
    assert done.status == "completed"
    assert done.outputs == {"a": 1, "b": 2}
    assert done.command == "/made"
    assert {name: node.status for name, node in done.nodes.items()} == {"a": "completed", "b": "completed"}
    assert [(todo.status, todo.active_form) for todo in done.todos] == [
        ("completed", "Making a..."),
        ("completed", "Making b..."),
    ]
    assert done.display.startswith("Phase 1: Part 1\n  ✅ Make a (completed in ")
    assert done.metrics.run_id == done.run_id


async def test_state_that_came_with_the_project_is_refused_and_left_alone(project: Path) -> None:
    plant(project)
    before = contents(project)
    with pytest.raises(EnvironmentFault) as caught:
        async with opened(project, CHAIN) as engine:
            await engine.execute(TWO)
    assert caught.value.code == "STATE_NOT_OURS"
    assert contents(project) == before


async def test_an_output_whose_values_do_not_join_is_left_out_and_nothing_else(project: Path) -> None:
    both = {"key": "both", "merge": "merge"}
    first, second = ({"outputs": [both, {"key": key}]} for key in "ab")
    raw = steps([step("a", context=first)], [step("b", context=second)])
    program = Functions(worker=lambda context: dict.fromkeys(context.outputs, {} if context.node_id == "a" else 5))
    async with opened(project, program) as engine:
        done = await engine.execute(raw)
    assert done.success
    assert done.outputs == {"a": {}, "b": 5}


async def test_a_model_made_in_python_is_a_definition_too(project: Path) -> None:
    made = CommandDefinition.model_validate(TWO)
    written = CommandDefinition(
        version="2.0.0",
        name="/written",
        description="Written in Python",
        phases=[{"id": "one", "name": "One", "agents": [{"id": "a", "agent_id": "worker", "task": "Make a"}]}],
    )
    async with opened(project, CHAIN) as engine:
        assert (await engine.execute(made)).outputs == {"a": 1, "b": 2}
        assert (await engine.execute(written)).success


async def test_a_command_is_found_by_name_and_by_path_and_gets_its_arguments(project: Path) -> None:
    folder = project / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    raw = steps([step("a", task="Greet $ARGUMENTS")], name="/greet")
    raw["phases"][0]["agents"][0]["context"]["passthrough"] = True
    (folder / "greet.json").write_text(json.dumps(raw))
    program = Functions(worker=lambda context: {"a": context.data["arguments"]})
    async with opened(project, program) as engine:
        assert (await engine.execute("/greet", "the world")).outputs == {"a": "the world"}
        assert (await engine.execute(folder / "greet.json", "me")).outputs == {"a": "me"}
        assert (await engine.execute("/greet", {"arguments": "all"})).outputs == {"a": "all"}
    assert program.asked[0] == ("worker", "Greet the world")


async def test_without_a_block_each_call_opens_and_closes_the_project(project: Path) -> None:
    engine = OrchestrationEngine()
    engine.set_agent_executor(CHAIN)
    first, second = await asyncio.gather(engine.execute(TWO), engine.execute(TWO))
    assert first.outputs == second.outputs == {"a": 1, "b": 2}
    assert list((project / ".claude" / "orchestration" / "owners").iterdir()) == []


async def test_an_engine_in_use_is_refused_to_another_event_loop_and_goes_on(project: Path) -> None:
    def elsewhere() -> None:
        asyncio.run(engine.execute(TWO))

    async with opened(project, CHAIN) as engine:
        with pytest.raises(StateError, match="in use on another event loop") as caught:
            await asyncio.to_thread(elsewhere)
        assert (await engine.execute(TWO)).success
    assert caught.value.code == "OTHER_EVENT_LOOP"
    assert await asyncio.to_thread(lambda: asyncio.run(engine.execute(TWO)).success)


async def test_a_block_inside_a_block_leaves_the_outer_one_open_and_both_closed_at_the_end(project: Path) -> None:
    owners = project / ".claude" / "orchestration" / "owners"
    async with opened(project, CHAIN) as engine:
        async with engine:
            assert (await engine.execute(TWO)).success
        assert list(owners.iterdir())
        assert (await engine.execute(TWO)).success
    assert list(owners.iterdir()) == []


def test_one_engine_serves_one_event_loop_after_the_other(project: Path) -> None:
    engine = OrchestrationEngine(project)
    engine.set_agent_executor(CHAIN)

    async def twice() -> list[bool]:
        return [done.success for done in await asyncio.gather(engine.execute(TWO), engine.execute(TWO))]

    assert asyncio.run(twice()) == [True, True]
    assert asyncio.run(twice()) == [True, True]


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt()])
def test_a_program_that_ends_in_an_agent_does_not_wait_for_its_run(project: Path, end: BaseException) -> None:
    def leave(_context: Context) -> None:
        raise end

    engine = OrchestrationEngine(project)
    engine.set_agent_executor(Functions(worker=leave))
    with pytest.raises(type(end)):
        asyncio.run(engine.execute(steps([step("a")])))
    assert asyncio.run(OrchestrationEngine(project).report()).status == "interrupted"


async def test_a_failure_is_a_result_and_what_was_done_is_undone(project: Path) -> None:
    def fail(_context: Context) -> None:
        raise AgentFailure("NO_DISK", "the disk is full", hint="Make room.")

    undone: list[dict[str, Any]] = []

    def work(context: Context) -> dict[str, int]:
        if context.role == "compensate":
            undone.append(dict(context.produced))
        return {"a": 1}

    raw = steps([step("a", compensation=UNDO)], [step("b", "a", agent="breaker")])
    async with opened(project, Functions(worker=work, breaker=fail)) as engine:
        done = await engine.execute(raw)
    assert not done.success
    assert done.status == "compensated"
    assert done.message == 'Node "b" failed: the disk is full'
    (failure,) = done.failures
    assert (failure.node, failure.failure.code, failure.failure.hint) == ("b", "NO_DISK", "Make room.")
    assert done.nodes["b"].error == "NO_DISK: the disk is full"
    assert undone == [{"a": 1}]


async def test_a_definition_with_errors_tells_all_of_them_and_runs_nothing(project: Path) -> None:
    raw = steps([step("a", "b"), step("b", "a")], [step("c", "nothing")])
    async with opened(project, CHAIN) as engine:
        with pytest.raises(InvalidCommand) as caught:
            await engine.execute(raw)
    assert {"CIRCULAR_DEPENDENCY", "UNKNOWN_DEPENDENCY"} <= {problem.code for problem in caught.value.problems}


async def test_an_agent_that_nobody_does_is_an_error_of_the_definition(project: Path) -> None:
    async with opened(project) as engine:
        with pytest.raises(InvalidCommand, match="AGENT_NOT_FOUND"):
            await engine.execute(TWO)


async def test_a_command_that_is_not_there_is_told(project: Path) -> None:
    async with opened(project) as engine:
        with pytest.raises(NotFound):
            await engine.execute("/nothing")


async def test_model_agents_without_a_program_to_run_them_are_told(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATION_CLAUDE_PROGRAM", str(project / "no-such-program"))
    async with opened(project) as engine:
        with pytest.raises(EnvironmentFault, match="EXECUTOR_UNAVAILABLE"):
            await engine.execute(steps([step("a", agent="general-purpose")]))


async def cancel_twice(call: Coroutine[Any, Any, object], running: asyncio.Event) -> None:
    task = asyncio.ensure_future(call)
    await running.wait()
    task.cancel()
    await anyio.lowlevel.checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_the_scope(call: Coroutine[Any, Any, object], running: asyncio.Event) -> None:
    """As anyio does it: the call is cancelled again at everything that it waits for."""
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: call)
        await running.wait()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("cancel", [cancel_twice, cancel_the_scope])
@pytest.mark.parametrize("in_a_block", [True, False])
async def test_a_call_that_is_cancelled_again_and_again_undoes_what_its_run_did(
    project: Path, cancel: Callable[[Coroutine[Any, Any, object], asyncio.Event], Awaitable[None]], *, in_a_block: bool
) -> None:
    running = asyncio.Event()
    undone: list[str] = []

    async def work(context: Context) -> dict[str, int]:
        if context.role == "compensate":
            await anyio.lowlevel.checkpoint()
            undone.append(context.node_id)
            return {}
        if context.node_id == "b":
            running.set()
            await asyncio.get_running_loop().create_future()
        return {context.node_id: 1}

    engine = OrchestrationEngine(project)
    engine.set_agent_executor(Functions(worker=work))
    raw = steps([step("a", compensation=UNDO)], [step("b", "a")])
    async with engine if in_a_block else contextlib.nullcontext():
        await cancel(engine.execute(raw), running)
        assert (await engine.report()).status == "cancelled"
    assert undone == ["a"]


async def test_a_cancelled_call_cancels_its_run_and_undoes_what_it_did(project: Path) -> None:
    running = asyncio.Event()
    told: list[str] = []

    async def work(context: Context) -> dict[str, int]:
        told.append(f"{context.role} {context.node_id}")
        if context.role == "forward":
            running.set()
            await asyncio.get_running_loop().create_future()
        return {}

    raw = steps([step("a", compensation=UNDO)])
    async with opened(project, Functions(worker=work)) as engine:
        call = asyncio.create_task(engine.execute(raw))
        await running.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await engine.report()).status == "cancelled"
    assert told == ["forward a", "compensate a"]


async def test_a_call_that_is_cancelled_while_it_begins_leaves_no_run_behind(project: Path) -> None:
    async with opened(project, CHAIN) as engine:
        call = asyncio.create_task(engine.execute(TWO))
        await anyio.lowlevel.checkpoint()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        try:
            status: str | None = (await engine.report()).status
        except NotFound:
            status = None
    assert status in {None, "cancelled", "completed"}


async def test_another_call_can_cancel_a_run(project: Path) -> None:
    running: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work(context: Context) -> None:
        running.set_result(context.run_id)
        await asyncio.get_running_loop().create_future()

    async with opened(project, Functions(worker=work)) as engine:
        call = asyncio.create_task(engine.execute(steps([step("a")])))
        await engine.cancel(await running, reason="enough")
        done = await call
    assert (done.status, done.message) == ("cancelled", "cancelled: enough")


async def test_a_failed_run_is_taken_up_at_its_failed_node(project: Path) -> None:
    tries: list[str] = []

    def work(context: Context) -> dict[str, int]:
        tries.append(context.node_id)
        if context.node_id == "b" and tries.count("b") == 1:
            raise OSError("no")
        return {context.outputs[0]: 1}

    async with opened(project, Functions(worker=work)) as engine:
        failed = await engine.execute(TWO)
        assert failed.status == "failed"
        assert (await engine.resume(failed.run_id, failed=True)).success
        with pytest.raises(StateError):
            await engine.resume(failed.run_id, failed=True)
    assert tries == ["a", "b", "b"]


async def test_a_person_is_answered_for(project: Path) -> None:
    raw = steps([step("a", approval={"message": "Shall we?"})])
    asked = asyncio.Event()

    async def see(todos: list[Todo]) -> None:
        if "waiting for approval" in todos[0].content:
            asked.set()

    async with opened(project, CHAIN, on_todo_write=see, todo_write=TodoWriteConfig(batch_delay=0)) as engine:
        call = asyncio.create_task(engine.execute(raw))
        await asyncio.wait_for(asked.wait(), 10)
        await engine.decide((await engine.report()).run_id, "a", "yes")
        assert (await call).success


async def test_simulated_runs_take_faults_values_and_a_seed(project: Path) -> None:
    told: list[tuple[str, int, bool]] = []
    collector = MetricsCollector()
    async with opened(project, CHAIN, on_node_complete=lambda *told_of: told.append(told_of)) as engine:
        engine.set_metrics_collector(collector)
        done = await engine.execute(TWO, executor="simulate", fail=["b=error/NO_DISK"], given=["a.a=7"], seed=1)
        with pytest.raises(InputError):
            await engine.execute(TWO, fail=["b=error"])
    assert done.status == "failed"
    assert done.outputs == {"a": 7}
    assert done.failures[0].failure.code == "NO_DISK"
    assert told == [("a", 1000, True), ("b", 500, False)]
    assert collector.get_report().total_duration == 1500


async def test_limits_are_the_calls(project: Path) -> None:
    most = now = 0

    async def work(context: Context) -> dict[str, int]:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 5)
        now -= 1
        return {context.outputs[0]: 1}

    raw = steps([step(f"n{number}") for number in range(6)])
    async with opened(project, Functions(worker=work)) as engine:
        done = await engine.execute(raw, max_parallelism=2)
    assert done.success
    assert most == 2
    assert done.metrics.phases[0].parallel_executions == 2


async def test_an_open_breaker_keeps_further_calls_away(project: Path) -> None:
    tries: list[str] = []

    def fail(context: Context) -> None:
        tries.append(context.node_id)
        raise AgentFailure("DOWN", "nobody answers")

    raw = steps([step("a", circuitBreaker="external-api")], [step("b", circuitBreaker="external-api")])
    raw["phases"][0]["continueOnError"] = raw["phases"][1]["continueOnError"] = True
    async with opened(project, Functions(worker=fail)) as engine:
        with pytest.raises(InvalidCommand, match="UNKNOWN_BREAKER"):
            await engine.execute(raw)
        engine.set_circuit_breaker("external-api", CircuitBreaker(failure_threshold=1, reset_timeout=600_000))
        done = await engine.execute(raw)
    assert tries == ["a"]
    assert [line.failure.code for line in done.failures] == ["DOWN", "CIRCUIT_OPEN"]


async def test_the_breakers_of_the_settings_hold_as_they_are_written(project: Path) -> None:
    (project / ".claude" / "orchestration.toml").write_text("[breakers.external-api]\nfailure_threshold = 1\n")

    def fail(_context: Context) -> None:
        raise AgentFailure("DOWN", "nobody answers")

    raw = steps([step("a", circuitBreaker="external-api")], [step("b", circuitBreaker="external-api")])
    raw["phases"][0]["continueOnError"] = raw["phases"][1]["continueOnError"] = True
    async with opened(project, Functions(worker=fail)) as engine:
        done = await engine.execute(raw)
    assert [line.failure.code for line in done.failures] == ["DOWN", "CIRCUIT_OPEN"]


async def test_a_registered_condition_decides_whether_a_node_is_skipped(project: Path) -> None:
    skip = {"type": "custom", "expression": "enough", "skipMessage": "enough of it"}
    raw = steps([step("a")], [step("b", "a", skipCondition=skip)])
    seen: list[dict[str, Any]] = []

    def enough(values: Mapping[str, Any]) -> bool:
        seen.append(dict(values))
        return bool(values["a"] > 0)

    async with opened(project, CHAIN) as engine:
        engine.register_condition("enough", enough)
        done = await engine.execute(raw)
    assert done.nodes["b"].status == "skipped"
    assert done.nodes["b"].error == "enough of it"
    assert done.nodes["b"].success
    assert seen[0]["a"] == 1


@pytest.mark.parametrize("error", [SystemExit("no"), asyncio.CancelledError("no"), pytest.fail.Exception("no")])
async def test_whatever_a_condition_raises_fails_its_node_and_no_other_run(project: Path, error: BaseException) -> None:
    asked = asyncio.Event()

    def broken(_values: Mapping[str, Any]) -> bool:
        asked.set()
        raise error

    async def wait(_context: Context) -> int:
        await asked.wait()
        return 1

    skip = {"type": "custom", "expression": "broken"}
    async with opened(project, Functions(worker=lambda _context: 1, waiter=wait)) as engine:
        engine.register_condition("broken", broken)
        other = asyncio.create_task(engine.execute(steps([step("a", agent="waiter")])))
        done = await engine.execute(steps([step("a", skipCondition=skip)]))
        assert [line.failure.code for line in done.failures] == ["CONDITION_ERROR"]
        assert (await other).success


@pytest.mark.parametrize("policy", ["lru", "lfu", "ttl"])
async def test_a_cache_too_small_for_anything_loses_no_value(
    project: Path, policy: Literal["lru", "lfu", "ttl"]
) -> None:
    async with opened(project, CHAIN) as engine:
        engine.configure_context_manager(max_cache_size=0, eviction_policy=policy, compression_enabled=False)
        engine.set_metrics_collector(collector := MetricsCollector(enable_resource_monitoring=False))
        done = await engine.execute(TWO)
    assert done.outputs == {"a": 1, "b": 2}
    rate = collector.get_report().cache_hit_rate
    assert rate is not None
    assert rate < 100


async def test_the_cache_can_be_set_before_the_project_is_open(project: Path) -> None:
    engine = OrchestrationEngine(project)
    engine.configure_context_manager(max_cache_size=0)
    engine.set_agent_executor(CHAIN)
    async with engine:
        assert ((await engine.execute(TWO)).metrics.cache_hit_rate or 0) < 100


async def test_todos_are_made_as_the_program_wants_them(project: Path) -> None:
    raw = steps([step("a")], [step("b", "a")])
    async with opened(project, CHAIN, todo_write=TodoWriteConfig(enable_grouping=False)) as engine:
        assert (await engine.execute(raw)).display.splitlines()[0].startswith("✅ Make a (completed in ")
        engine.configure_todo_write(batch_size=20, batch_delay=1000)
        assert (await engine.execute(raw)).display.startswith("Phase 1: Part 1\n")


async def test_a_report_of_any_run_can_be_had(project: Path) -> None:
    async with opened(project, CHAIN) as engine:
        with pytest.raises(NotFound):
            await engine.report()
        first, second = await engine.execute(TWO), await engine.execute(TWO)
        assert (await engine.report()).run_id == second.run_id
        assert (await engine.report(first.run_id)).timeline is not None


async def test_a_place_of_another_kind_can_be_brought(project: Path) -> None:
    asked: list[object] = []

    def opener(root: Path | None) -> AbstractAsyncContextManager[Workplace]:
        asked.append(root)
        return open_workplace(project)

    async with opened(None, CHAIN, opener=opener) as engine:
        assert (await engine.execute(TWO)).success
    assert asked == [None]


async def test_a_project_that_cannot_be_opened_leaves_the_engine_usable(project: Path) -> None:
    engine = OrchestrationEngine(project / "missing")
    for _ in range(2):
        with pytest.raises(NotFound):
            await engine.execute(TWO)
