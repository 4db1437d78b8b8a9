"""`OrchestrationEngine`: run commands from a Python program, with agents, hooks, breakers and metrics of its own.

Effects: opens the project's state during its block, or during each call outside one, and starts agents. It only
translates: the engine decides what happens in a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Self

from engine.api.agents import agents_of
from engine.api.checks import (
    EXECUTORS,
    check_condition,
    check_flag,
    check_function,
    check_kind,
    check_mapping,
    check_name,
    check_names,
    check_one_of,
    check_program,
    check_seconds,
    refused,
)
from engine.api.commands import data_of
from engine.api.hooks import Caller, Hooks
from engine.api.metrics import MetricsCollector, observe, report_of
from engine.api.open_workplace import OpenPlace
from engine.api.options import (
    BATCH_DELAY,
    BATCH_SIZE,
    MAX_CACHE_BYTES,
    CircuitBreaker,
    ContextManagerConfig,
    TodoWriteConfig,
)
from engine.api.port import Request, open_ordinary
from engine.api.results import run_result
from engine.api.todo_updates import TodoUpdates
from engine.errors import StateError
from engine.executors.shielding import uncancelled
from engine.executors.simulate import faults_by_place, parse_fault, parse_value, values_by_node
from engine.ids import RunId
from engine.run.events import Limits
from engine.run.limits import checked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
    from types import TracebackType

    from engine.api.agents import Program
    from engine.api.checks import EvictionName, ExecutorName
    from engine.api.commands import Definition
    from engine.api.hooks import Hook
    from engine.api.metrics import MetricsReport
    from engine.api.port import Opener, Workplace
    from engine.api.results import NodeResult, RunResult
    from engine.views.todos import Todo

HOOK_SECONDS = 5.0
MAX_HOOK_SECONDS = 24 * 3600.0
HOOKS = {
    "on_node_start": ("node_id", "phase"),
    "on_node_complete": ("node_id", "duration", "success"),
    "on_phase_complete": ("phase_id", "results"),
    "on_todo_write": ("todos",),
}
"""The parameters of each."""


class OrchestrationEngine:
    """The runs that a program starts in one project."""

    def __init__(
        self,
        project: str | Path | None = None,
        *,
        executor: ExecutorName = "auto",
        on_node_start: Callable[[str, str], object] | None = None,
        on_node_complete: Callable[[str, int, bool], object] | None = None,
        on_phase_complete: Callable[[str, Mapping[str, NodeResult]], object] | None = None,
        on_todo_write: Callable[[list[Todo]], object] | None = None,
        hook_timeout: float = HOOK_SECONDS,
        todo_write: TodoWriteConfig | None = None,
        opener: Opener = open_ordinary,
    ) -> None:
        """*project* is its root (default: searched from the working directory upwards).

        *executor* (auto, claude, simulate) does the work of model agents unless a call says otherwise. Hooks are plain
        functions, called in threads, or async ones: `on_node_start(node_id, phase)`, `on_node_complete(node_id,
        duration_ms, success)`, `on_phase_complete(phase_id, results)`, `on_todo_write(todos)`; each call may take
        *hook_timeout* seconds. Raises `InputError` (INVALID_OPTION) for unusable values.
        """
        self._hooks: dict[str, Hook | None] = {
            "on_node_start": on_node_start,
            "on_node_complete": on_node_complete,
            "on_phase_complete": on_phase_complete,
        }
        for name, hook in {**self._hooks, "on_todo_write": on_todo_write}.items():
            if hook is not None:
                check_function(name, hook, name, *HOOKS[name])
        check_kind("project", project, (str, os.PathLike, NoneType), hint="Pass the path of the project's root.")
        check_one_of("executor", executor, EXECUTORS)
        check_seconds("hook_timeout", hook_timeout, MAX_HOOK_SECONDS)
        check_kind("todo_write", todo_write, (TodoWriteConfig, NoneType), hint="Pass a TodoWriteConfig.")
        check_function("opener", opener, "opener", "project")
        self._project = Path(project) if project is not None else None
        self._executor = executor
        self._on_todo_write = on_todo_write
        self._hook_timeout = hook_timeout
        self._overruns: Counter[str] = Counter()
        self._todo_write = todo_write
        self._opener = opener
        self._programs: dict[str, Program] = {}
        self._default_program: Program | None = None
        self._breakers: dict[str, CircuitBreaker] = {}
        self._cache: ContextManagerConfig | None = None
        self._collector: MetricsCollector | None = None
        self._conditions: dict[str, Callable[[Mapping[str, Any]], bool]] = {}
        self._place: OpenPlace | None = None
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop of its users."""
        self._lock = asyncio.Lock()
        self._blocks: list[contextlib.AsyncExitStack] = []

    def set_agent_executor(self, program: Program) -> None:
        """Let *program* do the work of the agents in its `agent_ids`, or of all if it names none.

        Further calls add agents; the last one wins for an agent that two programs name. Raises `InputError`
        (INVALID_OPTION) for anything that cannot do an agent's work.
        """
        check_program(program)
        names = agents_of(program)
        if names is None:
            self._default_program = program
        else:
            self._programs.update(dict.fromkeys(names, program))
        self._configure()

    def set_circuit_breaker(self, name: str, breaker: CircuitBreaker) -> None:
        """Let nodes name *breaker* as `circuitBreaker`; it overrides one of that name in the project's settings."""
        check_name("the name of a circuit breaker", name)
        check_kind(f'the circuit breaker "{name}"', breaker, CircuitBreaker, hint="Pass a CircuitBreaker.")
        self._breakers[name] = breaker
        self._configure()

    def set_metrics_collector(self, collector: MetricsCollector) -> None:
        """Add the report of each run that ends from now on to *collector*."""
        check_kind("the collector", collector, MetricsCollector, hint="Pass a MetricsCollector.")
        self._collector = collector

    def register_condition(self, name: str, condition: Callable[[Mapping[str, Any]], bool]) -> None:
        """Let skip conditions of type `custom` name *condition*; it receives the context and must be quick."""
        check_name("the name of a condition", name)
        check_condition(name, condition)
        self._conditions[name] = condition
        self._configure()

    def configure_context_manager(
        self,
        *,
        max_cache_size: int = MAX_CACHE_BYTES,
        eviction_policy: EvictionName = "lru",
        compression_enabled: bool = True,
    ) -> None:
        """Set size (bytes), eviction (lru, lfu, ttl) and compression of the context values kept in memory."""
        self._cache = ContextManagerConfig(
            max_cache_size=max_cache_size, eviction_policy=eviction_policy, compression_enabled=compression_enabled
        )
        if self._place is not None:
            self._place.set_cache(self._cache)

    def configure_todo_write(
        self, *, batch_size: int = BATCH_SIZE, batch_delay: int = BATCH_DELAY, enable_grouping: bool = True
    ) -> None:
        """See `TodoWriteConfig`."""
        self._todo_write = TodoWriteConfig(
            batch_size=batch_size, batch_delay=batch_delay, enable_grouping=enable_grouping
        )

    async def execute(
        self,
        command: str | Path | Definition,
        arguments: str | Mapping[str, Any] | None = None,
        *,
        executor: ExecutorName | None = None,
        max_parallelism: int | None = None,
        max_cost_usd: float | None = None,
        max_attempts_total: int | None = None,
        max_duration_seconds: float | None = None,
        fail: Sequence[str] = (),
        given: Sequence[str] = (),
        seed: int | None = None,
    ) -> RunResult:
        """Run *command* to its end: "/name", a path under the project, a definition or a loaded command.

        A failed run is a result, not an exception; cancelling the call cancels the run and undoes its work. *fail* and
        *given* are for `simulate`, spelled like `--fail` and `--set`. Raises `InvalidCommand` with every problem,
        `InputError` for the arguments, `EnvironmentFault` if no executor can do the work.
        """
        _check_call(arguments, executor or self._executor, fail, given, seed)
        request = Request(
            source=_source(command),
            arguments=arguments,
            executor=executor or self._executor,
            own_agents=self._default_program is not None,
            limits=checked(
                Limits(
                    max_parallelism=max_parallelism,
                    max_cost_usd=max_cost_usd,
                    max_attempts_total=max_attempts_total,
                    max_duration_seconds=max_duration_seconds,
                )
            ),
            faults=faults_by_place(map(parse_fault, fail)),
            values=values_by_node(map(parse_value, given)),
            seed=seed,
        )
        async with self._opened() as place:
            return await self._follow(place, place.start(request))

    async def resume(
        self,
        run_id: str,
        *,
        failed: bool = False,
        max_parallelism: int | None = None,
        max_cost_usd: float | None = None,
        max_attempts_total: int | None = None,
        max_duration_seconds: float | None = None,
    ) -> RunResult:
        """Resume an interrupted run, or retry a failed one from its failed nodes, and wait for its end.

        Limits passed here override those it had.
        """
        check_name("run_id", run_id)
        check_flag("failed", failed)
        limits = checked(
            Limits(
                max_parallelism=max_parallelism,
                max_cost_usd=max_cost_usd,
                max_attempts_total=max_attempts_total,
                max_duration_seconds=max_duration_seconds,
            )
        )
        async with self._opened() as place:
            return await self._follow(place, place.resume(RunId(run_id), failed=failed, limits=limits))

    async def cancel(self, run_id: str, *, reason: str = "", compensate: bool = True) -> None:
        """Ask a run of this or another process to end and to undo its work."""
        check_name("run_id", run_id)
        check_kind("reason", reason, str, hint="Pass a text.")
        check_flag("compensate", compensate)
        async with self._opened() as place:
            await place.engine.cancel(RunId(run_id), reason=reason, compensate=compensate)

    async def decide(self, run_id: str, node: str, answer: str) -> None:
        """Answer for a person, to a node that waits for it: yes, no; retry, skip, fail."""
        for name, value in (("run_id", run_id), ("node", node), ("answer", answer)):
            check_name(name, value)
        async with self._opened() as place:
            await place.workplace.decide(RunId(run_id), node, answer)

    async def report(self, run_id: str | None = None) -> MetricsReport:
        """The metrics of a run (default: the newest), finished or not. Raises `NotFound`."""
        if run_id is not None:
            check_name("run_id", run_id)
        async with self._opened() as place:
            return await place.engine.read(
                None if run_id is None else RunId(run_id), lambda view: report_of(view.run, view.now, detailed=True)
            )

    async def __aenter__(self) -> Self:
        """Open the project; calls inside the block share what is open."""
        block = contextlib.AsyncExitStack()
        await block.enter_async_context(self._opened())
        self._blocks.append(block)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; live runs are recorded as interrupted."""
        if self._blocks:
            await self._blocks.pop().aclose()

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[OpenPlace]:
        """The open workplace; the first user opens it and the last one closes it."""
        self._join()
        try:
            async with self._lock:
                if self._place is None:
                    self._place = await self._open()
            self._configure()
            yield self._place
        finally:
            self._users -= 1
            if not self._users and self._place is not None:
                place, self._place = self._place, None
                await uncancelled(place.stack.aclose())

    def _join(self) -> None:
        """Count another user of what is open: all are on one event loop, though a program may use several in turn."""
        loop = asyncio.get_running_loop()
        if not self._users:
            self._loop, self._lock = loop, asyncio.Lock()
        elif self._loop is not loop:
            raise StateError(
                "this engine is in use on another event loop",
                code="OTHER_EVENT_LOOP",
                hint="Make an OrchestrationEngine for each thread, and leave its block before its event loop ends.",
            )
        self._users += 1

    async def _open(self) -> OpenPlace:
        async with contextlib.AsyncExitStack() as stack:
            workplace = await stack.enter_async_context(self._opener(self._project))
            place = await self._prepare(workplace, stack)
            place.stack = stack.pop_all()
            return place

    async def _prepare(self, workplace: Workplace, stack: contextlib.AsyncExitStack) -> OpenPlace:
        engine = await workplace.engine()
        caller = Caller(timeout=self._hook_timeout, overruns=self._overruns)
        place = OpenPlace(workplace, engine, caller)
        stack.push_async_callback(place.stop)
        if any(self._hooks.values()):
            place.listeners.append(Hooks(caller, **self._hooks).listen)
        if self._on_todo_write is not None:
            updates = TodoUpdates(caller, self._on_todo_write, engine.clock, lambda: self._todos(workplace))
            stack.callback(updates.close)
            place.listeners.append(updates.listen)
        place.begin()
        if self._cache is not None:
            place.set_cache(self._cache)
        return place

    def _configure(self) -> None:
        """Apply all settings to the open workplace."""
        place = self._place
        if place is None:
            return
        place.workplace.add_agents(self._programs)
        place.workplace.add_breakers(self._breakers)
        place.engine.breakers.update({name: breaker.config for name, breaker in self._breakers.items()})
        place.engine.conditions.update(self._conditions)
        for name, program in self._programs.items():
            place.set_executor(program, (name,))
        place.default_program = self._default_program

    def _todos(self, workplace: Workplace) -> TodoWriteConfig:
        if self._todo_write is not None:
            return self._todo_write
        options = workplace.todo_options
        return TodoWriteConfig(batch_size=options.batch_size or BATCH_SIZE, enable_grouping=options.grouping)

    async def _follow(self, place: OpenPlace, starting: Coroutine[Any, Any, RunId]) -> RunResult:
        collector = self._collector
        watched = collector is not None and collector.resource_monitoring
        async with observe(place.engine.values, resources=watched) as seen:
            run_id = await place.to_its_end(starting)
        view = await place.engine.view(run_id)
        await place.caller.drained()
        counted = collector is None or collector.context_metrics
        report = report_of(
            view.run,
            view.now,
            cache=seen.cache(place.engine.values) if counted else None,
            resources=seen.resources,
            detailed=collector is not None and collector.detailed_timing,
        )
        if collector is not None:
            collector.add(report)
        return run_result(view, place.engine.values, self._todos(place.workplace).options, report)


def _check_call(arguments: object, executor: str, fail: Sequence[str], given: Sequence[str], seed: object) -> None:
    """Reject unusable parameters of a run before anything is opened for it."""
    if not isinstance(arguments, str | NoneType):
        check_mapping("arguments", arguments, hint="Pass a text, or a mapping of the arguments by name.")
    check_one_of("executor", executor, EXECUTORS)
    check_names("fail", fail, hint='Pass a list: ["node=error"].')
    check_names("given", given, hint="Pass a list: ['node.key=json'].")
    check_kind("seed", seed, (int, NoneType), hint="Pass a whole number.")
    if (fail or given) and executor != "simulate":
        raise refused("fail and given need the executor simulate", 'Pass executor="simulate" too.')


def _source(command: str | Path | Definition) -> str | Mapping[str, Any]:
    if isinstance(command, str | Path):
        return str(command)
    return data_of(command, hint='Pass "/name", a path, a definition, or the result of CommandLoader.load.')
